"""P22: what a server and its commands write shows no number, no text and no secret; a customer sees only what is his.

A real server, logging everything, goes through sends, refusals, lost answers, callbacks that fail, wrong credentials,
broken bodies and account commands. Each number, text and secret in it is a canary: looked for as it is, in the hex of
raw PDUs, and as credentials are sent.
"""

import asyncio
import base64
import http.client
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from kvitto.callbacks.signing import verify
from kvitto.cli.common import books
from kvitto.core.clock import SystemClock
from kvitto.core.endpoint import NewEndpoint
from kvitto.core.ids import new_secret
from kvitto.settings import load
from tests.support.command import Result, kvitto
from tests.support.server import AccountKeys, ServerProcess
from tests.support.sink import Reply, Sink

LINK_PASSWORD = "lnkcan77"  # SMPP allows eight characters
HOOK_TOKEN = "hook-canary-5c1d9e"
WRONG = {"token": "wrong-token-canary-91ab", "password": "wrong-password-canary-3e"}
SIGNING = {
    "rotated": new_secret(),
    "endpoint": new_secret(),
    "password": "endpoint-password-canary-7a",
    "header": "endpoint-header-canary-4e",
    "key": "endpoint-key-canary-b2",
}
"""Secrets of endpoints: what signs, what is presented, what is shown to who asks who we are."""
TEXT = "Rosebud canary ninety"
WIDE_TEXT = "Снежинка canary"
SENDER = "46709333221"
# Delivered; refused; refused for now; undeliverable; unreadable; no answer; connection closed; throttled for ever.
MAGIC = ("20", "21", "22", "10", "12", "33", "50", "51", "23", "05")
NUMBERS = ["46709111201", "46709111202", *[f"9997531902{nn}" for nn in MAGIC]]
IN_A_PROCESS = ("serve", "send", "config")
LOGGED = (
    "submit.refused",
    "submit.in_doubt",
    "callback.postponed",
    "callback.forbidden",
    "link.throttled",
    "link.lost",
)
"""What must have happened, or the test shows less than it says."""


