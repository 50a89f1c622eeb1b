"""The simulator over real TCP, driven by the real transport: every row of the table, repeats, lost binds, refusals."""

import asyncio
import json
from typing import Any

import pytest

from kvitto.core.clock import SystemClock
from kvitto.simulator import JsonLinesRecord, Record, Simulator, SimulatorConfig
from kvitto.simulator.numbers import NUMBERS
from kvitto.smpp import events as ev
from kvitto.smpp.pdus import QuerySm
from kvitto.smpp.spec import BindMode, Tlv
from tests.support.esme import Esme


@pytest.fixture
def record():
    return Record()


@pytest.fixture
async def start(record):
    """Start simulators with the quick delays of tests; all are stopped after it."""
    running = []

    async def starter(**settings):
        quick = {"port": 0, "delay_min_ms": 1.0, "delay_max_ms": 5.0, "retry_s": 0.05, "seed": 1}
        simulator = Simulator(SimulatorConfig(**quick | settings), SystemClock(), record)
        await simulator.start()
        running.append(simulator)
        return simulator

    yield starter
    for simulator in running:
        await simulator.stop()


def number(nn, x=0):
    return f"999{x:07d}{nn}"


def fields(pdu):
    """The words of a receipt's text: stat, err and the like."""
    text = pdu.short_message.decode()
    pairs = [word.partition(":") for word in text.replace("submit date", "submit").replace("done date", "done").split()]
    return {key: value for key, _, value in pairs}


# NN -> (stat, err, network error, message_state) of each receipt, in order
OUTCOMES: dict[str, list[tuple[Any, ...]]] = {
    "00": [("DELIVRD", "000", None, 2)],
    "01": [("DELIVRD", "001", None, 2)],
    "03": [("UNDELIV", "027", None, 5), ("DELIVRD", "000", None, 2)],
    "04": [("DELIVRD", "000", None, 2)] * 3,
    "05": [("DELIVRD", "000", None, 2), ("UNDELIV", "027", None, 5)],
    "06": [("DELIVRD", "000", None, 2)],
    "07": [("DELIVRD", "000", None, 2)],
    "08": [("DELIVRD", "000", None, 2)],
    "10": [("UNDELIV", "027", b"\3\0\x1b", 5)],
    "11": [("UNDELIV", None, None, 5)],
    "12": [("UNDELIV", "954", None, 5)],
    "13": [("SKIPPED", "000", None, 9)],
    "14": [("EXPIRED", "032", b"\3\0\x20", 3)],
    "15": [("DELETED", "000", None, 4)],
    "16": [("UNKNOWN", "000", None, 7)],
    "17": [("REJECTD", "954", None, 8)],
    "30": [("ACCEPTD", "000", None, 6)],
    "31": [("ENROUTE", "000", None, 1)],
    "33": [("#?!", None, None, None)],
    "40": [("DELIVRD", "000", None, 2)],
    "41": [("DELIVRD", "000", None, 2)],
    "42": [("DELIVRD", "000", None, 2)],
    "50": [("DELIVRD", "000", None, 2)],
    "77": [("DELIVRD", "000", None, 2)],
}


@pytest.mark.parametrize("nn", OUTCOMES)
async def test_each_row_sends_its_receipts(start, nn):
    simulator = await start()
    expected = OUTCOMES[nn]
    async with Esme(simulator.port) as esme:
        esme.send(number(nn))
        receipts = await esme.receipts_of(len(expected))
        if nn != "50":
            [answer] = await esme.answers(1)
            assert answer.command_status == 0
            said = str(int(answer.message_id, 16)) if nn == "07" else answer.message_id
            assert {fields(pdu)["id"] for pdu in receipts} == {said}
    seen = []
    for pdu in receipts:
        state = pdu.tlvs.get(Tlv.MESSAGE_STATE)
        words = fields(pdu)
        seen.append((words["stat"], words.get("err"), pdu.tlvs.get(Tlv.NETWORK_ERROR_CODE), state and state[0]))
        assert pdu.tlvs[Tlv.RECEIPTED_MESSAGE_ID] == words["id"].encode() + b"\0"
        assert pdu.source_addr == number(nn)
        assert pdu.destination_addr == "Kvitto"
    assert seen == expected


