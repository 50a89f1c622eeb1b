"""From the receipt to the customer's endpoint: real store, real simulator, real HTTP to a real sink."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kvitto.callbacks.notices import NoticeVoice
from kvitto.callbacks.outbox import Outbox, OutboxLimits
from kvitto.callbacks.post import CallbackClient
from kvitto.core.model import Account, Notify
from kvitto.core.status import Status
from kvitto.dialects.base import Voice
from kvitto.dialects.sinch import SinchDialect
from kvitto.simulator import SimulatorConfig
from tests.support.rig import ACCOUNT, Rig, eventually, open_rig
from tests.support.sink import Received, Reply, Sink

SECRET = "whsec_test"


@asynccontextmanager
async def open_outbox(
    rig: Rig, *, allow_private: bool = True, limits: OutboxLimits | None = None, events_url: str | None = None
) -> AsyncIterator[Outbox]:
    async def account(account_id: str) -> Account | None:
        owner = replace(ACCOUNT, callback_secret=SECRET, events_url=events_url)
        return owner if account_id == ACCOUNT.id else None

    client = CallbackClient(clock=rig.clock)
    voices: dict[str, Voice] = {"sinch": SinchDialect(), "kvitto": NoticeVoice()}
    outbox = Outbox(rig.store, client, voices, account, rig.clock, allow_private=allow_private, limits=limits)
    outbox.start()
    try:
        yield outbox
    finally:
        await outbox.stop()
        await client.stop()


async def came(sink: Sink, count: int) -> list[Received]:
    await eventually(lambda: len(sink.received) >= count)
    return sink.received


async def test_each_recipient_is_told_once_at_its_end_and_signed(tmp_path: Path):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig, open_outbox(rig) as outbox:
            numbers = [f"4670100{n:04}" for n in range(200)]
            batch = await rig.send(*numbers, notify=Notify.FINAL, callback_url=sink.url)
            received = await came(sink, 200)
            await eventually(lambda: outbox.room() == OutboxLimits().in_hand)
            assert await rig.store.next_callback_at() is None
    assert sink.counts("batch_id", "recipient", "status") == {(batch.id, n, "Delivered"): 1 for n in numbers}
    for one in received:
        headers = one.headers
        message = b"%b.%b.%b" % (
            one.body,
            headers["x-sinch-webhook-signature-nonce"].encode(),
            headers["x-sinch-webhook-signature-timestamp"].encode(),
        )
        expected = base64.b64encode(hmac.digest(SECRET.encode(), message, hashlib.sha256)).decode()
        assert headers["x-sinch-webhook-signature"] == expected
        assert headers["content-type"] == "application/json"


async def test_every_change_of_a_recipient_is_told_in_order(tmp_path: Path):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig, open_outbox(rig):
            numbers = [f"4670100{n:04}" for n in range(20)]
            await rig.send(*numbers, notify=Notify.CHANGES, callback_url=sink.url)
            await came(sink, 40)
        for number in numbers:
            told = [body["status"] for body in sink.taken() if body["recipient"] == number]
            assert told == ["Dispatched", "Delivered"]


@pytest.mark.parametrize("notify", [Notify.BATCH_SUMMARY, Notify.BATCH_FULL])
async def test_a_batch_is_told_once_when_all_its_recipients_have_ended(tmp_path: Path, notify: Notify):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig, open_outbox(rig):
            batch = await rig.send("46701000001", "46701000002", "999000000010", notify=notify, callback_url=sink.url)
            (one,) = await came(sink, 1)
    assert one.json["batch_id"] == batch.id
    assert one.json["total_message_count"] == 3
    assert ("recipients" in one.json["statuses"][0]) == (notify is Notify.BATCH_FULL)


async def test_p9_a_failed_attempt_is_made_again_with_the_same_body(tmp_path: Path):
    with Sink() as sink:
        replies = [Reply(status=503), Reply(status=429), Reply(status=200)]
        sink.answer = lambda path, body: replies.pop(0)
        async with open_rig(tmp_path) as rig, open_outbox(rig):
            await rig.send("46701000001", notify=Notify.FINAL, callback_url=sink.url)
            await came(sink, 1)
            assert (await rig.store.next_callback_at() or 0) > rig.clock.now()
            await eventually(lambda: len(sink.received) >= 3, within_s=20)
            received = sink.received
            assert [one.status for one in received] == [503, 429, 200]
            assert len({one.body for one in received}) == 1
            assert received[1].at - received[0].at == pytest.approx(5, abs=1.1)
            assert received[2].at - received[0].at == pytest.approx(10, abs=1.2)


async def test_p19_a_loopback_target_is_refused_unless_the_setting_or_the_account_opens_it(tmp_path: Path):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig, open_outbox(rig, allow_private=False) as outbox:
            await rig.send("46701000001", notify=Notify.FINAL, callback_url=sink.url)
            await eventually(lambda: outbox.postponed == 1)
            assert sink.received == []


async def test_p12_a_hanging_endpoint_does_not_hold_up_another(tmp_path: Path):
    with Sink() as slow, Sink() as quick:
        slow.answer = lambda path, body: Reply(delay_s=30)
        async with open_rig(tmp_path) as rig, open_outbox(rig, limits=OutboxLimits(stop_s=0.1)):
            numbers = [f"4670100{n:04}" for n in range(100)]
            await rig.send(*numbers, notify=Notify.FINAL, callback_url=slow.url)
            await rig.send(*numbers, notify=Notify.FINAL, callback_url=quick.url)
            assert len(await came(quick, 100)) == 100


async def test_callbacks_that_nobody_took_over_are_found_after_a_restart(tmp_path: Path):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig:
            batch = await rig.send("46701000001", notify=Notify.FINAL, callback_url=sink.url)
            await rig.final(batch, "46701000001")
            async with open_outbox(rig):
                (one,) = await came(sink, 1)
                assert one.json["status"] == "Delivered"


async def test_r50_customers_that_hang_or_are_down_delay_no_receipt_s_answer_and_no_window(tmp_path: Path):
    with Sink() as hanging, Sink() as down:
        hanging.answer = lambda path, body: Reply(delay_s=30)
        down.answer = lambda path, body: Reply(status=0)
        smsc = SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=5)
        async with (
            open_rig(tmp_path, smsc=smsc, window=20, receipt_answer_s=5.0) as rig,
            open_outbox(rig, limits=OutboxLimits(stop_s=0.1)),
        ):
            slow, gone = [f"4670100{n:04}" for n in range(150)], [f"4670200{n:04}" for n in range(150)]
            batches = [
                (await rig.send(*slow, notify=Notify.CHANGES, callback_url=hanging.url), slow),
                (await rig.send(*gone, notify=Notify.CHANGES, callback_url=down.url), gone),
            ]
            for batch, numbers in batches:
                for number in numbers:
                    assert (await rig.final(batch, number)).status is Status.DELIVERED
            await came(hanging, 1)
            await came(down, 1)
            (link,) = rig.dispatcher.status()
            assert rig.dispatcher.lanes["main"].receiver.settled, "every receipt has its answer"
            assert link.in_flight == 0
            assert link.counters["receipts_refused"] == 0, "none waited for longer than 5 s"
            assert link.counters["timed_out"] == link.counters["in_doubt"] == 0
            assert rig.record.submits == dict.fromkeys([*slow, *gone], 1)
            assert await rig.store.next_callback_at() is not None, "what was not told waits on disk"
