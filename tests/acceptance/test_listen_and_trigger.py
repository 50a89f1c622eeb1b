"""What a developer does: listen on a laptop, trigger outcomes, verify a signature, replay what was missed."""

import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from kvitto.core.ids import new_nonce
from kvitto.core.relay import RELAY_URL
from tests.support.command import kvitto
from tests.support.server import LOOPBACK, AccountKeys, ServerProcess, kvitto_command, reserve_port
from tests.support.sink import Reply, Sink


@pytest.fixture(scope="module")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    fast = {"simulator.port": reserve_port(), "simulator.delay_min_ms": 1, "simulator.delay_max_ms": 5}
    with ServerProcess(tmp_path_factory.mktemp("house"), settings=fast) as running:
        yield running


@pytest.fixture
def server(server_process: ServerProcess) -> ServerProcess:
    """One for all tests of this file, each of which has accounts of its own."""
    return server_process if server_process.running else server_process.start()


@pytest.fixture
def shop(server: ServerProcess) -> AccountKeys:
    keys = account(server)
    command(server, "account", "set", keys.account, f"callback_url={RELAY_URL}")
    return keys


@pytest.fixture
def local() -> Iterator[Sink]:
    """The program on the laptop."""
    with Sink() as sink:
        yield sink


class Listener:
    """``kvitto listen --json`` as a process; ``said``: its lines so far."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [*kvitto_command(), "listen", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: list[dict[str, Any]] = []
        self.hello = self.next()

    def next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.stderr and self._process.stderr.read()
        self.said.append(json.loads(line))
        return self.said[-1]

    def stop(self) -> int:
        self._process.send_signal(2)
        return self._process.wait(10)


@contextlib.contextmanager
def listening(server: ServerProcess, target: str, *words: str) -> Iterator[Listener]:
    listener = Listener("--server", server.origin, "--forward-to", target, *words)
    try:
        yield listener
    finally:
        assert listener.stop() == 130


def command(server: ServerProcess, *words: str, code: int = 0) -> Any:
    """What a command prints as JSON, run in this process: most of a command's time is its start."""
    with pytest.MonkeyPatch.context() as patch:
        done = kvitto(*words, "--json", data=server.data_dir, monkeypatch=patch)
    assert done.code == code, done.out + done.err
    return done.json


def account(server: ServerProcess) -> AccountKeys:
    """One that nobody else has."""
    fields = command(server, "account", "create", f"shop-{new_nonce()}", "--allow-callbacks-to", LOOPBACK)
    return AccountKeys(**{key: fields[key] for key in AccountKeys.__dataclass_fields__})


def trigger(server: ServerProcess, shop: AccountKeys, *words: str, code: int = 0) -> list[dict[str, Any]]:
    return list(command(server, "trigger", *words, "--account", shop.account, code=code))


def test_a_triggered_delivery_reaches_the_local_program_signed_and_octet_for_octet(server, shop, local):
    with listening(server, local.url, "--token", shop.api_token) as listener:
        assert listener.hello == {
            "type": "hello",
            "account": shop.account,
            "callback_url": RELAY_URL,
            "everything": False,
        }
        followed = trigger(server, shop, "delivered")
    assert [one["state"] for one in followed] == ["done"] * len(followed)
    assert followed[-1]["status"] == "DELIVERED"
    arrived = local.wait_for(lambda requests: len(requests) >= len(followed) and requests)
    assert [one.json["status"] for one in arrived][-1] == "Delivered"
    for one in arrived:
        Webhook(shop.callback_secret).verify(one.body, dict(one.headers))
        assert one.headers["user-agent"].startswith("Kvitto/")
    assert {one.headers["webhook-id"] for one in arrived} == {one["id"] for one in followed}
    told = [one for one in listener.said if one["type"] == "forwarded"]
    assert all(one["status"] == 200 and not one["error"] for one in told)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sinch", "infobip", "ninebits"])
def test_each_outcome_is_told_in_each_dialect(server, shop, local, dialect):
    local.answer = lambda path, body: None if dialect != "ninebits" else Reply(status=200, body=b'{"status":200}')
    ends = {"delivered": "DELIVERED", "failed": "FAILED", "expired": "EXPIRED", "duplicate": "DELIVERED"}
    with listening(server, local.url, "--token", shop.api_token):
        for outcome, status in ends.items():
            followed = trigger(server, shop, outcome, "--dialect", dialect)
            assert [one["status"] for one in followed].count(status) == 1, (outcome, followed)
            assert followed[-1]["status"] == status


def test_the_local_programs_refusal_is_judged_and_tried_again_by_the_schedule(server, shop, local):
    refusals = iter([503])
    local.answer = lambda path, body: Reply(status=next(refusals, 200) if b"Delivered" in body else 200)
    with listening(server, local.url, "--token", shop.api_token):
        followed = trigger(server, shop, "delivered")
    failed = next(one for one in followed if one["attempts"] > 1)
    assert [(one["status_code"], one["error"]) for one in failed["history"]] == [(503, "HTTP 503"), (200, None)]
    assert failed["history"][0]["body"]