@pytest.mark.parametrize(("nn", "status"), [("20", 0x0B), ("21", 0x401), ("23", 0x58)])
async def test_the_refusing_rows_refuse_every_time_and_send_nothing(start, record, nn, status):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        for _ in range(3):
            esme.send(number(nn))
        assert [answer.command_status for answer in await esme.answers(3)] == [status] * 3
    assert simulator.waiting == 0
    assert record.submits == {number(nn): 3}
    assert record.accepted == {}


@pytest.mark.parametrize(("nn", "status"), [("22", 0x58), ("24", 0x14)])
async def test_the_rows_that_refuse_once_take_the_second_try_of_each_number(start, nn, status):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        for x in (1, 1, 2, 1, 2):
            esme.send(number(nn, x))
        assert [a.command_status for a in await esme.answers(5)] == [status, 0, status, 0, 0]
        assert {fields(pdu)["stat"] for pdu in await esme.receipts_of(3)} == {"DELIVRD"}


async def test_06_the_receipt_comes_before_the_answer(start):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number("06"))
        await esme.answers(1)
        kinds = [type(event) for event in esme.events]
        assert kinds.index(ev.DeliverReceived) < kinds.index(ev.SubmitAnswered)


async def test_08_the_receipt_comes_on_another_bind_if_there_is_one(start):
    simulator = await start()
    async with Esme(simulator.port) as sender, Esme(simulator.port, mode=BindMode.RECEIVER) as other:
        for x in range(5):
            sender.send(number("08", x))
        assert len(await other.receipts_of(5)) == 5
        assert sender.receipts == []


async def test_50_the_submit_is_never_answered(start):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number("50"))
        esme.send(number("00"))
        await esme.receipts_of(2)
        assert [answer.token for answer in await esme.answers(1)] == [number("00")]
        assert esme.session.outstanding == 1


async def test_51_the_connection_closes_and_the_message_is_in_doubt(start, record):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number("51"))
        await esme.until(lambda: esme.lost is not None)
    assert esme.lost == [number("51")]
    assert record.submits == {number("51"): 1}
    assert simulator.waiting == 0


@pytest.mark.parametrize("nn", ["02", "34"])
async def test_slow_rows_are_answered_at_once_and_their_receipts_wait(start, nn):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number(nn))
        [answer] = await esme.answers(1)
        assert answer.command_status == 0
    assert simulator.waiting == 1


async def test_32_and_registered_delivery_0_get_no_receipt(start):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number("32"))
        esme.send("46701234567", registered_delivery=0)
        await esme.answers(2)
        assert simulator.waiting == 0


# --- Long texts -------------------------------------------------------------------------------------------------------


def udh_parts(total, reference=7):
    return [
        {"esm_class": 0x40, "short_message": bytes((5, 0, 3, reference, total, at)) + b"text"}
        for at in range(1, total + 1)
    ]


def sar_parts(total, reference=7):
    return [
        {"tlvs": {0x020C: reference.to_bytes(2, "big"), 0x020E: bytes((total,)), 0x020F: bytes((at,))}}
        for at in range(1, total + 1)
    ]


@pytest.mark.parametrize("parts", [udh_parts(3), sar_parts(3)], ids=["udh", "sar"])
@pytest.mark.parametrize("nn", ["40", "41", "42"])
async def test_rows_for_long_texts(start, nn, parts):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        for at, part in enumerate(parts, start=1):
            esme.send(number(nn), token=at, **part)
        answers = await esme.answers(3)
        part_of = {answer.message_id: answer.token for answer in answers}
        receipts = await esme.receipts_of(1 if nn == "41" else 3)
        outcome = [(part_of[fields(pdu)["id"]], fields(pdu)["stat"]) for pdu in receipts]
        # Under 42 the timer of held parts still stands; it finds nothing to do.
        assert simulator.waiting == (1 if nn == "42" else 0)
    if nn == "40":
        assert dict(outcome) == {1: "DELIVRD", 2: "UNDELIV", 3: "DELIVRD"}
    elif nn == "41":
        assert outcome == [(1, "DELIVRD")]
    else:
        assert [answer.token for answer in answers] == [3, 2, 1]
        assert outcome == [(3, "DELIVRD"), (2, "DELIVRD"), (1, "DELIVRD")]


