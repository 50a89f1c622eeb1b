"""The receivers of ``examples/receivers``: real callbacks are taken, forged, stale and replayed ones are not (P18)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kvitto.callbacks.outbox import Outbox
from kvitto.callbacks.post import CallbackClient
from kvitto.callbacks.signing import callback_lines
from kvitto.core.clock import SystemClock
from kvitto.core.ids import new_secret
from kvitto.core.model import Account, CallbackDue, Notify
from kvitto.core.status import Reason, Status
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.sinch import SinchDialect
from tests.support.receivers import LANGUAGES, Receiver, build, receiving
from tests.support.rig import ACCOUNT, Rig, eventually, open_rig
from tests.support.sinch import message

DIALECTS = {one.name: one for one in (SinchDialect(), NinebitsDialect(), InfobipDialect())}
SECRET, OTHER = new_secret(), new_secret()
OK = b'{"status":200}'


@pytest.fixture(name="receiver", scope="module", params=LANGUAGES)
def a_receiver(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    language = LANGUAGES[request.param]
    build(language, folder)
    with receiving(language, folder, SECRET) as receiver:
        yield receiver


@asynccontextmanager
async def open_outbox(rig: Rig) -> AsyncIterator[Outbox]:
    async def account(account_id: str) -> Account | None:
        return replace(ACCOUNT, callback_secret=SECRET)

    client = CallbackClient(clock=rig.clock)
    outbox = Outbox(rig.store, client, DIALECTS, account, rig.clock, allow_private=True)
    outbox.start()
    try:
        yield outbox
    finally:
        await outbox.stop()
        await client.stop()


def now() -> int:
    return SystemClock().now()


def signed(number: int, body: bytes, *secrets: str, at: int | None = None) -> dict[str, str]:
    """The headers of a callback."""
    facts = message(Status.DELIVERED, Reason.DELIVERED)
    due = CallbackDue(number, "a1", "sinch", "http://shop.example/", facts, False, 0, now(), None)
    lines = callback_lines((due,), body, secrets or (SECRET,), now() if at is None else at).decode()
    return dict(line.split(": ", 1) for line in lines.splitlines())


async def test_p18_real_callbacks_of_every_dialect_are_taken_once(receiver: Receiver, tmp_path: Path):
    before = len(receiver.printed)
    async with open_rig(tmp_path) as rig, open_outbox(rig) as outbox:
        for dialect in DIALECTS:
            await rig.send("46701000001", dialect=dialect, notify=Notify.FINAL, callback_url=receiver.url)
        await eventually(lambda: outbox.delivered == len(DIALECTS), within_s=30)
        assert outbox.postponed == outbox.given_up == 0
    await eventually(lambda: len(receiver.printed) == before + len(DIALECTS))
    for line in receiver.printed[before:]:
        assert "46701000001" in line
        json.loads(line)


def taken(receiver: Receiver, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, bool]:
    """(status, body of the answer, whether the callback was worked on)."""
    status, answer = receiver.post(body, headers)
    return status, answer, body.decode() in receiver.printed


async def came(receiver: Receiver, body: bytes) -> None:
    await eventually(lambda: body.decode() in receiver.printed)


async def test_p18_a_genuine_callback_is_worked_on_and_its_copy_answered_only(receiver: Receiver):
    body = '{"text":"Hälsningar","n":1}'.encode()
    headers = signed(1, body)
    assert receiver.post(body, headers) == (200, OK)
    await came(receiver, body)
    assert receiver.post(body, headers) == (200, OK), "or it would be sent again"
    again = b'{"n":"after the copy"}'
    assert receiver.post(again, signed(2, again)) == (200, OK)
    await came(receiver, again)
    assert receiver.printed.count(body.decode()) == 1


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)], ids=["new", "old"])
async def test_p18_during_a_rotation_either_secret_takes(receiver: Receiver, secrets):
    body = b'{"rotated":%d}' % secrets.index(SECRET)
    assert receiver.post(body, signed(10 + secrets.index(SECRET), body, *secrets)) == (200, OK)
    await came(receiver, body)


FORGED = {
    "no headers": lambda body: {},
    "another secret": lambda body: signed(20, body, OTHER),
    "another body": lambda body: signed(21, body + b" "),
    "another id": lambda body: signed(22, body) | {"webhook-id": "cb_1_1"},
    "another time": lambda body: signed(23, body) | {"webhook-timestamp": str(now() // 1000 - 1)},
    "half a signature": lambda body: (
        signed(24, body) | {"webhook-signature": signed(24, body)["webhook-signature"][:20]}
    ),
    "no version": lambda body: signed(25, body) | {"webhook-signature": signed(25, body)["webhook-signature"][3:]},
    "an empty signature": lambda body: signed(26, body) | {"webhook-signature": ""},
    "a time that is none": lambda body: signed(27, body) | {"webhook-timestamp": "noon"},
    "other digits": lambda body: signed(31, body) | {"webhook-timestamp": "²" * 10},
    "a very long time": lambda body: signed(28, body) | {"webhook-timestamp": "9" * 5000},
    "stale": lambda body: signed(29, body, at=now() - 310_000),
    "from the future": lambda body: signed(30, body, at=now() + 310_000),
}


@pytest.mark.parametrize("case", FORGED)
async def test_p18_what_is_not_genuine_is_refused_and_not_worked_on(receiver: Receiver, case):
    body = json.dumps({"forged": case}).encode()
    status, _ = receiver.post(body, FORGED[case](body))
    assert status == 401
    after = json.dumps({"after": case}).encode()
    assert receiver.post(after, signed(100 + list(FORGED).index(case), after)) == (200, OK)
    await came(receiver, after)
    assert body.decode() not in receiver.printed


async def test_a_call_that_was_refused_does_not_hinder_the_genuine_one(receiver: Receiver):
    body = b'{"late":"but genuine"}'
    genuine = signed(40, body)
    assert receiver.post(body, genuine | {"webhook-signature": "v1,AAAA"})[0] == 401
    assert receiver.post(body, genuine) == (200, OK)
    await came(receiver, body)


async def test_more_than_a_mebibyte_is_refused(receiver: Receiver):
    body = b"x" * (1024 * 1024 + 1)
    try:
        status, _ = receiver.post(body, signed(41, body))
    except (ConnectionError, OSError):
        return  # it hung up in the middle
    assert status == 413
