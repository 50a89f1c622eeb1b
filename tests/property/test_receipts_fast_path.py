"""The fast reader of the commonest receipt gives what the plain reader gives, or gives up (docs/smpp.md part 2)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvitto.core.receipt import LinkRules, MessageState, Receipt
from kvitto.smpp.receipts import _read_any, _read_standard


@dataclass
class Pdu:
    short_message: bytes
    esm_class: int
    data_coding: int
    tlvs: Mapping[int, bytes]
    source_addr: str = "46701740611"
    destination_addr: str = "12345"
    raw: bytes = b"raw"


DIGITS = st.text("0123456789", min_size=1, max_size=16)
DATES = st.sampled_from(["2603091405", "260309140559", "20260309140559", "201010101010", "0000000000"]) | DIGITS
IDS = st.from_regex(r"[0-9A-Za-z_.-]{1,20}", fullmatch=True) | DIGITS
STATS = st.sampled_from(["DELIVRD", "UNDELIV", "EXPIRED", "ENROUTE", "WEIRD", "2", "delivrd", "GONE"])
ERRORS = st.sampled_from(["000", "0", "0032", "1375", "21b", "null", "NONE", "...", "abcdefgh", "123456789"])
WORDS = st.text(st.characters(max_codepoint=0xFF), max_size=30) | st.sampled_from(
    ["Hi", "id:9 stat:UNDELIV", " ", "é" * 300, "x\xa0", "\x85", "a\0b", "Text:x"]
)
TAILS = st.sampled_from(["", "\0", "\0\0", " ", "\n", " x", " text:", " err:5"])


@st.composite
def standard_texts(draw):
    """The spec's form, sometimes with one thing that is not quite it."""
    fields = [
        f"id:{draw(IDS)}",
        f"sub:{draw(DIGITS)}",
        f"dlvrd:{draw(DIGITS)}",
        f"submit date:{draw(DATES)}",
        f"done date:{draw(DATES)}",
        f"stat:{draw(STATS)}",
        f"err:{draw(ERRORS)}",
        f"{draw(st.sampled_from(['text', 'Text', 'TEXT']))}:{draw(WORDS)}",
    ]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        del fields[draw(st.integers(0, len(fields) - 1))]
    if draw(st.integers(0, 9)) == 0:
        fields = draw(st.permutations(fields))
    text = draw(st.sampled_from([" ", " ", " ", " ", "  ", ","])).join(fields) + draw(TAILS)
    return text.encode("latin-1")


TLVS = st.dictionaries(
    st.sampled_from([0x001E, 0x0423, 0x0424, 0x0427, 0x1400]),
    st.sampled_from([b"", b"\x02", b"\x05", b"\x07", b"\x0a", b"\x03\x00\x1b", b"034", b"7\0", b"\0", b" ", b"id:1 x"])
    | st.binary(max_size=8),
    max_size=4,
)
RULES = st.sampled_from(
    [
        LinkRules(),
        LinkRules(time_zone=ZoneInfo("Europe/Stockholm")),
        LinkRules(stat_aliases={"gone": MessageState.DELETED, "DELIVRD": MessageState.EXPIRED}, numeric_stat=True),
        LinkRules(template=re.compile(r"id:(?P<text>\w)(?P<id>\w)")),
    ]
)
ESM_CLASSES = st.sampled_from([4, 4, 4, 4, 7, 0x0C, 0x24, 0x44, 0, 8, 0x20])

STANDARD = b"id:7 sub:001 dlvrd:001 submit date:2603091405 done date:2603091406 stat:DELIVRD err:000 text:Hi"


@settings(max_examples=1_000)
@given(standard_texts() | st.binary(max_size=60), ESM_CLASSES, st.sampled_from([0, 0, 0, 3, 8]), TLVS, RULES)
@example(STANDARD, 4, 0, {}, LinkRules())
@example(STANDARD + b"\0", 4, 0, {0x1E: b"\0"}, LinkRules())
@example(STANDARD, 4, 0, {0x1E: b" "}, LinkRules())
@example(STANDARD + b"\xa0\xa0", 4, 0, {0x424: STANDARD}, LinkRules())
def test_fast_and_plain_reading_are_equal(octets, esm_class, data_coding, tlvs, rules):
    pdu = Pdu(octets, esm_class, data_coding, tlvs)
    fast = _read_standard(pdu, rules, 1_773_068_400_000)
    if fast is not None:
        assert fast == _read_any(pdu, rules, 1_773_068_400_000)


@given(IDS.filter(lambda sent: "." not in sent), DATES, st.sampled_from(["DELIVRD", "UNDELIV", "X9"]), TLVS)
def test_the_fast_reader_does_take_the_commonest_form(sent, date, stat, tlvs):
    text = f"id:{sent} sub:001 dlvrd:001 submit date:{date} done date:{date} stat:{stat} err:000 text:Hello\0"
    assert isinstance(_read_standard(Pdu(text.encode(), 4, 0, tlvs), LinkRules(), 0), Receipt)
