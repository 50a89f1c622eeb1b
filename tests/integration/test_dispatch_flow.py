"""Out over SMPP and back: dispatcher, real store, real simulator, real sockets."""

import asyncio
from pathlib import Path

import pytest

from kvitto.core.model import Content
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Reason, Status
from kvitto.dispatch.link import BindState, BindStyle
from kvitto.simulator import SimulatorConfig
from kvitto.smpp.session import Timers
from tests.support.rig import Rig, eventually, open_rig


async def test_a_batch_leaves_and_its_receipts_come_back(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        numbers = [f"4670100{n:04}" for n in range(300)]
        batch = await rig.send(*numbers)
        for number in numbers:
            assert (await rig.final(batch, number)).status is Status.DELIVERED
        assert rig.record.submits == dict.fromkeys(numbers, 1)
        (status,) = rig.dispatcher.status()
        assert status.counters["submitted"] == status.counters["answers_ok"] == 300
        assert status.in_flight == 0


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [
        ("999000000000", Status.DELIVERED, Reason.DELIVERED),
        ("999000000003", Status.DELIVERED, Reason.DELIVERED),
        ("999000000004", Status.DELIVERED, Reason.DELIVERED),
        ("999000000006", Status.DELIVERED, Reason.DELIVERED),
        ("999000000007", Status.DELIVERED, Reason.DELIVERED),
        ("999000000008", Status.DELIVERED, Reason.DELIVERED),
        ("999000000010", Status.FAILED, Reason.UNDELIVERABLE),
        ("999000000013", Status.FAILED, Reason.SKIPPED),
        ("999000000014", Status.EXPIRED, Reason.VALIDITY_SMSC),
        ("999000000015", Status.DELETED, Reason.DELETED_SMSC),
        ("999000000017", Status.REJECTED, Reason.REJECTED_SMSC),
        ("999000000020", Status.REJECTED, Reason.SUBMIT_REFUSED),
        ("999000000021", Status.REJECTED, Reason.SUBMIT_REFUSED),
        ("999000000022", Status.DELIVERED, Reason.DELIVERED),
        ("999000000024", Status.DELIVERED, Reason.DELIVERED),
        ("999000000033", Status.UNKNOWN, Reason.UNREADABLE),
    ],
)
async def test_a_magic_number_ends_as_the_table_says(tmp_path: Path, number: str, status: Status, reason: Reason):
    async with open_rig(tmp_path, binds=2) as rig:
        view = await rig.final(await rig.send(number), number)
        assert (view.status, view.reason) == (status, reason)


@pytest.mark.parametrize("number", ["46701234567", "999000000042"])
async def test_r37_a_long_text_goes_in_parts_and_ends_when_all_have(tmp_path: Path, number: str):
    async with open_rig(tmp_path) as rig:
        text = "x" * 800
        view = await rig.final(await rig.send(number, text=text, content=Content(text=text)), number)
        assert view.status is Status.DELIVERED
        assert view.parts == 6
        assert rig.record.submits == {number: 6}


