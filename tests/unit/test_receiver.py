"""The loop in: what is delivered is stored first and answered then."""

from typing import Any, cast

import pytest

from kvitto.core.model import ReceiptOutcome
from kvitto.dispatch.dispatcher import Lane
from kvitto.dispatch.link import LinkConfig
from kvitto.dispatch.receiver import Receiver
from kvitto.smpp.codec import encode
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.spec import CommandId, Tlv
from kvitto.store.api import ReceiptResult
from tests.support.clock import FakeClock
from tests.support.scripted import ScriptedConnection, ScriptedStore, settle

DELIVER, DATA = CommandId.DELIVER_SM, CommandId.DATA_SM
MATCHED = ReceiptResult(ReceiptOutcome.MATCHED, 1, "01M")
TEXT = b"id:%d sub:001 dlvrd:001 submit date:2603091405 done date:2603091406 stat:DELIVRD err:000 text:"


def receipt(number: int, id: int = 7) -> bytes:
    return encode(DeliverSm(source_addr="46701234567", esm_class=4, short_message=TEXT % id), number)


class Bench:
    def __init__(self, clock: FakeClock, *, answer_within_s: float = 4.8) -> None:
        self.store = ScriptedStore()
        config = LinkConfig(name="main", group="g", host="h", port=1, system_id="s", password="p")
        lane = Lane(config, cast("Any", self.store), clock)
        self.connection = ScriptedConnection(clock)
        self.receiver = Receiver(lane.link, cast("Any", self.store), clock, answer_within_s=answer_within_s)

    async def receive(self, *frames: bytes) -> None:
        self.receiver.on_received(cast("Any", self.connection), self.connection.received(*frames))
        await settle()


@pytest.fixture
async def bench(clock: FakeClock) -> Bench:
    return Bench(clock)


async def test_r8_receipts_are_answered_when_they_are_stored_and_not_before(bench: Bench):
    bench.store.held = {"record_receipts"}
    bench.store.receipt_results = [MATCHED, MATCHED]
    await bench.receive(receipt(5), receipt(6))
    assert bench.connection.answered == []
    assert not bench.receiver.settled
    bench.store.release("record_receipts")
    await settle()
    assert bench.connection.answered == [(5, DELIVER, 0), (6, DELIVER, 0)]
    assert bench.receiver.settled


async def test_one_socket_read_is_one_call_of_the_store(bench: Bench, clock: FakeClock):
    await bench.receive(*[receipt(n) for n in range(1, 6)])
    (call,) = bench.store.of("record_receipts")
    received = call[0]
    assert [one.receipt.message_id for one in received] == ["7"] * 5
    assert {(one.link, one.group, one.at) for one in received} == {("main", "g", clock.now())}
    assert received[0].raw == receipt(1).hex()


async def test_r8_a_receipt_that_cannot_be_stored_is_asked_for_again(bench: Bench):
    bench.store.away = {"record_receipts"}
    await bench.receive(receipt(5))
    assert bench.connection.answered == [(5, DELIVER, 0x64)]
    assert bench.receiver.refused == 1


async def test_r8_a_receipt_that_is_not_stored_in_time_is_answered_once_and_may_come_again(clock: FakeClock):
    bench = Bench(clock, answer_within_s=0.0)
    bench.store.held = {"record_receipts"}
    bench.store.receipt_results = [MATCHED]
    await bench.receive(receipt(5))
    await settle()
    assert bench.connection.answered == [(5, DELIVER, 0x64)]
    bench.store.release("record_receipts")
    await settle()
    assert bench.connection.answered == [(5, DELIVER, 0x64)]
    assert bench.receiver.by_outcome[ReceiptOutcome.MATCHED] == 1


async def test_r16_a_receipt_in_data_sm_is_answered_with_data_sm_resp(bench: Bench):
    pdu = DataSm(source_addr="46701234567", esm_class=4, tlvs={Tlv.MESSAGE_PAYLOAD: TEXT % 9})
    await bench.receive(encode(pdu, 8))
    assert bench.connection.answered == [(8, DATA, 0)]
    assert bench.store.of("record_receipts")[0][0][0].receipt.message_id == "9"


