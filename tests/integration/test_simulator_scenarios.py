"""Scenarios over real TCP: answers, receipts, limits and broken connections, as an ESME meets them; and the record."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from kvitto.core.clock import SystemClock
from kvitto.simulator import JsonLinesRecord, Simulator, SimulatorConfig, make_scenario, read_scenario, scripted
from kvitto.smpp import events as ev
from kvitto.smpp.pdus import DataSm, QuerySm
from kvitto.smpp.session import Timers
from kvitto.smpp.spec import BindMode, Tlv
from tests.support.esme import Esme

EXAMPLES = Path(__file__).parents[2] / "examples" / "scenarios"
QUICK = {"kind": "fixed", "ms": 1}


@pytest.fixture
async def start():
    """Start simulators with a scenario, quick unless it says otherwise; all are stopped after the test."""
    async with contextlib.AsyncExitStack() as running:

        async def starter(scenario=None, *, record=None, seed=None, rate=None, **table):
            base = SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=5)
            asked = scenario if scenario is not None else make_scenario(table)
            config = scripted(base, asked, seed=seed, rate=rate)
            simulator = Simulator(config, SystemClock(), record, wire=record)
            await simulator.start()
            running.push_async_callback(simulator.stop)
            return simulator

        yield starter


def text(pdu):
    return pdu.short_message.decode("latin-1")


def word(pdu, name):
    return text(pdu).partition(f"{name}:")[2].split(" ")[0]


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_answers_with_spread_delays_come_out_of_order(start):
    delay = {"kind": "uniform", "min_ms": 0, "max_ms": 60}
    simulator = await start(seed=1, default={"answers": [{"delay": delay}]})
    async with Esme(simulator.port) as esme:
        for at in range(20):
            esme.send(f"4670{at:07d}", token=at)
        order = [int(str(answer.token)) for answer in await esme.answers(20)]
    assert sorted(order) == list(range(20))
    assert order != list(range(20))


async def test_refusals_come_by_prefix_and_by_share_and_late_if_told(start):
    simulator = await start(
        seed=3,
        default={"answers": [{"share": 0.5}, {"share": 0.5, "status": 0x45, "delay": QUICK}]},
        rules=[{"prefix": ["46709"], "answers": [{"status": 0x0B}]}],
    )
    async with Esme(simulator.port) as esme:
        for at in range(40):
            esme.send(f"46709{at:06d}" if at < 10 else f"46701{at:06d}", token=at)
        answers = {answer.token: answer.command_status for answer in await esme.answers(40)}
    assert {answers[at] for at in range(10)} == {0x0B}
    assert {answers[at] for at in range(10, 40)} == {0, 0x45}


async def test_a_rate_throttles_what_is_above_it(start):
    simulator = await start(throttle={"burst": 5, "status": 0x14}, rate=0.001)
    async with Esme(simulator.port) as esme:
        for at in range(8):
            esme.send(f"4670{at:07d}")
        assert [answer.command_status for answer in await esme.answers(8)] == [0] * 5 + [0x14] * 3


async def test_the_same_seed_meets_the_same_fate_over_the_wire(start):
    table = {
        "default": {
            "answers": [
                {"share": 0.7, "delay": {"kind": "uniform", "min_ms": 0, "max_ms": 20}},
                {"share": 0.3, "status": 0x14, "delay": QUICK},
            ],
            "outcomes": [{"share": 0.5}, {"share": 0.5, "receipts": [{"stat": "UNDELIV"}]}],
            "ids": {"kind": "uuid"},
            "receipts": {"delay": {"kind": "lognormal", "median_ms": 5}, "duplicate_share": 0.3},
        }
    }
    runs = []
    for seed in (11, 11, 12):
        simulator = await start(seed=seed, **table)
        async with Esme(simulator.port) as esme:
            for at in range(60):
                esme.send(f"46701{at:06d}", token=str(at))
            answers = {answer.token: (answer.command_status, answer.message_id) for answer in await esme.answers(60)}
            runs.append(answers)
    assert runs[0] == runs[1] != runs[2]
    assert {status for status, _ in runs[0].values()} == {0, 0x14}


# --- receipts ---------------------------------------------------------------------------------------------------------


async def test_ids_are_written_differently_in_three_places(start):
    ids = {"response": {"base": "hex", "upper": True}, "text": {"width": 12}, "tlv": {"base": "hex", "width": 10}}
    simulator = await start(first_id=0xABCDEF, default={"ids": ids, "receipts": {"delay": QUICK}})
    async with Esme(simulator.port) as esme:
        esme.send("46701234567")
        [answer] = await esme.answers(1)
        [receipt] = await esme.receipts_of(1)
    assert answer.message_id == "ABCDEF"
    assert word(receipt, "id") == "000011259375"
    assert receipt.tlvs[Tlv.RECEIPTED_MESSAGE_ID] == b"0000abcdef\0"


async def test_an_outcome_may_be_several_receipts_doubled_and_flagged(start):
    steps = [{"stat": "ENROUTE", "esm_class": 0x20}, {"stat": "UNDELIV", "err": "021", "after_ms": 5}]
    receipts = {"delay": QUICK, "duplicate_share": 1.0, "duplicates": 2, "duplicate_after_ms": 1}
    simulator = await start(default={"outcomes": [{"receipts": steps}], "receipts": receipts})
    async with Esme(simulator.port) as esme:
        esme.send("46701234567")
        found = await esme.receipts_of(4)
    assert [(word(pdu, "stat"), word(pdu, "err"), pdu.esm_class) for pdu in found] == [
        ("ENROUTE", "000", 0x20),
        *[("UNDELIV", "021", 4)] * 3,
    ]


async def test_held_receipts_are_overtaken(start):
    rules = [{"prefix": ["1"], "receipts": {"held_share": 1.0, "held_ms": 50}}]
    simulator = await start(default={"receipts": {"delay": QUICK}}, rules=rules)
    async with Esme(simulator.port) as esme:
        esme.send("100")
        esme.send("200")
        assert [pdu.source_addr for pdu in await esme.receipts_of(2)] == ["200", "100"]


async def test_silence_and_lost_receipts_leave_nothing_waiting(start):
    rules = [{"prefix": ["1"], "outcomes": [{"receipts": []}]}, {"prefix": ["2"], "receipts": {"lost_share": 1.0}}]
    simulator = await start(rules=rules)
    async with Esme(simulator.port) as esme:
        esme.send("100")
        esme.send("200")
        await esme.answers(2)
        assert simulator.waiting == 0


async def test_a_receipt_comes_unasked_before_the_answer_and_on_another_bind(start):
    receipts = {"unasked": True, "before_answer_share": 1.0, "other_bind_share": 1.0}
    late = {"kind": "fixed", "ms": 1_000}
    simulator = await start(default={"receipts": receipts, "answers": [{"delay": late}]})
    async with Esme(simulator.port) as sender, Esme(simulator.port, mode=BindMode.RECEIVER) as other:
        sender.send("46701234567", registered_delivery=0)
        await other.receipts_of(1)
        assert sender.of(ev.SubmitAnswered) == []
        await sender.answers(1)


async def test_one_receipt_for_all_parts(start):
    simulator = await start(default={"receipts": {"one_for_all_parts": True, "delay": QUICK}})
    async with Esme(simulator.port) as esme:
        for part in (1, 2, 3):
            esme.send("46701234567", esm_class=0x40, short_message=bytes((5, 0, 3, 9, 3, part)) + b"x")
        answers = await esme.answers(3)
        [receipt] = await esme.receipts_of(1)
        assert simulator.waiting == 0
    assert word(receipt, "id") == answers[0].message_id


async def test_an_unanswered_receipt_is_repeated_as_told(start):
    connection = {"receipt_answer_s": 0.05, "retry_s": 0.01, "receipt_tries": 3, "window": 1}
    simulator = await start(connection=connection, default={"receipts": {"delay": QUICK}})
    async with Esme(simulator.port) as esme:
        esme.status = None
        esme.send("46701234567")
        await esme.receipts_of(3)
        assert simulator.waiting == 0


async def test_messages_from_handsets_come_once_to_the_first_bind_that_receives(start):
    simulator = await start(incoming=[{"source": "46701", "destination": "71000", "count": 3, "every_ms": 5}])
    async with Esme(simulator.port, mode=BindMode.TRANSMITTER), Esme(simulator.port) as esme:
        found = await esme.receipts_of(3)
        assert {(pdu.source_addr, pdu.destination_addr, text(pdu), pdu.esm_class) for pdu in found} == {
            ("46701", "71000", "Hello", 0)
        }
        async with Esme(simulator.port):
            assert simulator.waiting == 0


# --- binds and connections --------------------------------------------------------------------------------------------


async def test_r52_what_a_lost_receipt_would_have_told_a_query_is_told(start):
    outcome = {"receipts": [{"stat": "UNDELIV", "err": "027"}]}
    delay = {"kind": "fixed", "ms": 0}
    said = {
        "ids": {"response": {"base": "hex"}},
        "outcomes": [outcome],
        "receipts": {"lost_share": 1.0, "delay": delay},
    }
    simulator = await start(default=said)
    async with Esme(simulator.port) as esme:
        esme.send("46701234567")
        (answer,) = await esme.answers(1)
        esme.connection.query(QuerySm(message_id=answer.message_id, source_addr="Kvitto"), "token")
        await esme.until(lambda: esme.of(ev.QueryAnswered))
        (told,) = esme.of(ev.QueryAnswered)
        assert (told.command_status, told.message_state, told.error_code) == (0, 5, 27)
        assert esme.receipts == []


async def test_binds_are_limited_by_kind_delayed_and_first_refused(start):
    simulator = await start(connection={"max_receivers": 1, "refuse_binds": [0x08], "bind_delay_ms": 10})
    async with Esme(simulator.port) as first:
        assert first.of(ev.BindAnswered)[0].command_status == 0x08
    async with Esme(simulator.port, mode=BindMode.RECEIVER), Esme(simulator.port) as sender:
        assert sender.of(ev.BindAnswered)[0].command_status == 0
        async with Esme(simulator.port, mode=BindMode.RECEIVER) as second:
            assert second.of(ev.BindAnswered)[0].command_status == 0x0D


async def test_no_interface_version_if_told(start):
    simulator = await start(connection={"interface_version": 0})
    async with Esme(simulator.port) as esme:
        assert esme.of(ev.BindAnswered)[0].interface_version is None


async def read_all(port, *pieces):
    """What the simulator writes until it closes, when these octets are written to it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(pieces))
    found = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return found