async def test_42_parts_that_wait_for_each_other_are_answered_all_the_same(start):
    simulator = await start()
    async with Esme(simulator.port, window=1) as esme:
        for at, part in enumerate(udh_parts(2), start=1):
            esme.send(number("42"), token=at, **part)
            await esme.answers(at)
        assert len(await esme.receipts_of(2)) == 2


# --- Binds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "status"), [({"password": "wrong"}, 0x0E), ({"system_id": "nobody"}, 0x0F)], ids=["password", "id"]
)
async def test_wrong_credentials_are_refused(start, settings, status):
    simulator = await start()
    async with Esme(simulator.port, **settings) as esme:
        assert esme.of(ev.BindAnswered)[0].command_status == status
        await esme.until(lambda: esme.lost is not None)
    assert simulator.binds == 0


async def test_one_bind_too_many_is_refused_until_another_leaves(start, record):
    simulator = await start(max_binds=2)
    async with Esme(simulator.port), Esme(simulator.port) as second:
        async with Esme(simulator.port) as third:
            assert third.of(ev.BindAnswered)[0].command_status == 0x0D
        second.connection.unbind()
        await second.until(lambda: second.lost is not None)
        async with Esme(simulator.port) as fourth:
            assert fourth.of(ev.BindAnswered)[0].command_status == 0
    assert record.most_binds == 2


async def test_a_transmitters_receipts_come_on_a_receiver(start):
    simulator = await start()
    async with Esme(simulator.port, mode=BindMode.TRANSMITTER) as out:
        for x in range(20):
            out.send(number("00", x))
        await out.answers(20)
        async with Esme(simulator.port, mode=BindMode.RECEIVER) as back:
            assert len(await back.receipts_of(20)) == 20
        assert out.receipts == []


async def ask(esme, message_id, sender="Kvitto"):
    before = len(esme.of(ev.QueryAnswered))
    esme.connection.query(QuerySm(message_id=message_id, source_addr=sender), "token")
    await esme.until(lambda: len(esme.of(ev.QueryAnswered)) > before)
    return esme.of(ev.QueryAnswered)[-1]


@pytest.mark.parametrize(
    ("nn", "state", "error_code"),
    [("00", 2, 0), ("10", 5, 27), ("05", 2, 0), ("03", 2, 0), ("30", 6, 0), ("14", 3, 32)],
)
async def test_a_query_is_told_the_end_that_the_receipts_told(start, nn, state, error_code):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number(nn))
        (answer,) = await esme.answers(1)
        await esme.receipts_of(len(NUMBERS[nn].receipts))
        told = await ask(esme, answer.message_id)
        assert (told.command_status, told.message_state, told.error_code) == (0, state, error_code)
        assert bool(told.final_date) is (state != 6)


async def test_r52_a_message_whose_receipt_is_lost_can_be_asked_for(start):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number("32"))
        (answer,) = await esme.answers(1)
        async with asyncio.timeout(5):
            while not (told := await ask(esme, answer.message_id)).final_date:
                assert told.message_state == 1, "on its way until it is there"
        assert (told.message_state, len(told.final_date), told.final_date[-3:]) == (2, 16, "00+")
        assert esme.receipts == []


async def test_each_part_of_a_text_with_one_receipt_can_be_asked_for(start):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        for fields in udh_parts(3):
            esme.send(number("41"), **fields)
        answers = await esme.answers(3)
        await esme.receipts_of(1)
        assert [(await ask(esme, answer.message_id)).message_state for answer in answers] == [2, 2, 2]


async def test_a_query_for_an_id_that_was_not_given_to_this_sender_is_refused(start):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.send(number("00"))
        (answer,) = await esme.answers(1)
        assert (await ask(esme, "1")).command_status == 0x0C
        assert (await ask(esme, answer.message_id, sender="Other")).command_status == 0x0C