class Caller:
    """One account over HTTP; keeps every answer that is not 2xx."""

    def __init__(self, server: ServerProcess, keys: AccountKeys) -> None:
        self.keys = keys
        self.refusals: list[str] = []
        self._port = server.port

    def call(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """(status, body) of ``path`` below the service plan."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        own = {"Authorization": f"Bearer {self.keys.api_token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request(method, f"/xms/v1/{self.keys.service_plan_id}{path}", raw, {**own, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status >= 300:
                self.refusals.append(f"{answer.status} {answer.headers}{text}")
            return answer.status, text
        finally:
            connection.close()

    def send(self, **fields: Any) -> str:
        status, text = self.call("POST", "/batches", {"from": SENDER, "to": NUMBERS[:2], "body": TEXT, **fields})
        assert status == 201, text
        return str(json.loads(text)["id"])


def canaries(*accounts: AccountKeys) -> dict[str, str]:
    """What must not be found -> what it is."""
    secrets = {value: key for key, value in WRONG.items()}
    secrets |= {LINK_PASSWORD: "link password", HOOK_TOKEN: "token in a URL"}
    for keys in accounts:
        secrets |= {keys.api_token: "token", keys.password: "password", keys.callback_secret: "whsec_ secret"}
        secrets[base64.b64encode(f"{keys.username}:{keys.password}".encode()).decode()] = "Basic credentials"
        secrets[keys.callback_secret.removeprefix("whsec_")] = "whsec_ secret"
    for what, value in SIGNING.items():
        secrets[value] = secrets[value.removeprefix("whsec_")] = f"{what} of an endpoint"
    secrets[base64.b64encode(f"hook:{SIGNING['password']}".encode()).decode()] = "Basic credentials of an endpoint"
    texts = {TEXT: "text", WIDE_TEXT: "text", WIDE_TEXT.encode("utf-16-be").hex(): "text in a PDU"}
    numbers = dict.fromkeys([*NUMBERS, SENDER], "number")
    known = secrets | texts | numbers
    return known | {canary.encode().hex(): f"{what} in hex" for canary, what in known.items()}


def hits(written: str, known: Mapping[str, str]) -> list[str]:
    """Lines that show a canary, with what they show."""
    return [
        f"{what}: {line[:300]}"
        for line in written.splitlines()
        for canary, what in known.items()
        if canary.lower() in line.lower()
    ]


def get(server: ServerProcess, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.fixture
def server(tmp_path, watch):
    settings = {
        "log.level": "debug",
        "simulator.password": LINK_PASSWORD,
        "simulator.delay_min_ms": 1,
        "simulator.delay_max_ms": 5,
    }
    return watch(ServerProcess(tmp_path / "server", settings=settings)).start()


async def keep_secrets(server: ServerProcess, keys: AccountKeys, sink: Sink) -> None:
    """Give the account a second secret, and its endpoints secrets, credentials and a key of their own."""
    async with books(load(overrides={"server.data_dir": server.data_dir})) as store:
        now = SystemClock().now()
        account = await store.rotate_callback_secret(keys.account, SIGNING["rotated"], now)
        assert account is not None
        own = {
            "username": "hook",
            "password": SIGNING["password"],
            "headers": (("X-Hook", SIGNING["header"]),),
        }
        made = await store.create_endpoint(NewEndpoint(account.id, "hook", sink.url, now, own))
        assert made is not None
        await store.rotate_endpoint_secret(account.id, made.id, SIGNING["endpoint"], now)
        key = f"-----BEGIN PRIVATE KEY-----\n{SIGNING['key']}\n-----END PRIVATE KEY-----\n"
        odd = {"client_cert_pem": "none", "client_key_pem": key}
        assert await store.create_endpoint(NewEndpoint(account.id, "odd", "https://127.0.0.1:9/", now, odd)) is not None


def wait_until_kept(caller: Caller, sink: Sink) -> None:
    """The server has seen what is kept: posts carry it. Else nothing would be shown below."""
    until = time.monotonic() + 15
    while True:
        before = len(sink.received)
        caller.send(to=NUMBERS[:1], callback_url=sink.url, delivery_report="per_recipient_final")
        sink.wait_for(lambda received, before=before: len(received) > before)  # type: ignore[misc]
        one = sink.received[before]
        if one.headers.get("x-hook") == SIGNING["header"]:
            break
        assert time.monotonic() < until
    assert verify(one.headers, one.body, [SIGNING["endpoint"]], SystemClock().now()).is_genuine
    sink.clear()


def go_through_sends(caller: Caller, sink: Sink) -> str:
    """Sends that end in every way, told to an endpoint that fails, one that is away and one that is forbidden."""
    hook = f"{sink.url}?token={HOOK_TOKEN}"
    told = {"delivery_report": "per_recipient"}
    batch = caller.send(to=NUMBERS, callback_url=hook, **told)
    caller.send(body=WIDE_TEXT * 12, callback_url=f"http://127.0.0.1:9/{NUMBERS[0]}?token={HOOK_TOKEN}", **told)
    caller.send(callback_url=f"http://10.255.0.1/{HOOK_TOKEN}", **told)
    caller.send(callback_url=f"http://{HOOK_TOKEN}.invalid/", **told)
    caller.send(callback_url=f"https://127.0.0.1:9/{HOOK_TOKEN}", **told)
    sink.wait_for(lambda received: len(received) >= 10)
    return batch


def go_through_refusals(caller: Caller, stranger: Caller, batch: str) -> None:
    """Everything that HTTP refuses: broken bodies, wrong fields, wrong credentials, another account's batch."""
    broken = json.dumps({"to": NUMBERS, "body": TEXT}).encode()[:-3]
    for body in (broken, b"\xff\xfe" + TEXT.encode(), b"[]", b"", f'"{TEXT}"'.encode()):
        assert caller.call("POST", "/batches", body)[0] in (400, 403)
    for fields in (
        {"to": [TEXT], "from": SENDER, "body": TEXT},
        {"to": NUMBERS[:1], "from": SENDER, "body": TEXT, "expire_at": TEXT},
        {"to": [*NUMBERS[:1], "1"], "from": "a sender name far too long", "body": TEXT},
        {"to": NUMBERS[:1], "from": SENDER, "body": TEXT, "callback_url": f"gopher://{HOOK_TOKEN}"},
        {"to": NUMBERS[:1], "from": SENDER, "body": TEXT, "callback_url": f"http://u:{HOOK_TOKEN}@127.0.0.1/"},
    ):
        assert caller.call("POST", "/batches", fields)[0] in (400, 403), fields
    basic = base64.b64encode(f"{caller.keys.username}:{WRONG['password']}".encode()).decode()
    for wrong in (f"Bearer {WRONG['token']}", f"Basic {basic}", "Bearer", WRONG["token"], f"Basic {WRONG['token']}"):
        assert caller.call("GET", f"/batches/{batch}", headers={"Authorization": wrong})[0] == 401
    of_another = f"/batches/{batch}/delivery_report/{NUMBERS[0]}"
    for path in (f"/batches/{batch}", of_another, f"/{NUMBERS[0]}?body={HOOK_TOKEN}"):
        assert stranger.call("GET", path)[0] == 404
    stranger.call("PUT", f"/batches/{batch}")
    stranger.call("DELETE", f"/batches/{batch}")


def go_through_commands(server: ServerProcess, name: str, known: Mapping[str, str]) -> list[str]:
    """Commands that go well and that fail; gives back what they show beside their data and beyond what was typed."""
    fine = [
        ("account", "set", name, f"callback_url=http://127.0.0.1/?token={HOOK_TOKEN}"),
        ("account", "disable", name),
        ("account", "enable", name),
        ("account", "list"),
        ("message", "in-doubt", "list"),
        ("trace", NUMBERS[0]),
        ("config", "show"),
    ]
    wrong = [
        ("account", "create", name),
        ("account", "set", name, f"callback_url=http://u:{HOOK_TOKEN}@127.0.0.1/"),
        ("account", "set", name, "rate=fast"),
        ("account", "set", name, f"blocked_numbers={NUMBERS[0]}x"),
        ("account", "set", name, f"api_token={WRONG['token']}"),
        ("account", "show", "nobody"),
        ("send", "--account", "nobody", "--from", SENDER, "--to", NUMBERS[0], TEXT),
        ("send", "--account", name, "--from", "a sender far too long", "--to", NUMBERS[0], TEXT),
        ("send", "--account", name, "--from", SENDER, "--to", f"{NUMBERS[0]}x", TEXT),
        ("trace", NUMBERS[0] + "99"),
        ("report", NUMBERS[0]),
        ("serve", "--port", str(server.port)),
    ]
    found = []
    for words in fine:
        done = command(server, *words)
        assert done.code == 0, done.err
        found += hits(done.err + (done.out if words[0] == "config" else ""), known)
    for words in wrong:
        done = command(server, *words)
        assert done.code in (1, 2, 3), words
        assert done.err
        # A number that is refused is named to who typed it; nothing else is, and no secret ever.
        typed = {number for number in NUMBERS if number in " ".join(words)}
        found += hits(done.out + done.err, {key: what for key, what in known.items() if key not in typed})
    return found


def command(server: ServerProcess, *words: str) -> Result:
    """A command as it is typed. What writes logs or reads the file of settings is a process of its own, as ever; the
    others run here: most of a command's time is its start."""
    if words[0] in IN_A_PROCESS:
        done = server.run_cli(*words)
        return Result(done.returncode, done.stdout, done.stderr)
    with pytest.MonkeyPatch.context() as patch:
        return kvitto(*words, data=server.data_dir, monkeypatch=patch)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_p22_logs_metrics_errors_and_commands_show_no_number_text_or_secret(server: ServerProcess):
    own, other = [server.create_account(name) for name in ("canary", "stranger")]
    caller, stranger = Caller(server, own), Caller(server, other)
    with Sink() as sink:
        await keep_secrets(server, own, sink)
        wait_until_kept(caller, sink)
        sink.answer = lambda path, body: Reply(status=500)
        batch = go_through_sends(caller, sink)
        go_through_refusals(caller, stranger, batch)
        known = canaries(own, other)
        shown_by_commands = await asyncio.to_thread(go_through_commands, server, "stranger", known)
        until = time.monotonic() + 10
        for event in LOGGED:
            while event not in server.log():
                assert time.monotonic() < until, f"{event} was never logged"
                time.sleep(0.05)
        metrics = get(server, "/metrics") + get(server, "/readyz")
        server.stop()

    assert hits(server.log(), known) == []
    stored = b"".join(file.read_bytes() for file in server.data_dir.glob("kvitto.db*"))
    sealed = ("rotated", "endpoint", "password", "key")
    assert [what for what in sealed if SIGNING[what].encode() in stored] == []
    assert "kvitto_receipts_total" in metrics
    assert hits(metrics, known) == []
    assert shown_by_commands == []
    # What a customer has sent may come back to him in his own refusal, but no secret does, not even his own.
    secret = {canary: what for canary, what in known.items() if not what.startswith(("number", "text"))}
    assert hits("\n".join(caller.refusals), secret) == []
    assert hits("\n".join(stranger.refusals), known) == []


def test_p22_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path):
    process = ServerProcess(tmp_path, settings={"store.url": f"postgresql://kvitto:{WRONG['password']}@127.0.0.1:9/x"})
    for words in (("serve", "--port", str(process.port)), ("account", "list"), ("db", "migrate"), ("config", "show")):
        done = process.run_cli(*words)
        assert hits(done.stdout + done.stderr, canaries()) == [], words
        assert (done.returncode == 0) == (words[0] == "config")


def test_p22_a_wrong_setting_is_named_without_its_secret(tmp_path):
    settings = {"links.smsc.host": "127.0.0.1", "links.smsc.password": [LINK_PASSWORD], "http.port": WRONG["token"]}
    process = ServerProcess(tmp_path, settings=settings)
    done = process.run_cli("serve")
    assert done.returncode == 2
    assert "links.smsc.password" in done.stderr
    assert LINK_PASSWORD not in done.stdout + done.stderr