ENQUIRE = bytes.fromhex("00000010 00000015 00000000 00000002")


def bind_pdu():
    body = b"kvitto\0kvitto\0\0\x34\0\0\0"
    return (16 + len(body)).to_bytes(4, "big") + bytes.fromhex("00000009 00000000 00000001") + body


@pytest.mark.parametrize("octets", [1, 15, 16, 20, 28, 29, 40])
async def test_a_connection_is_cut_at_exactly_that_octet_sent(start, octets):
    simulator = await start(faults={"cut_after_sent_bytes": octets})
    found = await read_all(simulator.port, bind_pdu(), ENQUIRE, ENQUIRE, ENQUIRE)
    assert len(found) == octets
    assert simulator.binds == 0


async def test_a_connection_is_cut_at_that_octet_read_and_nothing_beyond_is_looked_at(start):
    simulator = await start(faults={"cut_after_received_bytes": len(bind_pdu()) + 16})
    found = await read_all(simulator.port, bind_pdu(), ENQUIRE, ENQUIRE, ENQUIRE)
    assert found.count(bytes.fromhex("00000010 80000015")) == 1


async def test_only_the_first_connections_are_faulty(start):
    simulator = await start(faults={"connections": 2, "cut_after_received_bytes": 1})
    for _ in range(2):
        assert await read_all(simulator.port, bind_pdu()) == b""
    async with Esme(simulator.port) as esme:
        assert esme.of(ev.BindAnswered)[0].command_status == 0


