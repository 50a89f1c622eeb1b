"""No octets make reading a receipt fail, whatever the flags, TLVs and settings (R17); what comes out can be stored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvitto.core.matching import Candidate, ReceiptIds, candidate_keys, match
from kvitto.core.receipt import LinkRules, MessageState, NotReceipt, Receipt, TextReceipts, Unparseable
from kvitto.core.status import FINAL
from kvitto.smpp.receipts import parse_receipt


@dataclass
class Pdu:
    short_message: bytes
    esm_class: int
    data_coding: int
    tlvs: Mapping[int, bytes]
    source_addr: str = "46701740611"
    destination_addr: str = "12345"
    raw: bytes = b"raw"


NOW = 1_773_068_400_000
RULES = [
    LinkRules(),
    LinkRules(time_zone=timezone(timedelta(hours=-12)), text_receipts=TextReceipts.OFF),
    LinkRules(time_zone=timezone(timedelta(hours=14)), numeric_stat=True, stat_aliases={"": MessageState.DELIVERED}),
    LinkRules(template=re.compile(r"(?P<id>\w*)[,:](?P<stat>\w+)?(?P<done_date>\d+)?(?P<sub>.)?(?P<err>..)?")),
]
SEEDS = [
    b"id:0123456789 sub:001 dlvrd:001 submit date:2603091405 done date:2603091406 stat:DELIVRD err:000 text:Hello",
    b"ID: 7f9c-2b1e Sub:1 Done Date: 20260309140506 stat:5 err: null Text:\xc3\xa5",
    b"\x05\x00\x03\x01\x02\x01id:7 stat:UNDELIV,err:21b|done_date:260309140500008-;text:id:8",
    b"8f3,DELIVRD,0,1,1,2603091405",
    "id:7 stat:EXPIRED err:0 done date:201112101112".encode("utf-16-be"),
    "id:7 stat:EXPIRED err:0 done date:201112101112".encode("utf-16-le"),
]
TAGS = [0x001E, 0x0204, 0x0423, 0x0424, 0x0427, 0x1400]


def check(pdu: Pdu, rules: LinkRules) -> None:
    result = parse_receipt(pdu, rules, NOW)
    if not isinstance(result, Receipt):
        assert isinstance(result, NotReceipt | Unparseable)
        return
    assert result.message_id
    assert result.final is (result.status in FINAL)
    for at in (result.submit_at, result.done_at):
        assert at is None or -(2**63) <= at < 2**63
    for count in (result.sub, result.dlvrd):
        assert count is None or 0 <= count < 2**63
    for text in (result.message_id, result.text_id, result.tlv_id, result.stat_raw, result.err, result.text):
        assert text is None or "\0" not in text.encode().decode()
    assert result.text is None or len(result.text) <= 255
    ids = ReceiptIds("g", result.tlv_id, result.text_id, result.source_addr, result.destination_addr)
    for key in candidate_keys(result.tlv_id, result.text_id, rules):
        match(ids, [Candidate(1, "g", key, "46701740611", 0, False)], rules)


@settings(max_examples=1_500)
@given(
    st.binary(max_size=200) | st.sampled_from(SEEDS),
    st.integers(0, 255),
    st.integers(0, 255) | st.sampled_from([0, 8]),
    st.dictionaries(st.sampled_from(TAGS), st.binary(max_size=80) | st.sampled_from(SEEDS)),
    st.sampled_from(RULES),
)
def test_r17_any_octets_are_read(octets, esm_class, data_coding, tlvs, rules):
    check(Pdu(octets, esm_class, data_coding, tlvs), rules)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_r17_mutated_receipts_are_read(seed):
    """Real forms with octets changed, doubled, dropped and cut; the same ones on each run."""
    chance = Random(7)
    for _ in range(1_500):
        octets = bytearray(seed)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(octets) + 1)
            kind = chance.randrange(4)
            if kind == 0:
                octets[place : place + 1] = bytes([chance.randrange(256)])
            elif kind == 1:
                octets[place:place] = octets[place : place + chance.randint(1, 20)]
            elif kind == 2:
                del octets[place : place + chance.randint(1, 10)]
            else:
                octets[place:place] = chance.choice([b"\0", b"id:", b" stat:", b"9" * 40, b"text:", b"\x1b", b" date:"])
        esm_class = chance.choice([0, 4, 0x20, 0x24, 0x44, 8, 0x10, chance.randrange(256)])
        check(Pdu(bytes(octets), esm_class, chance.choice([0, 8, 3]), {}), chance.choice(RULES))


@pytest.mark.parametrize("filler", [b"9", b"0", b"id:", b" id", b" ", b"stat :", b"\0", b"\xff", b"done date:9", b"a"])
@pytest.mark.parametrize(
    "head", [b"", b"id:", b"id:7 stat:", b"id:7 err:", b"id:7 sub:", b"id:7 done date:", b"id:7 text:"]
)
def test_r17_the_longest_payload_is_read_in_bounded_time(head, filler):
    octets = (head + filler * 65_535)[:65_535]
    check(Pdu(b"", 4, 0, {0x0424: octets}), LinkRules())
    check(Pdu(b"", 4, 0, {0x0424: octets, 0x001E: octets}), LinkRules())
