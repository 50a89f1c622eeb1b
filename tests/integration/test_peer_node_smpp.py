"""Interoperability with node-smpp: our sending side against its SMSC, its ESME against our simulator."""

import re
from pathlib import Path

import pytest

from kvitto.core.model import Content
from kvitto.core.status import Reason, Status
from kvitto.dispatch.link import BindStyle, TlsOptions
from kvitto.smpp.session import Timers
from tests.support.authority import Authority
from tests.support.peers import NodeSmsc, SmscCommand, node_esme
from tests.support.rig import eventually, open_rig

TIMERS = Timers(enquire_link_s=0.2, enquire_answer_s=5.0)


# --- node-smpp is the SMSC --------------------------------------------------------------------------------------------

RECEIPTS = {
    "00": (Status.DELIVERED, Reason.DELIVERED),
    "01": (Status.DELIVERED, Reason.DELIVERED),
    "02": (Status.DELIVERED, Reason.DELIVERED),
    "03": (Status.DELIVERED, Reason.DELIVERED),
    "04": (Status.DELIVERED, Reason.DELIVERED),
    "05": (Status.DELIVERED, Reason.DELIVERED),
    "06": (Status.FAILED, Reason.UNDELIVERABLE),
    "07": (Status.DELIVERED, Reason.DELIVERED),
    "08": (Status.EXPIRED, Reason.VALIDITY_SMSC),
    "09": (Status.DELIVERED, Reason.DELIVERED),
    "90": (Status.REJECTED, Reason.SUBMIT_REFUSED),
}
"""Last digits -> how the message ends; tests/peers/smsc.js says what each receipt looks like."""


async def test_r14_r15_r16_r29_r33_receipts_of_node_smpp_in_every_form_find_their_messages(tmp_path: Path):
    with NodeSmsc() as smsc:
        async with open_rig(tmp_path, smsc_port=smsc.port, timers=TIMERS) as rig:
            numbers = {f"467012345{ending}": outcome for ending, outcome in RECEIPTS.items()}
            batch = await rig.send(*numbers)
            ended = {number: await rig.final(batch, number) for number in numbers}
            assert {number: (view.status, view.reason) for number, view in ended.items()} == numbers
            assert (ended["46701234506"].error.net_type, ended["46701234506"].error.net_code) == (3, 27)
            await eventually(lambda: len(smsc.of("receipt_answered")) == len(numbers) - 1)
    assert {line["status"] for line in smsc.of("receipt_answered")} == {0}
    assert {line["command"] for line in smsc.of("receipt_answered")} == {"deliver_sm_resp", "data_sm_resp"}
    assert smsc.of("error") == []


@pytest.mark.parametrize(
    ("text", "coding"), [("Ett långt brev. " * 20, 0), ("Длинное письмо. " * 10, 8)], ids=["gsm", "ucs2"]
)
async def test_r37_a_long_text_is_put_together_by_node_smpp_as_it_was_sent(tmp_path: Path, text: str, coding: int):
    with NodeSmsc() as smsc:
        async with open_rig(tmp_path, smsc_port=smsc.port) as rig:
            batch = await rig.send("46701234500", text=text, content=Content(text=text))
            view = await rig.final(batch, "46701234500")
            assert (view.status, view.parts) == (Status.DELIVERED, 3)
        parts = sorted(smsc.of("submit"), key=lambda part: part["udh"])
    assert {part["data_coding"] for part in parts} == {coding}
    assert len({part["udh"][:8] for part in parts}) == 1
    assert [part["udh"][-4:] for part in parts] == ["0301", "0302", "0303"]
    assert "".join(part["message"] for part in parts) == text


async def test_single_texts_arrive_letter_by_letter_and_ask_for_receipts(tmp_path: Path):
    texts = ["Hej på dig!", "@£$¥ [ok] {€}", "Привет, мир"]
    with NodeSmsc() as smsc:
        async with open_rig(tmp_path, smsc_port=smsc.port) as rig:
            for at, text in enumerate(texts):
                batch = await rig.send(f"4670123{at}00", text=text, content=Content(text=text))
                assert (await rig.final(batch, f"4670123{at}00")).status is Status.DELIVERED
        submits = smsc.of("submit")
    assert [submit["message"] for submit in submits] == texts
    assert {submit["registered_delivery"] & 1 for submit in submits} == {1}


@pytest.mark.parametrize("style", BindStyle)
async def test_r9_r13_binds_stay_alive_both_ways_and_leave_by_unbind(tmp_path: Path, style: BindStyle):
    with NodeSmsc() as smsc:
        async with open_rig(tmp_path, smsc_port=smsc.port, timers=TIMERS, bind=style) as rig:
            batch = await rig.send("46701234500")
            assert (await rig.final(batch, "46701234500")).status is Status.DELIVERED
            await eventually(lambda: smsc.of("enquire_link"))
            smsc.say("enquire")
            await eventually(lambda: smsc.of("enquire_link_resp"))
        await eventually(lambda: smsc.of("unbind") and smsc.of("close"))
    assert {line["status"] for line in smsc.of("enquire_link_resp")} == {0}
    assert {line["version"] for line in smsc.of("bind")} == {0x34}
    assert smsc.of("generic_nack") == smsc.of("error") == []