async def test_a_flagged_receipt_without_an_id_is_kept_and_answered_ok(bench: Bench):
    await bench.receive(encode(DeliverSm(esm_class=4, short_message=b"?"), 5))
    assert bench.store.of("record_receipts")[0][0][0].receipt is None
    assert bench.connection.answered == [(5, DELIVER, 0)]


async def test_an_incoming_message_is_kept_with_its_text_and_answered_ok(bench: Bench):
    header_and_text = b"\x05\x00\x03\x01\x01\x01" + "hej då".encode("utf-16-be")
    pdu = DeliverSm(
        source_addr="46701234567",
        destination_addr="12345",
        esm_class=0x40,
        data_coding=8,
        short_message=header_and_text,
    )
    await bench.receive(encode(pdu, 5), receipt(6))
    (message,) = bench.store.of("record_incoming")[0][0]
    assert (message.source, message.destination, message.text) == ("46701234567", "12345", "hej då")
    assert sorted(bench.connection.answered) == [(5, DELIVER, 0), (6, DELIVER, 0)]
    assert bench.receiver.incoming == 1


async def test_r54_outcomes_and_levels_are_counted(bench: Bench):
    bench.store.receipt_results = [MATCHED, ReceiptResult(ReceiptOutcome.PARKED, None, None)]
    await bench.receive(receipt(5), receipt(6, id=8))
    assert bench.receiver.by_outcome[ReceiptOutcome.MATCHED] == 1
    assert bench.receiver.by_outcome[ReceiptOutcome.PARKED] == 1
    assert bench.receiver.by_level == {1: 1}


async def test_a_receipt_that_the_store_stumbles_over_does_not_hold_up_its_neighbours(bench: Bench):
    bench.store.stumbles = lambda receipts: any(one.receipt.message_id == "8" for one in receipts)
    await bench.receive(receipt(5), receipt(6, id=8), receipt(7))
    assert sorted(bench.connection.answered) == [(5, DELIVER, 0), (6, DELIVER, 0x64), (7, DELIVER, 0)]
    assert bench.receiver.settled


async def test_what_several_sockets_brought_in_one_turn_is_one_call_and_each_gets_its_own_answers(
    bench: Bench, clock: FakeClock
):
    other = ScriptedConnection(clock)
    bench.receiver.on_received(cast("Any", other), other.received(receipt(9, id=8)))
    await bench.receive(receipt(5), receipt(6))
    (call,) = bench.store.of("record_receipts")
    assert [one.receipt.message_id for one in call[0]] == ["8", "7", "7"]
    assert other.answered == [(9, DELIVER, 0)]
    assert bench.connection.answered == [(5, DELIVER, 0), (6, DELIVER, 0)]


async def test_while_two_batches_are_on_their_way_what_comes_is_collected_for_the_next(bench: Bench):
    bench.store.held = {"record_receipts"}
    for number in range(1, 6):
        await bench.receive(receipt(number))
    assert [len(call[0]) for call in bench.store.of("record_receipts")] == [1, 1]
    bench.store.held = set()
    bench.store.release("record_receipts")
    await settle()
    assert [len(call[0]) for call in bench.store.of("record_receipts")] == [1, 1, 3]
    assert bench.connection.answered == [(number, DELIVER, 0) for number in range(1, 6)]
    assert bench.receiver.settled


async def test_r8_receipts_that_wait_behind_a_store_that_hangs_are_answered_in_time_too(clock: FakeClock):
    bench = Bench(clock, answer_within_s=0.0)
    bench.store.held = {"record_receipts"}
    for number in range(1, 6):
        await bench.receive(receipt(number))
        await settle()
    assert sorted(bench.connection.answered) == [(number, DELIVER, 0x64) for number in range(1, 6)]
    assert not bench.receiver.settled