async def test_a_half_open_connection_stands_and_its_receipts_go_elsewhere(start):
    simulator = await start(
        default={"receipts": {"delay": QUICK}}, rules=[{"prefix": ["1"], "answers": [{"kind": "half_open"}]}]
    )
    timers = Timers(enquire_link_s=0.1, enquire_answer_s=0.2)
    async with Esme(simulator.port, timers=timers) as esme:
        esme.status = None
        esme.send("200")
        await esme.receipts_of(1)
        esme.send("100")
        await esme.until(lambda: esme.of(ev.LinkDead))
        await esme.until(lambda: esme.lost is not None)
        assert esme.of(ev.SubmitAnswered) == [esme.of(ev.SubmitAnswered)[0]]
    assert simulator.binds == 0
    async with Esme(simulator.port) as other:
        assert {pdu.source_addr for pdu in await other.receipts_of(2)} == {"100", "200"}


async def test_half_open_by_octets_read(start):
    simulator = await start(faults={"half_open_after_received_bytes": len(bind_pdu()) + 16})
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(bind_pdu() + ENQUIRE)
    answers = await asyncio.wait_for(reader.readexactly(16 + 28), 10)
    assert bytes.fromhex("00000010 80000015") in answers
    assert bytes.fromhex("0000001c 80000009") in answers
    writer.write(ENQUIRE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()


async def test_a_peer_that_stops_reading_still_sends_receipts(start):
    delay = {"kind": "fixed", "ms": 100}
    length = len(bind_pdu())
    simulator = await start(faults={"stop_reading_after_bytes": length + 40}, default={"receipts": {"delay": delay}})
    async with Esme(simulator.port) as esme:
        esme.send("46701234567")
        await esme.receipts_of(1)
        esme.send("46701234568")
        esme.connection.unbind()
        await asyncio.sleep(0.1)
        assert len(esme.of(ev.SubmitAnswered)) == 1
        assert esme.of(ev.Unbound) == []
        esme.connection.abort("nobody answers an unbind here")


async def test_a_slow_reader_takes_so_many_octets_a_second(start):
    simulator = await start(faults={"read_bytes_per_s": 4_000})
    loop = asyncio.get_running_loop()
    async with Esme(simulator.port) as esme:
        began = loop.time()
        for at in range(20):
            esme.send(f"4670{at:07d}", short_message=b"x" * 50)
            await esme.answers(at + 1)
        assert loop.time() - began > 20 * 90 / 4_000 * 0.9


# --- the examples and the record --------------------------------------------------------------------------------------


async def test_the_example_of_odd_receipts_has_an_id_in_every_one(start):
    simulator = await start(read_scenario(EXAMPLES / "odd-receipts.toml"))
    numbers = [f"4670{at}000001" for at in range(1, 9)]
    async with Esme(simulator.port) as esme:
        for number in numbers:
            esme.send(number)
        answers = {answer.token: answer.message_id for answer in await esme.answers(8)}
        await esme.receipts_of(10)
        receipts = {pdu.source_addr: pdu for pdu in esme.receipts}
    assert receipts.keys() == set(numbers)
    assert isinstance(receipts[numbers[0]], DataSm)
    assert receipts[numbers[1]].short_message == b""
    assert (receipts[numbers[2]].tlvs, receipts[numbers[2]].esm_class) == ({}, 0)
    assert int(word(receipts[numbers[3]], "id")) == int(answers[numbers[3]], 16)
    assert word(receipts[numbers[4]], "id") == answers[numbers[4]].upper()
    assert text(receipts[numbers[5]]).startswith("stat:DELIVRD id:")
    assert receipts[numbers[6]].data_coding == 8


async def test_the_example_of_broken_lines_is_well_at_the_fourth_connection(start):
    simulator = await start(read_scenario(EXAMPLES / "broken-lines.toml"))
    found = [await read_all(simulator.port, bind_pdu(), ENQUIRE * count) for count in (2, 12, 12)]
    assert [len(octets) for octets in found[1:]] == [150, 150]
    assert bytes.fromhex("80000009 0000000d") in found[0]
    async with Esme(simulator.port) as esme:
        [message] = await esme.receipts_of(1)
        assert (message.source_addr, text(message)) == ("46701234567", "STOP")


async def test_the_record_has_every_pdu_both_ways_and_no_password(start, tmp_path):
    path = tmp_path / "record.jsonl"
    record = JsonLinesRecord(path, SystemClock())
    simulator = await start(record=record, default={"receipts": {"delay": QUICK}})
    async with Esme(simulator.port, password="kvitto") as esme:
        esme.send("46701234567", short_message=b"Hej")
        await esme.receipts_of(1)
    await read_all(simulator.port, b"GET / HTTP/1.1\r\n\r\n")
    await simulator.stop()
    record.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    wire = [
        (line["direction"], line["command"]) for line in lines if line["event"] == "pdu" and line["connection"] == 1
    ]
    assert wire == [
        ("in", "bind_transceiver"),
        ("out", "bind_transceiver_resp"),
        ("in", "submit_sm"),
        ("out", "submit_sm_resp"),
        ("out", "deliver_sm"),
        ("in", "deliver_sm_resp"),
        ("in", "unbind"),
        ("out", "unbind_resp"),
    ]
    [bound] = [line for line in lines if line.get("command") == "bind_transceiver"]
    assert (bound["fields"]["system_id"], bound["fields"]["password"]) == ("kvitto", "******")
    assert bytes.fromhex(bound["raw"])[16:30] == b"kvitto\0******\0"
    [submit] = [line for line in lines if line.get("command") == "submit_sm"]
    assert submit["fields"]["short_message"] == b"Hej".hex()
    assert bytes.fromhex(submit["raw"]).endswith(b"Hej")
    [receipt] = [line for line in lines if line.get("command") == "deliver_sm"]
    assert receipt["fields"]["tlvs"]["message_state"] == "02"
    assert all(isinstance(line["at"], int) for line in lines)
    assert [line["connection"] for line in lines if line["event"] in {"connect", "close"}] == [1, 1, 2, 2]
    assert [line["event"] for line in lines if line.get("connection") == 2] == ["connect", "no_pdu", "pdu", "close"]


async def test_the_record_never_holds_the_password_of_a_broken_bind(start, tmp_path):
    path = tmp_path / "record.jsonl"
    record = JsonLinesRecord(path, SystemClock())
    simulator = await start(record=record, faults={"cut_after_sent_bytes": 16})
    broken = bytes.fromhex("0000001d 00000009 00000000 00000001") + b"kvitto\0secret"
    await read_all(simulator.port, broken)
    await simulator.stop()
    record.close()
    assert b"secret".hex() not in path.read_text()
    assert "secret" not in path.read_text()
    assert '"raw": "0000001d000000090000000000000001"' in path.read_text()