@pytest.mark.parametrize("command", ["unbind", "hang"])
async def test_r13_after_node_smpp_leaves_the_link_binds_again(tmp_path: Path, command: str):
    with NodeSmsc() as smsc:
        async with open_rig(tmp_path, smsc_port=smsc.port) as rig:
            smsc.say(command)
            await eventually(lambda: len(smsc.of("bind")) == 2)
            batch = await rig.send("46701234500")
            assert (await rig.final(batch, "46701234500")).status is Status.DELIVERED
        if command == "unbind":
            assert [line["status"] for line in smsc.of("unbind_resp")] == [0]


async def test_r53_over_tls_node_smpp_is_bound_to_with_its_certificate_checked(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.pem("smsc.test")
    tls = TlsOptions(ca_file=str(authority.ca_file), server_name="smsc.test")
    with NodeSmsc(pem, pem) as smsc:
        async with open_rig(tmp_path, smsc_port=smsc.port, tls=tls) as rig:
            batch = await rig.send("46701234506")
            assert (await rig.final(batch, "46701234506")).status is Status.FAILED


# --- node-smpp is the ESME --------------------------------------------------------------------------------------------


def id_in(text: str) -> str:
    found = re.match(r"id:(\S+) ", text)
    assert found is not None
    return found.group(1)


def test_node_smpp_sends_to_our_simulator_and_gets_a_receipt_for_every_answer(tmp_path: Path):
    messages = [
        {"destination_addr": "46701234567", "short_message": "Hello"},
        {"destination_addr": "46701234568", "short_message": "", "message_payload": "A long one. " * 40},
        {"destination_addr": "46701234569", "parts": ["one ", "two ", "three"]},
        {"destination_addr": "999000000010", "short_message": "Привет"},
        {"destination_addr": "999000000020", "short_message": "refused"},
    ]
    with SmscCommand(tmp_path) as smsc:
        seen = node_esme(smsc.port, messages=messages, receipts=6)
        assert (seen["bind"], seen["enquired"], seen["unbound"], seen["version"]) == (0, 0, 0, 0x34)
        assert [answer["status"] for answer in sorted(seen["answers"], key=lambda one: one["at"])] == [0] * 6 + [0x0B]
        ids = {answer["message_id"] for answer in seen["answers"] if answer["status"] == 0}
        assert {receipt["id"] for receipt in seen["receipts"]} == ids
        assert {id_in(receipt["text"]) for receipt in seen["receipts"]} == ids
        [failed] = [receipt for receipt in seen["receipts"] if receipt["from"] == "999000000010"]
        assert (failed["state"], failed["network_error"], failed["esm_class"]) == (5, "03001b", 4)
        assert " stat:UNDELIV err:027 " in failed["text"]
        assert [line["fields"]["command_status"] for line in smsc.pdus("deliver_sm_resp")] == [0] * 6
        assert len(smsc.lines("close")) == 1


def test_node_smpp_reads_what_a_scenario_makes_of_receipts(tmp_path: Path):
    scenario = """
        first_id = 0xABCDEF
        [default.ids]
        response = { base = "hex" }
        text = { width = 12 }
        [default.receipts]
        carrier = "data_sm"
        [[default.outcomes]]
        receipts = [{ stat = "ENROUTE", esm_class = 0x20 }, { stat = "EXPIRED", err = "", after_ms = 5 }]
        [[incoming]]
        source = "46701"
        destination = "71000"
        text = "Ответ"
    """
    with SmscCommand(tmp_path, scenario) as smsc:
        message = {"destination_addr": "46701234567", "short_message": "Hello"}
        seen = node_esme(smsc.port, messages=[message], receipts=3)
    assert [answer["message_id"] for answer in seen["answers"]] == ["abcdef"]
    receipts = [receipt for receipt in seen["receipts"] if receipt["command"] == "data_sm"]
    assert [(receipt["state"], receipt["esm_class"]) for receipt in receipts] == [(1, 0x20), (3, 4)]
    assert {id_in(receipt["text"]) for receipt in receipts} == {"000011259375"}
    [message] = [receipt for receipt in seen["receipts"] if receipt["command"] == "deliver_sm"]
    assert (message["from"], message["text"]) == ("46701", "Ответ")


def test_node_smpp_is_told_of_a_wrong_password(tmp_path: Path):
    with SmscCommand(tmp_path) as smsc:
        assert node_esme(smsc.port, password="wrong")["bind"] == 0x0E


async def test_node_smpp_binds_over_tls(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.pem("localhost")
    with SmscCommand(tmp_path, "", "--tls-cert", str(pem), "--tls-key", str(pem)) as smsc:
        message = {"destination_addr": "46701234567", "short_message": "Hello"}
        seen = node_esme(smsc.port, ca_file=authority.ca_file, messages=[message], receipts=1)
    assert (seen["bind"], len(seen["receipts"])) == (0, 1)
