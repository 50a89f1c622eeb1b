"""R57, R36, R43: the three ways of long text as an SMSC sees them, and the settings that shape a submit_sm."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kvitto.core.model import Content
from kvitto.core.receipt import Alphabet, LinkRules, LongText
from kvitto.core.status import Status
from kvitto.smpp.pdus import DeliverSm, SubmitSm
from kvitto.smpp.spec import Tlv
from tests.support.rig import eventually, open_rig
from tests.support.wire import wire_smsc

NUMBER = "46701234567"
LONG = "0123456789" * 40  # 400 characters: three parts of 153, or of 152


@asynccontextmanager
async def connected(folder: Path, **rules: Any):
    async with wire_smsc() as smsc, open_rig(folder, port=smsc.port, rules=LinkRules(**rules)) as rig:
        yield rig, smsc


async def submits(folder: Path, text: str, count: int, *, sender: str = "12345", **rules: Any) -> list[SubmitSm]:
    async with connected(folder, **rules) as (rig, smsc):
        await rig.send(NUMBER, text=text, content=Content(text=text), sender=sender)
        await eventually(lambda: len(smsc.submits) >= count)
        await asyncio.sleep(0)
        return list(smsc.submits)


def joined(pdus: Sequence[SubmitSm], header: int) -> str:
    return b"".join(pdu.short_message[header:] for pdu in pdus).decode()


async def test_r57_udh_parts_carry_an_8_bit_header(tmp_path: Path):
    pdus = await submits(tmp_path, LONG, 3)
    assert [pdu.esm_class & 0x40 for pdu in pdus] == [0x40] * 3
    headers = [pdu.short_message[:6] for pdu in pdus]
    assert {header[:3] for header in headers} == {b"\x05\x00\x03"}
    assert len({header[3] for header in headers}) == 1
    assert [tuple(header[4:]) for header in headers] == [(3, 1), (3, 2), (3, 3)]
    assert [len(pdu.short_message) for pdu in pdus] == [159, 159, 6 + 94]
    assert joined(pdus, 6) == LONG


async def test_r57_udh_parts_carry_a_16_bit_header_where_the_link_says_so(tmp_path: Path):
    pdus = await submits(tmp_path, LONG, 3, sixteen_bit_reference=True)
    headers = [pdu.short_message[:7] for pdu in pdus]
    assert {header[:3] for header in headers} == {b"\x06\x08\x04"}
    assert len({header[3:5] for header in headers}) == 1
    assert [tuple(header[5:]) for header in headers] == [(3, 1), (3, 2), (3, 3)]
    assert [len(pdu.short_message) for pdu in pdus] == [159, 159, 7 + 96]
    assert joined(pdus, 7) == LONG


async def test_r57_sar_parts_are_tied_by_tlvs_and_have_no_header(tmp_path: Path):
    pdus = await submits(tmp_path, LONG, 3, long=LongText.SAR)
    assert [pdu.esm_class for pdu in pdus] == [0] * 3
    assert len({pdu.tlvs[Tlv.SAR_MSG_REF_NUM] for pdu in pdus}) == 1
    assert [pdu.tlvs[Tlv.SAR_TOTAL_SEGMENTS] for pdu in pdus] == [b"\x03"] * 3
    assert [pdu.tlvs[Tlv.SAR_SEGMENT_SEQNUM] for pdu in pdus] == [b"\x01", b"\x02", b"\x03"]
    assert joined(pdus, 0) == LONG


async def test_r57_payload_is_one_submit_and_one_receipt_ends_it(tmp_path: Path):
    async with connected(tmp_path, long=LongText.PAYLOAD) as (rig, smsc):
        smsc.ids = ["77"]
        batch = await rig.send(NUMBER, text=LONG, content=Content(text=LONG))
        await eventually(lambda: smsc.submits)
        (pdu,) = smsc.submits
        assert (pdu.short_message, pdu.tlvs[Tlv.MESSAGE_PAYLOAD]) == (b"", LONG.encode())
        text = b"id:77 sub:003 dlvrd:003 stat:DELIVRD err:000"
        for _ in range(3):  # one for the whole, or as many as there were parts
            smsc.deliver(DeliverSm(source_addr=NUMBER, destination_addr="12345", esm_class=4, short_message=text))
        view = await rig.final(batch, NUMBER)
        assert (view.status, view.parts) == (Status.DELIVERED, 3)
        await eventually(lambda: smsc.answers == [0, 0, 0])


async def test_r57_two_long_texts_to_one_phone_have_different_references(tmp_path: Path):
    async with connected(tmp_path) as (rig, smsc):
        for text in (LONG, LONG[::-1]):
            await rig.send(NUMBER, text=text, content=Content(text=text))
        await eventually(lambda: len(smsc.submits) >= 6)
        assert len({pdu.short_message[3] for pdu in smsc.submits}) == 2


@pytest.mark.parametrize(("intermediate", "asked"), [(False, 0x01), (True, 0x11)])
async def test_r36_r43_every_part_asks_for_success_and_failure(tmp_path: Path, intermediate: bool, asked: int):
    pdus = await submits(tmp_path, LONG, 3, intermediate=intermediate)
    assert [pdu.registered_delivery for pdu in pdus] == [asked] * 3


@pytest.mark.parametrize(
    ("alphabet", "coding", "octets"),
    [(Alphabet.GSM, 0, b"\x00\x11\x7b"), (Alphabet.LATIN1, 3, b"@_\xe4"), (Alphabet.ASCII, 8, b"\x00@\x00_\x00\xe4")],
)
async def test_r56_the_links_default_alphabet_decides_how_a_text_is_written(
    tmp_path: Path, alphabet: Alphabet, coding: int, octets: bytes
):
    (pdu,) = await submits(tmp_path, "@_ä", 1, default_alphabet=alphabet)
    assert (pdu.data_coding, pdu.short_message) == (coding, octets)


@pytest.mark.parametrize(
    ("ton", "sender", "expected"),
    [(3, "12345", (3, 0)), (6, "12345", (6, 0)), (6, "Kvitto", (5, 0))],
)
async def test_a_short_codes_type_of_number_is_the_links(
    tmp_path: Path, ton: int, sender: str, expected: tuple[int, int]
):
    (pdu,) = await submits(tmp_path, "hello", 1, sender=sender, short_code_ton=ton)
    assert (pdu.source_addr_ton, pdu.source_addr_npi) == expected


# --- outbind ---------------------------------------------------------------------------------------------------------


async def test_r13_an_outbind_leads_to_a_bind_and_breaks_nothing(tmp_path: Path):
    async with wire_smsc() as smsc:
        smsc.outbind_first = True
        async with open_rig(tmp_path, port=smsc.port) as rig:
            batch = await rig.send(NUMBER)
            await eventually(lambda: smsc.submits)
            text = b"id:id-1 stat:DELIVRD err:000"
            smsc.deliver(DeliverSm(source_addr=NUMBER, destination_addr="12345", esm_class=4, short_message=text))
            assert (await rig.final(batch, NUMBER)).status is Status.DELIVERED
            assert (len(smsc.binds), smsc.connections) == (1, 1)