async def test_r38_one_failing_part_decides(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        text = "x" * 400
        view = await rig.final(await rig.send("999000000040", text=text, content=Content(text=text)), "999000000040")
        assert view.status is Status.FAILED


async def test_transmitter_and_receiver_binds_work_in_pairs(tmp_path: Path):
    async with open_rig(tmp_path, bind=BindStyle.PAIR, binds=2) as rig:
        assert rig.record.most_binds == 4
        view = await rig.final(await rig.send("46701234567"), "46701234567")
        assert view.status is Status.DELIVERED


async def test_r12_a_closed_connection_leaves_the_part_in_doubt_and_sends_it_once(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        batch = await rig.send("999000000051")
        await eventually(lambda: rig.store.list_in_doubt("main"))
        await eventually(lambda: rig.dispatcher.lanes["main"].link.reconnects >= 1)
        await rig.bound()
        assert (await rig.final(await rig.send("46701234567"), "46701234567")).status is Status.DELIVERED
        assert rig.record.submits["999000000051"] == 1
        assert (await rig.message(batch, "999000000051")).status is not Status.DELIVERED


async def test_r12_a_submit_that_is_never_answered_is_in_doubt_after_the_response_time(tmp_path: Path):
    async with open_rig(tmp_path, timers=Timers(response_s=0.1)) as rig:
        await rig.send("999000000050")
        await eventually(lambda: rig.store.list_in_doubt("main"))
        assert rig.record.submits["999000000050"] == 1
        assert rig.dispatcher.status()[0].counters["timed_out"] == 1


async def test_p27_an_smsc_that_restarts_gets_the_rest_afterwards(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        await rig.smsc.stop()
        batch = await rig.send("46701234567")
        link = rig.dispatcher.lanes["main"].link
        await eventually(lambda: not link.can_send)
        await _listen_again(rig)
        view = await rig.final(batch, "46701234567")
        assert view.status is Status.DELIVERED
        assert rig.record.submits["46701234567"] == 1


async def _listen_again(rig: Rig) -> None:
    rig.smsc.config = SimulatorConfig(port=rig.config.port, delay_min_ms=1, delay_max_ms=5)
    await rig.smsc.start()


async def test_r13_refused_credentials_are_not_hammered(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        await rig.dispatcher.stop()
        rig.config = type(rig.config)(
            name="main", host="127.0.0.1", port=rig.config.port, system_id="kvitto", password="wrong"
        )
        await rig.restart_dispatcher()
        bind = rig.dispatcher.lanes["main"].link.binds[0]
        await eventually(lambda: bind.state is BindState.REFUSED)
        assert "RINVPASWD" in bind.status().reason
        assert bind._pause_s() == 60.0


async def test_p28_a_stop_waits_for_answers_and_nothing_is_in_doubt_or_sent_twice(tmp_path: Path):
    async with open_rig(tmp_path, window=50) as rig:
        numbers = [f"4670100{n:04}" for n in range(400)]
        batch = await rig.send(*numbers)
        await eventually(lambda: rig.dispatcher.status()[0].counters["submitted"] > 50)
        await rig.dispatcher.stop()
        await rig.dispatcher.stop()
        assert await rig.store.list_in_doubt(None) == []
        await rig.restart_dispatcher()
        for number in numbers:
            assert (await rig.final(batch, number)).status is Status.DELIVERED
        assert rig.record.submits == dict.fromkeys(numbers, 1)


async def test_p28_what_is_not_answered_at_a_stop_is_in_doubt(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        await rig.send("999000000050")
        await eventually(lambda: rig.dispatcher.status()[0].in_flight == 1)
        rig.dispatcher._stop_s = 0.1
        await rig.dispatcher.stop()
        assert [part.recipient for part in await rig.store.list_in_doubt(None)] == ["999000000050"]


async def test_messages_that_another_process_accepted_are_found_by_the_poll(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        batch = await rig.accept(["46701234567"], valid_ms=60_000)
        assert (await rig.final(batch, "46701234567", within_s=5)).status is Status.DELIVERED


async def test_r58_a_message_whose_validity_ends_in_the_queue_expires_and_is_not_sent(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        await rig.smsc.stop()
        link = rig.dispatcher.lanes["main"].link
        await eventually(lambda: not link.can_send)
        batch = await rig.send("46701234567", valid_ms=200)
        view = await rig.final(batch, "46701234567")
        assert (view.status, view.reason) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
        await _listen_again(rig)
        await rig.bound()
        assert rig.record.submits == {}


async def test_r12_a_link_that_chose_it_sends_doubtful_parts_again(tmp_path: Path):
    rules = LinkRules(resend_in_doubt=True, resend_after_s=0)
    async with open_rig(tmp_path, rules=rules, timers=Timers(response_s=0.1)) as rig:
        await rig.send("999000000050")
        await eventually(lambda: rig.record.submits.get("999000000050", 0) >= 2)


async def test_p27_a_rate_is_kept_in_parts(tmp_path: Path):
    async with open_rig(tmp_path, window=100, rate=100.0) as rig:
        loop = asyncio.get_running_loop()
        began = loop.time()
        numbers = [f"4670100{n:04}" for n in range(60)]
        batch = await rig.send(*numbers)
        await eventually(lambda: len(rig.record.submits) == 60)
        took_s = loop.time() - began
        assert took_s >= 0.5  # 60 parts at 100 a second, the first five at once
        assert (await rig.final(batch, numbers[-1])).status is Status.DELIVERED
