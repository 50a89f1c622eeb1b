"""Claimed messages as submit_sm: text, addresses, validity, references."""

from itertools import pairwise
from typing import Any

import pytest

from kvitto.core.model import Claimed, Content, ContentKind, PartKey
from kvitto.core.receipt import LinkRules, LongText
from kvitto.core.text import count_parts, split
from kvitto.dispatch import parts as parts_module
from kvitto.dispatch.parts import PartMaker, Unsendable, validity_period
from kvitto.smpp.codec import encode_by_table, encode_submit_sm
from kvitto.smpp.spec import Tlv

NOW = 1_773_065_100_000  # 2026-03-09 14:05:00 UTC
LONG = "x" * 400  # three parts


def claimed(text: str = "hello", *, id: str = "01M", todo: tuple[int, ...] | None = None, **changes) -> Claimed:
    parts = changes.pop("parts", count_parts(text))
    fields = {
        "message_id": id,
        "account_id": "A",
        "recipient": "46701234567",
        "sender": "12345",
        "content": Content(text=text),
        "text": text,
        "parts": parts,
        "todo": todo or tuple(range(1, parts + 1)),
        "expire_at": NOW + 300_000,
        "attempts": 0,
        **changes,
    }
    return Claimed(**fields)


def test_a_short_text_is_one_submit_sm_with_everything_the_smsc_needs():
    (part,) = PartMaker(LinkRules()).make(claimed("hello"), NOW)
    pdu = part.pdu
    assert part.keys == (PartKey("01M", 1),)
    assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr) == (3, 0, "12345")
    assert (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr) == (1, 1, "46701234567")
    assert pdu.short_message == b"hello"
    assert pdu.validity_period == "000000000500000R"
    assert encode_submit_sm(pdu, 1)


@pytest.mark.parametrize(("intermediate", "asked"), [(False, 0x01), (True, 0x11)])
def test_r36_r43_every_part_asks_for_receipts_of_success_and_failure(intermediate: bool, asked: int):
    parts = PartMaker(LinkRules(intermediate=intermediate)).make(claimed(LONG), NOW)
    assert [part.pdu.registered_delivery for part in parts] == [asked] * 3


def test_the_parts_of_a_text_share_a_reference_and_count_up():
    parts = PartMaker(LinkRules()).make(claimed(LONG), NOW)
    headers = [part.pdu.short_message[:6] for part in parts]
    assert {header[:3] for header in headers} == {b"\x05\x00\x03"}
    assert len({header[3] for header in headers}) == 1
    assert [tuple(header[4:]) for header in headers] == [(3, 1), (3, 2), (3, 3)]
    assert [part.keys for part in parts] == [(PartKey("01M", n),) for n in (1, 2, 3)]


def test_a_part_sent_again_by_another_process_carries_the_same_reference():
    first = PartMaker(LinkRules()).make(claimed(LONG), NOW)[1]
    again = PartMaker(LinkRules()).make(claimed(LONG, todo=(2,), attempts=1), NOW)[0]
    assert again.pdu.short_message == first.pdu.short_message
    assert again.keys == first.keys
    assert (first.attempts, again.attempts) == (1, 2)


def test_two_long_texts_in_a_row_to_one_phone_never_share_a_reference():
    maker = PartMaker(LinkRules())
    references = [maker.make(claimed(LONG, id=f"01M{n}"), NOW)[0].pdu.short_message[3] for n in range(600)]
    assert all(one != other for one, other in pairwise(references))


def test_a_sixteen_bit_reference_fills_its_seven_octet_header():
    parts = PartMaker(LinkRules(sixteen_bit_reference=True)).make(claimed(LONG), NOW)
    assert {part.pdu.short_message[:3] for part in parts} == {b"\x06\x08\x04"}
    assert [tuple(part.pdu.short_message[5:7]) for part in parts] == [(3, 1), (3, 2), (3, 3)]


def test_a_text_counted_before_the_link_was_known_goes_out_in_as_many_parts_as_were_counted():
    text = "y" * 306  # two parts with six octets of header, three with seven
    parts = PartMaker(LinkRules(sixteen_bit_reference=True)).make(claimed(text), NOW)
    assert len(parts) == 2
    assert "".join(part.pdu.short_message[6:].decode() for part in parts) == text


