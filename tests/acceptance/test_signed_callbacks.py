"""P18: callbacks of a running server, in every dialect, are verified by the stock library, also during a rotation."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
import standardwebhooks

from kvitto.callbacks.signing import EVENT_AT, SEQUENCE, verify
from kvitto.cli.common import books
from kvitto.core.clock import SystemClock
from kvitto.core.ids import new_secret
from kvitto.dialects.sinch.callbacks import signature as sinch_signature
from kvitto.settings import load
from tests.support.server import AccountKeys, ServerProcess
from tests.support.sink import Received, Reply, Sink

NUMBER = "46709111299"

Send = Callable[[AccountKeys, str], tuple[str, Mapping[str, str], Any]]


def by_sinch(keys: AccountKeys, url: str) -> tuple[str, Mapping[str, str], Any]:
    body = {
        "from": "12345",
        "to": [NUMBER],
        "body": "hi",
        "delivery_report": "per_recipient_final",
        "callback_url": url,
    }
    return f"/xms/v1/{keys.service_plan_id}/batches", {"Authorization": f"Bearer {keys.api_token}"}, body


def by_ninebits(keys: AccountKeys, url: str) -> tuple[str, Mapping[str, str], Any]:
    return (
        "/ng/v1/sendsms",
        {"Authorization": f"Bearer {keys.api_token}"},
        {"from": "12345", "to": NUMBER, "content": "hi"},
    )


def by_infobip(keys: AccountKeys, url: str) -> tuple[str, Mapping[str, str], Any]:
    message = {"sender": "12345", "destinations": [{"to": NUMBER}], "content": {"text": "hi"}}
    body = {"messages": [message | {"webhooks": {"delivery": {"url": url}}}]}
    return "/sms/3/messages", {"Authorization": f"App {keys.api_token}"}, body


SENDS: dict[str, Send] = {"sinch": by_sinch, "ninebits": by_ninebits, "infobip": by_infobip}


def send(server: ServerProcess, keys: AccountKeys, dialect: str, url: str) -> None:
    path, headers, body = SENDS[dialect](keys, url)
    fields = {"Content-Type": "application/json", **headers}
    asked = urllib.request.Request(f"{server.origin}{path}", json.dumps(body).encode(), fields)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status in (200, 201)


def next_callback(server: ServerProcess, keys: AccountKeys, dialect: str, sink: Sink) -> Received:
    before = len(sink.received)
    send(server, keys, dialect, sink.url)
    return sink.wait_for(lambda received: received[before:], within_s=15)[0]


ACKNOWLEDGED = Reply(body=b'{"status":200}')


@pytest.fixture(name="sink", scope="module")
def a_sink() -> Iterator[Sink]:
    with Sink() as sink:
        sink.answer = lambda path, body: ACKNOWLEDGED
        yield sink


def make_account(server: ServerProcess, name: str, sink: Sink) -> AccountKeys:
    keys = server.create_account(name)
    done = server.run_cli("account", "set", name, f"callback_url={sink.url}")
    assert done.returncode == 0, done.stderr
    return keys


@pytest.fixture(name="keys", scope="module")
def an_account(server_process: ServerProcess, sink: Sink) -> AccountKeys:
    return make_account(server_process, "signed", sink)


@pytest.mark.parametrize("dialect", SENDS)
def test_p18_the_stock_library_verifies_what_a_running_server_posts(server_process, keys, sink, dialect):
    began = SystemClock().now()
    one = next_callback(server_process, keys, dialect, sink)
    assert standardwebhooks.Webhook(keys.callback_secret).verify(one.body, dict(one.headers)) == one.json
    assert verify(one.headers, one.body, [keys.callback_secret], SystemClock().now()).is_genuine
    assert not verify(one.headers, one.body, [new_secret()], SystemClock().now()).is_genuine
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(one.body, dict(one.headers))
    assert one.headers["webhook-id"].endswith(f"_{one.headers[SEQUENCE.lower()]}")
    at = datetime.fromisoformat(one.headers[EVENT_AT.lower()]).timestamp() * 1000
    assert began - 1000 <= at <= SystemClock().now() + 1000, "the server keeps a steadier clock than the machine"
    assert ("x-sinch-webhook-signature" in one.headers) is (dialect == "sinch")


async def test_p18_while_a_secret_is_replaced_both_verify_and_sinchs_own_header_keeps_the_old_one(server_process, sink):
    keys = make_account(server_process, "rotated", sink)
    old, new = keys.callback_secret, new_secret()
    first = next_callback(server_process, keys, "sinch", sink)
    async with books(load(overrides={"server.data_dir": server_process.data_dir})) as store:
        assert await store.rotate_callback_secret(keys.account, new, SystemClock().now()) is not None
    until = time.monotonic() + 15  # the server looks at an account again within seconds
    while " " not in next_callback(server_process, keys, "sinch", sink).headers["webhook-signature"]:
        assert time.monotonic() < until
    for dialect in SENDS:
        one = next_callback(server_process, keys, dialect, sink)
        for secret in (new, old):
            assert standardwebhooks.Webhook(secret).verify(one.body, dict(one.headers)) == one.json
        assert one.headers["webhook-id"] != first.headers["webhook-id"]
        if dialect == "sinch":
            own = "x-sinch-webhook-signature"
            nonce, timestamp = one.headers[f"{own}-nonce"], one.headers[f"{own}-timestamp"]
            assert one.headers[own] == sinch_signature(one.body, old, nonce, timestamp)


def test_p9_the_id_and_the_body_are_the_same_at_each_try(server_process, keys):
    refusals = iter([503])
    with Sink() as sink:
        sink.answer = lambda path, body: Reply(status=next(refusals, 200))
        send(server_process, keys, "sinch", sink.url)
        sink.wait_for(lambda received: len(received) >= 2, within_s=20)
        tries = sink.received
    assert [one.status for one in tries] == [503, 200]
    assert len({one.headers["webhook-id"] for one in tries}) == len({one.body for one in tries}) == 1
    assert len({one.headers["webhook-signature"] for one in tries}) == 2, "each try is signed with its own time"
    for one in tries:
        assert standardwebhooks.Webhook(keys.callback_secret).verify(one.body, dict(one.headers)) == one.json