def test_without_all_a_batchs_own_url_is_posted_to_and_with_it_relayed(server, shop, local):
    with Sink() as own:
        with listening(server, local.url, "--token", shop.api_token):
            trigger(server, shop, "delivered", "--url", own.url)
        assert own.received
        assert not local.received
        own.clear()
        with listening(server, local.url, "--token", shop.api_token, "--all"):
            trigger(server, shop, "delivered", "--url", own.url)
        assert local.received
        assert not own.received


def test_a_listener_gets_no_other_accounts_callbacks(server, shop, local):
    other = account(server)
    with Sink() as own:
        with listening(server, local.url, "--token", other.api_token, "--all"):
            trigger(server, shop, "delivered", "--url", own.url)
        assert own.received
    assert not local.received


def test_a_listener_beside_the_server_needs_no_token(server, shop, local):
    words = ("--account", shop.account, "--data", str(server.data_dir))
    with listening(server, local.url, *words):
        trigger(server, shop, "delivered")
    assert local.received


def test_p28_a_stop_does_not_wait_for_a_listener_who_comes_back_after_the_restart(server, shop, local):
    with listening(server, local.url, "--token", shop.api_token) as listener:
        assert server.stop() < 10
        server.start()
        assert listener.next()["type"] == "hello"
        trigger(server, shop, "delivered")
    assert local.received


def test_a_wrong_token_is_told(server):
    done = server.run_cli("listen", "--server", server.origin, "--token", "wrong", "--forward-to", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "401" in done.stderr


def test_what_waited_while_nobody_listened_comes_with_a_replay(server, shop, local):
    followed = trigger(server, shop, "delivered", "--wait", "3", code=1)
    assert followed
    assert all(one["state"] == "pending" for one in followed)
    endpoint = followed[0]["endpoint"]
    with listening(server, local.url, "--token", shop.api_token):
        done = command(server, "callback", "replay", "--endpoint", endpoint, "--since", "2020-01-01T00:00:00Z")
        local.wait_for(lambda requests: len(requests) >= 1)
    assert (done["state"], done["progress"]) == ("done", 1.0)
    assert done["replayed"] + done["skipped"] == len(followed)


def test_p14_the_same_replay_run_again_makes_no_second_attempt(server, shop):
    with Sink() as sink:
        for _ in range(3):
            trigger(server, shop, "delivered", "--url", sink.url)
        first = len(sink.received)
        words = ("callback", "replay", "--account", shop.account, "--since", "2020-01-01T00:00:00Z", "--status", "done")
        done = command(server, *words)
        assert done["replayed"] == first
        sink.wait_for(lambda requests: len(requests) >= 2 * first)
        assert command(server, *words)["id"] == done["id"]
        assert command(server, *words, "--again")["id"] != done["id"]
        sink.wait_for(lambda requests: len(requests) >= 3 * first)
        time.sleep(0.3)
        assert len(sink.received) == 3 * first


def test_p14_an_interrupted_replay_goes_on_and_the_same_command_follows_it(server, shop):
    with Sink() as sink:
        for _ in range(3):
            trigger(server, shop, "delivered", "--url", sink.url)
        first = len(sink.received)
        words = ["callback", "replay", "--account", shop.account, "--since", "2020-01-01T00:00:00Z", "--rate", "2"]
        beside = ["--data", str(server.data_dir)]
        process = subprocess.Popen([*kvitto_command(), *words, *beside], stderr=subprocess.PIPE, text=True)
        sink.wait_for(lambda requests: len(requests) > first)
        process.send_signal(2)
        _, complaint = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "goes on in the server" in complaint
        done = command(server, *words)
        assert (done["state"], done["replayed"]) == ("done", first)
        sink.wait_for(lambda requests: len(requests) >= 2 * first)
    assert len(command(server, "callback", "list", "--account", shop.account)) == first


def raw_request(one: Any) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in one.headers.items())
    return f"POST {one.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + one.body


def verify(octets: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "kvitto", "verify", *words], input=octets, capture_output=True, timeout=30, check=False
    )


def test_verify_reads_a_callback_as_it_came_and_says_what_is_wrong(server, shop):
    with Sink() as sink:
        trigger(server, shop, "delivered", "--url", sink.url)
        octets = raw_request(sink.received[0])
    right = verify(octets, "--secret", shop.callback_secret)
    assert right.returncode == 0, right.stdout + right.stderr
    assert right.stdout.count(b"genuine") == 2
    other = "whsec_" + base64.b64encode(b"another secret of 24 and more").decode()
    wrong = verify(octets, "--secret", other)
    assert wrong.returncode == 1
    assert b"no signature fits" in wrong.stdout