def test_sar_parts_carry_the_reference_in_tlvs():
    parts = PartMaker(LinkRules(long=LongText.SAR)).make(claimed(LONG), NOW)
    assert len({part.pdu.tlvs[Tlv.SAR_MSG_REF_NUM] for part in parts}) == 1
    assert [part.pdu.tlvs[Tlv.SAR_SEGMENT_SEQNUM] for part in parts] == [b"\x01", b"\x02", b"\x03"]
    assert "".join(part.pdu.short_message.decode() for part in parts) == LONG


def test_a_payload_link_sends_one_submit_sm_whose_answer_is_for_every_part():
    (part,) = PartMaker(LinkRules(long=LongText.PAYLOAD)).make(claimed(LONG), NOW)
    assert part.keys == tuple(PartKey("01M", n) for n in (1, 2, 3))
    assert part.pdu.short_message == b""
    assert part.pdu.tlvs[Tlv.MESSAGE_PAYLOAD] == LONG.encode()


def test_one_text_to_many_recipients_is_split_once_and_addressed_to_each(monkeypatch: pytest.MonkeyPatch):
    splits: list[str] = []

    def counted(text: str, **how: Any) -> Any:
        splits.append(text)
        return split(text, **how)

    monkeypatch.setattr(parts_module, "split", counted)
    maker = PartMaker(LinkRules())
    pdus = [maker.make(claimed("hej", id=f"01M{n}", recipient=f"4670{n:07}"), NOW)[0].pdu for n in range(3)]
    assert [pdu.destination_addr for pdu in pdus] == ["46700000000", "46700000001", "46700000002"]
    assert {pdu.short_message for pdu in pdus} == {b"hej"}
    assert splits == ["hej"]


def test_a_text_sent_before_to_somebody_else_differs_in_nothing_but_recipient_and_validity():
    maker = PartMaker(LinkRules())
    for ahead_ms in (300_000, 61_000, 40 * 86_400_000):
        for recipient in ("46701234567", "4670"):
            for sender in ("12345", "Kvitto"):
                message = claimed("hello", sender=sender, recipient=recipient, expire_at=NOW + ahead_ms)
                (used,), (fresh,) = maker.make(message, NOW), PartMaker(LinkRules()).make(message, NOW)
                assert used == fresh
                assert (used.pdu.source_addr, used.pdu.destination_addr) == (sender, recipient)
                assert used.pdu.validity_period == validity_period(NOW + ahead_ms, NOW)
                assert encode_by_table(used.pdu)[16:] == used.body


def test_binary_data_goes_with_its_own_header():
    content = Content(kind=ContentKind.BINARY, data="cafe", udh="050003010101")
    (part,) = PartMaker(LinkRules()).make(claimed("", content=content, parts=1), NOW)
    assert part.pdu.short_message == bytes.fromhex("050003010101cafe")
    assert part.pdu.esm_class == 0x40


def test_a_customers_own_type_of_number_is_sent():
    content = Content(text="hello", source_ton=2, source_npi=8)
    (part,) = PartMaker(LinkRules()).make(claimed(content=content), NOW)
    assert (part.pdu.source_addr_ton, part.pdu.source_addr_npi) == (2, 8)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sender": "a sender that is far too long"}, 0x0A),
        ({"sender": "\u0416"}, 0x0A),
        ({"recipient": "4" * 30}, 0x0B),
        ({"content": Content(kind=ContentKind.MEDIA)}, 0x03),
        ({"content": Content(kind=ContentKind.BINARY, data="no hex")}, 0x01),
    ],
)
def test_what_no_submit_sm_can_carry_is_refused_with_the_status_an_smsc_would_give(changes: dict, status: int):
    with pytest.raises(Unsendable) as refused:
        PartMaker(LinkRules()).make(claimed(**changes), NOW)
    assert refused.value.command_status == status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (300, "000000000500000R"),
        (0, "000000000001000R"),
        (30 * 86_400, "000030000000000R"),
        (90_061, "000001010101000R"),
        (30 * 86_400 + 1, "260408140501000+"),
    ],
)
def test_r58_validity_is_relative_up_to_thirty_days_and_absolute_beyond(seconds: int, text: str):
    assert validity_period(NOW + seconds * 1000, NOW) == text