# --- Receipts are sent again ------------------------------------------------------------------------------------------


async def test_a_refused_receipt_comes_again_until_it_is_taken(start, record):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.status = 0x64
        esme.send(number("00"))
        await esme.receipts_of(3)
        esme.status = 0
        await esme.receipts_of(4)
        assert len({fields(pdu)["id"] for pdu in esme.receipts}) == 1
    assert (record.receipts_refused, record.receipts_answered) == (3, 1)


async def test_an_unanswered_receipt_comes_again_up_to_the_settled_number(start, record):
    simulator = await start(receipt_answer_s=0.05, receipt_tries=3)
    async with Esme(simulator.port) as esme:
        esme.status = None
        esme.send(number("00"))
        await esme.receipts_of(3)
        assert simulator.waiting == 0
    assert record.receipts_sent == 3


async def test_receipts_of_a_bind_that_is_gone_wait_for_the_next(start, record):
    simulator = await start()
    async with Esme(simulator.port) as esme:
        esme.status = None
        for x in range(50):
            esme.send(number("00", x))
        await esme.receipts_of(50)
        esme.connection.abort("the test kills it")
        await esme.until(lambda: esme.lost is not None)
    async with Esme(simulator.port) as again:
        receipts = await again.receipts_of(50)
        assert {pdu.source_addr for pdu in receipts} == {number("00", x) for x in range(50)}


async def test_the_window_of_receipts_is_kept(start, record):
    simulator = await start(window=5, delay_min_ms=0, delay_max_ms=0)
    async with Esme(simulator.port) as esme:
        esme.status = None
        for x in range(30):  # They travel in one piece, so their receipts are due in the same turn.
            esme.send(number("00", x))
        await esme.receipts_of(5)
        assert (record.receipts_sent, simulator.waiting) == (5, 25)
        esme.status = 0
        esme.connection.answer_many((pdu.sequence_number, pdu.command_id, 0) for pdu in list(esme.receipts))
        assert len(await esme.receipts_of(30)) == 30


async def test_a_stopped_simulator_keeps_what_it_owes(start):
    simulator = await start(delay_min_ms=50.0, delay_max_ms=60.0)
    async with Esme(simulator.port) as esme:
        for x in range(10):
            esme.send(number("00", x))
        await esme.answers(10)
        await simulator.stop()
        await simulator.stop()
        await esme.until(lambda: esme.lost is not None)
    await simulator.start()
    await simulator.start()
    async with Esme(simulator.port) as esme:
        assert len(await esme.receipts_of(10)) == 10


async def test_ten_thousand_messages_pass_quickly_and_none_is_lost(start, record):
    simulator = await start()
    total, sent = 10_000, 0
    async with Esme(simulator.port) as esme:
        while sent < total:
            for _ in range(min(esme.session.free_window, total - sent)):
                esme.send(f"4670{sent:07d}")
                sent += 1
            await esme.until(lambda: esme.session.free_window)
        receipts = await esme.receipts_of(total)
        ids = {answer.message_id for answer in await esme.answers(total)}
    assert len(ids) == total
    assert {fields(pdu)["id"] for pdu in receipts} == ids
    assert record.receipts_answered == total


async def test_the_record_on_disk_tells_the_same(start, tmp_path):
    path = tmp_path / "record.jsonl"
    record = JsonLinesRecord(path, SystemClock())
    simulator = Simulator(SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=2), SystemClock(), record)
    await simulator.start()
    async with Esme(simulator.port) as esme:
        esme.send(number("00"))
        esme.send(number("20"))
        await esme.receipts_of(1)
    await simulator.stop()
    record.close()
    record.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["bind", "submit", "submit", "receipt_sent", "receipt_answered"]
    assert [line["status"] for line in lines if line["event"] == "submit"] == [0, 0x0B]


async def test_octets_that_are_no_smpp_are_nacked_and_the_connection_closed(start):
    simulator = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer[4:12] == bytes.fromhex("80000000 00000002")
    writer.close()
