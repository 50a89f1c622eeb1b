"""Reading receipts: docs/smpp.md part 2 as tables (R14-R25, R40, R46, R47, R55)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from kvitto.core.receipt import (
    STAT_WORDS,
    STATES,
    LinkRules,
    MessageState,
    NetworkError,
    NotReceipt,
    Receipt,
    TextReceipts,
    Unparseable,
    decide_state,
    shown_done_at,
)
from kvitto.core.status import FINAL, Reason, Status
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.receipts import parse_receipt

STANDARD = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2603091405 done date:2603091406 stat:DELIVRD err:000 text:Hello there"
)
ID_TAG, NETWORK_TAG, PAYLOAD_TAG, STATE_TAG = 0x001E, 0x0423, 0x0424, 0x0427


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() * 1_000)


NOW = at(2026, 3, 9, 15, 0)


@dataclass
class Pdu:
    short_message: bytes = b""
    esm_class: int = 0x04
    data_coding: int = 0
    tlvs: Mapping[int, bytes] = field(default_factory=dict)
    source_addr: str = "46701740611"
    destination_addr: str = "12345"
    raw: bytes = b"\x00\x01raw"


def parse(text: bytes | str = b"", rules: LinkRules | None = None, **pdu) -> Receipt | NotReceipt | Unparseable:
    octets = text.encode("latin-1") if isinstance(text, str) else text
    return parse_receipt(Pdu(octets, **pdu), rules or LinkRules(), NOW)


def read(text: bytes | str = b"", rules: LinkRules | None = None, **pdu) -> Receipt:
    result = parse(text, rules, **pdu)
    assert isinstance(result, Receipt), result
    return result


def test_standard_receipt_is_read_whole():
    pdu = Pdu(STANDARD, tlvs={ID_TAG: b"0123456789\0", STATE_TAG: b"\x02", NETWORK_TAG: b"\x03\x00\x00"})
    assert parse_receipt(pdu, LinkRules(), NOW) == Receipt(
        message_id="0123456789",
        text_id="0123456789",
        tlv_id="0123456789",
        status=Status.DELIVERED,
        reason=Reason.DELIVERED,
        final=True,
        stat_raw="DELIVRD",
        message_state=2,
        err="000",
        network_error=NetworkError(3, 0),
        submit_at=at(2026, 3, 9, 14, 5),
        done_at=at(2026, 3, 9, 14, 6),
        sub=1,
        dlvrd=1,
        text="Hello there",
        raw=b"\x00\x01raw",
        source_addr="46701740611",
        destination_addr="12345",
        intermediate=False,
    )


def test_the_codecs_pdus_can_be_read():
    tlvs = {PAYLOAD_TAG: STANDARD}
    for pdu in (DeliverSm(esm_class=4, short_message=STANDARD), DataSm(esm_class=4, tlvs=tlvs)):
        result = parse_receipt(pdu, LinkRules(), NOW)
        assert isinstance(result, Receipt)
        assert result.text_id == "0123456789"


def test_the_three_results_name_their_kind():
    assert read(STANDARD).kind == "receipt"
    assert parse(b"hello", esm_class=0).kind == "not_receipt"
    assert parse(b"stat:DELIVRD").kind == "unparseable"


# --- 2.1 octets ------------------------------------------------------------------------------------------------------


def test_r16_text_in_message_payload_is_read():
    assert read(b"", tlvs={PAYLOAD_TAG: STANDARD}).text_id == "0123456789"


def test_r16_tlvs_alone_are_a_receipt():
    receipt = read(b"", tlvs={ID_TAG: b"abc", STATE_TAG: b"\x05"})
    assert (receipt.message_id, receipt.text_id, receipt.status) == ("abc", None, Status.FAILED)
    assert (receipt.stat_raw, receipt.err, receipt.text, receipt.sub, receipt.done_at) == (None,) * 5


@pytest.mark.parametrize(
    ("short_message", "wanted"),
    [(b"Your message was delivered", "0123456789"), (b"id:77 stat:DELIVRD", "77"), (b"msgid:77", "0123456789")],
)
def test_payload_is_used_when_the_short_message_has_no_id(short_message, wanted):
    assert read(short_message, tlvs={PAYLOAD_TAG: STANDARD}).text_id == wanted


def test_short_message_without_id_stays_when_the_payload_is_empty():
    assert read(b"stat:UNDELIV", tlvs={PAYLOAD_TAG: b"", ID_TAG: b"5"}).status is Status.FAILED


@pytest.mark.parametrize(
    "octets",
    [
        b"\x05\x00\x03\x2a\x02\x01" + STANDARD,
        b"\x06\x08\x04\x00\x2a\x02\x01" + STANDARD,
        b"\x00" + STANDARD,
        STANDARD,
        b"ID:0123456789" + STANDARD[13:],
        STANDARD.decode().encode("utf-16-be"),
        STANDARD.decode().encode("utf-16-le"),
    ],
    ids=["udh8", "udh16", "empty udh", "no udh", "no udh, upper case", "no udh, utf-16-be", "no udh, utf-16-le"],
)
@pytest.mark.parametrize("esm_class", [0x44, 0x64])
def test_r14_udh_flag_does_not_prove_a_header(octets, esm_class):
    receipt = read(octets, esm_class=esm_class)
    assert (receipt.message_id, receipt.status) == ("0123456789", Status.DELIVERED)


def test_header_longer_than_the_octets_is_no_header():
    assert read(b"\xffid:5", esm_class=0x44, tlvs={ID_TAG: b"5"}).text_id is None
    assert read(b"\x05 id:5 stat:EXPIRED"[1:], esm_class=0x44).text_id == "5"


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("tail", [b"", b"\0"], ids=["even", "odd"])
def test_r17_utf16_receipts_are_read_by_their_look(codec, tail):
    text = "id:0123456789 sub:001 dlvrd:001 stat:UNDELIV err:21b text:Čau 🚀"
    receipt = read(text.encode(codec) + (tail if codec == "utf-16-le" else b""))
    assert (receipt.message_id, receipt.status, receipt.err, receipt.text) == (
        "0123456789",
        Status.FAILED,
        "21B",
        "Čau 🚀",
    )


def test_r17_data_coding_8_is_utf16_whatever_it_looks_like():
    text = "id:7 stat:DELIVRD err:000"
    assert read(text.encode("utf-16-be") + b"\0", data_coding=8).err == "000"
    assert isinstance(parse(text.encode(), data_coding=8), Unparseable)


def test_r17_a_text_that_cuts_a_character_is_read():
    octets = "id:7 stat:DELIVRD text:ab🚀".encode("utf-16-be")[:-2]
    assert read(octets, data_coding=8).text == "ab\ufffd"


@pytest.mark.parametrize(
    "octets", [b"id:7 stat:EXPIRED text:\xc3\xa5\xff\x80\x90", STANDARD + b"\0", b"\t\r\nid:7\x01"]
)
def test_r17_odd_octets_are_read_as_latin1(octets):
    assert read(octets).text_id in ("7", "0123456789")


def test_nul_vanishes_and_control_characters_are_spaces():
    receipt = read(b"\0id:7\tstat:UN\0DELIV\r\nerr:0\x0132 text:a\x00b\x85c\x7f")
    assert (receipt.text_id, receipt.stat_raw, receipt.err, receipt.text) == ("7", "UNDELIV", "000", "ab c")


# --- 2.2 is it a receipt? --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("esm_class", "intermediate"),
    [(0x04, False), (0x24, False), (0x44, False), (0x07, False), (0x0C, False), (0x64, False), (0x20, True)],
)
def test_r14_flags_are_tested_by_bits(esm_class, intermediate):
    assert read(STANDARD, esm_class=esm_class).intermediate is intermediate


@pytest.mark.parametrize("esm_class", [0x00, 0x03, 0x40, 0x80, 0x18, 0x08, 0x10])
def test_r15_tlv_id_with_a_state_is_a_receipt_whatever_the_flags(esm_class):
    assert read(b"", esm_class=esm_class, tlvs={ID_TAG: b"9", STATE_TAG: b"\x02"}).message_id == "9"
    assert read(b"stat:WEIRD", esm_class=esm_class, tlvs={ID_TAG: b"9"}).reason is Reason.UNREADABLE
    assert isinstance(parse(b"hi", esm_class=esm_class, tlvs={ID_TAG: b"9"}), NotReceipt)
    assert isinstance(parse(b"hi", esm_class=esm_class, tlvs={ID_TAG: b"9", STATE_TAG: b"\x0a"}), NotReceipt)
    assert isinstance(parse(b"hi", esm_class=esm_class, tlvs={STATE_TAG: b"\x02"}), NotReceipt)


@pytest.mark.parametrize("esm_class", [0x0C, 0x18, 0x1B, 0x1C])
def test_r14_other_kinds_than_an_ordinary_message_are_not_told_by_their_text(esm_class):
    assert isinstance(parse(STANDARD, esm_class=esm_class), Receipt if esm_class & 0x04 else NotReceipt)


@pytest.mark.parametrize("esm_class", [0x08, 0x10])
@pytest.mark.parametrize(
    ("text", "tlvs", "is_receipt"),
    [
        (b"id:9 stat:DELIVRD", {}, True),
        (b"id:9", {STATE_TAG: b"\x02"}, True),
        (b"id:9 stat:WEIRD", {}, False),
        (b"stat:DELIVRD", {}, False),
        (b"id:9", {}, False),
        (b"read it, thanks", {}, False),
    ],
)
def test_handset_acknowledgements_need_id_and_state(esm_class, text, tlvs, is_receipt):
    assert isinstance(parse(text, esm_class=esm_class, tlvs=tlvs), Receipt) is is_receipt


@pytest.mark.parametrize("esm_class", [0x00, 0x01, 0x40, 0x80])
@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        b"ID:9 STAT:delivrd ERR:0",
        b"  id:9 stat:UNDELIV dlvrd:000",
        b"id : 9 sub : 1 stat : FAILED",
        b"id:9 done_date:x stat:EXPIRED",
    ],
)
def test_r15_receipts_without_flags_are_found_by_their_text(esm_class, text):
    assert isinstance(parse(text, esm_class=esm_class), Receipt)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"my id: 55 stat:DELIVRD err:000",
        b"id:9 stat:DELIVRD",
        b"id:9 stat:fine err:000",
        b"id:9 err:000 what is the stat",
        b"identity:9 stat:DELIVRD err:000",
        b"id 9 stat:DELIVRD err:000",
        b"id:9 text: stat:DELIVRD err:000",
    ],
)
def test_r15_a_customers_words_are_no_receipt(text):
    assert parse(text, esm_class=0) == NotReceipt(b"\x00\x01raw", "46701740611", "12345")


def test_r15_text_receipts_can_be_switched_off():
    rules = LinkRules(text_receipts=TextReceipts.OFF)
    assert isinstance(parse(STANDARD, rules, esm_class=0), NotReceipt)
    assert isinstance(parse(STANDARD, rules), Receipt)


@pytest.mark.parametrize("text", [b"", b"stat:DELIVRD err:000", b"id: stat:DELIVRD", b"id:, stat:DELIVRD", b"\xff" * 9])
@pytest.mark.parametrize("tlvs", [{}, {ID_TAG: b""}, {ID_TAG: b"\0"}, {ID_TAG: b"\0 7"}, {ID_TAG: b"  "}])
def test_a_flagged_receipt_without_any_id_is_unparseable(text, tlvs):
    result = parse(text, tlvs=tlvs)
    assert isinstance(result, Unparseable)
    assert result.raw == b"\x00\x01raw"


# --- 2.3 labels and values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "id:7 sub:001 dlvrd:000 submit date:2603091405 done date:2603091406 stat:UNDELIV err:032 text:Hi",
        "ID:7 SUB:001 DLVRD:000 SUBMIT DATE:2603091405 DONE DATE:2603091406 STAT:UNDELIV ERR:032 TEXT:Hi",
        "id: 7 sub: 1 dlvrd: 0 submit date: 2603091405 done date: 2603091406 stat: UNDELIV err: 32 Text: Hi",
        "id  :  7  sub :1 dlvrd :0 submit_date :2603091405 done_date:2603091406 status:UNDELIV error:0032 text :Hi",
        "stat:UNDELIV,err:032,done date:2603091406,submitdate:2603091405,dlvrd:0,sub:1,id:7,text:Hi",
        "err:032|stat:UNDELIV|id:7|sub:001|dlvrd:000|donedate:2603091406|submit date:26-03-09 14:05|text:Hi",
        "id:7;sub:001;dlvrd:000;submit date:2603091405;done date:2603091406;stat:UNDELIV;err:032;text:Hi",
        "note id:7 x sub:001 dlvrd:000 submit date:2603091405 done date:2603091406 y:z stat:UNDELIV zz err:032 text:Hi",
    ],
)
def test_r18_labels_in_any_case_order_and_spacing(text):
    receipt = read(text)
    assert (receipt.text_id, receipt.sub, receipt.dlvrd, receipt.err, receipt.text) == ("7", 1, 0, "032", "Hi")
    assert (receipt.submit_at, receipt.done_at) == (at(2026, 3, 9, 14, 5), at(2026, 3, 9, 14, 6))
    assert (receipt.stat_raw, receipt.status) == ("UNDELIV", Status.FAILED)


def test_r18_missing_fields_are_no_error():
    receipt = read("id:7 stat:DELIVRD")
    assert receipt[8:15] == (None,) * 7


def test_r18_the_first_occurrence_of_a_label_wins():
    receipt = read("id:7 id:8 status:EXPIRED stat:DELIVRD err:1 error:2 sub:1 sub:2")
    assert (receipt.text_id, receipt.status, receipt.err, receipt.sub) == ("7", Status.EXPIRED, "001", 1)


def test_r18_a_label_counts_only_after_a_separator():
    assert isinstance(parse("msgid:7 xstat:DELIVRD"), Unparseable)
    assert read("id:7 msgid:8 restat:EXPIRED stat:DELIVRD").status is Status.DELIVERED


@pytest.mark.parametrize("label", ["text:", "Text:", "TEXT :", "text: "])
def test_r19_words_inside_the_text_change_nothing(label):
    words = "id:9 stat:UNDELIV err:999 dlvrd:7 done date:2001010101 text:again"
    receipt = read(f"id:7 stat:DELIVRD {label}{words}")
    assert (receipt.text_id, receipt.status, receipt.err, receipt.dlvrd, receipt.done_at) == (
        "7",
        Status.DELIVERED,
        None,
        None,
        None,
    )
    assert receipt.text == words


@pytest.mark.parametrize("head", ["id:7 stat:DELIVRD ", STANDARD[:-11].decode()[:-5]])
def test_at_most_255_characters_of_the_text_are_kept(head):
    assert read(f"{head}text:{'é' * 300}").text == "é" * 255


@pytest.mark.parametrize(
    "sent",
    [
        "0123456789",
        "00B8BE19",
        "7f9c2b1e-4f4c-4b8e-9d5b-0a2a3c6e1f10",
        "1" * 24,
        "a_b.c:d",
        "000024",
        "MiXeD-é",
        "9" * 300,
    ],
)
def test_r27_ids_are_read_as_sent(sent):
    assert read(f"id:{sent} stat:DELIVRD err:000").text_id == sent
    assert read(b"", tlvs={ID_TAG: sent.encode("latin-1"), STATE_TAG: b"\x02"}).tlv_id == sent


def test_r24_the_tlv_id_leads_and_both_are_kept():
    receipt = read("id:0059113978 stat:DELIVRD", tlvs={ID_TAG: b"38601fa\0junk", STATE_TAG: b"\x02"})
    assert (receipt.message_id, receipt.tlv_id, receipt.text_id) == ("38601fa", "38601fa", "0059113978")


@pytest.mark.parametrize("empty", [b"", b"\0", b"\0abc"])
def test_an_empty_tlv_id_gives_way_to_the_text(empty):
    receipt = read("id:7 stat:DELIVRD", tlvs={ID_TAG: empty})
    assert (receipt.message_id, receipt.tlv_id) == ("7", None)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [("001", 1), ("0", 0), ("12", 12), ("x", None), ("", None), ("1a", None), ("²", None), ("9" * 19, None)],
)
def test_sub_and_dlvrd_are_integers_or_null(sent, wanted):
    receipt = read(f"id:7 sub:{sent} dlvrd:{sent} stat:DELIVRD")
    assert (receipt.sub, receipt.dlvrd) == (wanted, wanted)


# --- state -----------------------------------------------------------------------------------------------------------

MEANINGS = {
    0: (Status.DISPATCHED, Reason.SCHEDULED_SMSC),
    1: (Status.DISPATCHED, Reason.ENROUTE),
    2: (Status.DELIVERED, Reason.DELIVERED),
    3: (Status.EXPIRED, Reason.VALIDITY_SMSC),
    4: (Status.DELETED, Reason.DELETED_SMSC),
    5: (Status.FAILED, Reason.UNDELIVERABLE),
    6: (Status.DISPATCHED, Reason.OPERATOR_ACCEPTED),
    7: (Status.UNKNOWN, Reason.SMSC_UNKNOWN),
    8: (Status.REJECTED, Reason.REJECTED_SMSC),
    9: (Status.FAILED, Reason.SKIPPED),
}

WORDS = {
    Status.DISPATCHED: "SCHEDLD SCHEDULED ENROUTE ACCEPTD ACCEPTED ACKED BUFFRED BUFFERD BUFFERED QUEUED SUBMITTED "
    "SENT PENDING EN_ROUTE",
    Status.DELIVERED: "DELIVRD DELIVERED DELIVRED DLVRD",
    Status.EXPIRED: "EXPIRED EXPIRD",
    Status.DELETED: "DELETED CANCELED CANCELLED",
    Status.FAILED: "UNDELIV SKIPPED FAILED FAIL UNDELIVERED UNDELIVERABLE UNDELIVRD NOTDELIVERED UNDLVRD",
    Status.REJECTED: "REJECTD REJECTED REJECT BLOCKED",
    Status.UNKNOWN: "UNKNOWN UNKNOWND NOSTATE",
}


@pytest.mark.parametrize("number", MEANINGS)
def test_every_message_state_has_its_meaning(number):
    receipt = read(b"", tlvs={ID_TAG: b"7", STATE_TAG: bytes([number])})
    assert (receipt.status, receipt.reason) == MEANINGS[number]
    assert receipt.message_state == number
    assert receipt.final is (receipt.status in FINAL)


@pytest.mark.parametrize(
    ("word", "status"), [(word, status) for status, all_ in WORDS.items() for word in all_.split()]
)
def test_r22_every_stat_word_in_any_case(word, status):
    for sent in (word, word.lower(), word.title()):
        receipt = read(f"id:7 stat:{sent} err:0")
        assert (receipt.status, receipt.stat_raw) == (status, sent)


def test_the_table_of_words_is_the_documented_one():
    assert {word: row.status for word, row in STAT_WORDS.items()} == {
        word: status for status, words in WORDS.items() for word in words.split()
    }
    assert sorted(STATES) == list(range(10))


@pytest.mark.parametrize("value", [b"", b"\x0a", b"\xff", b"\x02\x02", b"\x00\x02"])
def test_a_message_state_out_of_range_counts_as_absent(value):
    receipt = read("id:7 stat:UNDELIV", tlvs={STATE_TAG: value})
    assert (receipt.status, receipt.message_state) == (Status.FAILED, None)


@pytest.mark.parametrize("stat", ["", " stat:", " stat:WEIRD", " stat:5", " stat:DELIVRDX", " stat:DELI"])
def test_r23_id_without_readable_state_is_unknown_unreadable(stat):
    receipt = read(f"id:7 err:000{stat}")
    assert (receipt.status, receipt.reason, receipt.final) == (Status.UNKNOWN, Reason.UNREADABLE, True)
    assert receipt.stat_raw == (stat.partition(":")[2] or None)


def test_r24_tlv_id_without_tlv_state_takes_the_texts_state():
    assert read("id:7 stat:EXPIRED", tlvs={ID_TAG: b"7"}).status is Status.EXPIRED


@pytest.mark.parametrize(
    ("tlv", "word", "wanted"),
    [
        (2, "DELIVRD", 2),
        (1, "DELIVRD", 2),
        (2, "ENROUTE", 2),
        (6, "UNDELIV", 5),
        (2, "UNDELIV", 2),
        (5, "DELIVRD", 5),
        (7, "DELIVRD", 2),
        (2, "UNKNOWN", 2),
        (7, "ENROUTE", 1),
        (0, "UNKNOWN", 0),
        (7, "UNKNOWN", 7),
        (1, "ACCEPTD", 1),
        (9, "UNDELIV", 9),
        (3, "WEIRD", 3),
    ],
)
def test_r24_conflict_of_tlv_and_text(tlv, word, wanted):
    receipt = read(f"id:7 stat:{word}", tlvs={STATE_TAG: bytes([tlv])})
    assert (receipt.status, receipt.reason) == MEANINGS[wanted]
    assert (receipt.message_state, receipt.stat_raw) == (tlv, word)


@pytest.mark.parametrize("number", [3, 4, 5, 7, 8, 9])
def test_intermediate_notice_of_a_failing_state_reports_an_attempt(number):
    receipt = read(b"id:7 err:027", esm_class=0x20, tlvs={STATE_TAG: bytes([number])})
    assert (receipt.status, receipt.reason, receipt.final) == (Status.DISPATCHED, Reason.RETRYING_SMSC, False)
    assert (receipt.intermediate, receipt.err, receipt.message_state) == (True, "027", number)


@pytest.mark.parametrize("number", [0, 1, 2, 6])
def test_intermediate_notice_of_another_state_is_read_as_it_is(number):
    receipt = read(b"id:7", esm_class=0x20, tlvs={STATE_TAG: bytes([number])})
    assert (receipt.status, receipt.reason) == MEANINGS[number]


def test_intermediate_notice_without_a_state_is_dispatched():
    assert (read(b"id:7", esm_class=0x20).status, read(b"id:7", esm_class=0x20).final) == (Status.DISPATCHED, False)


def test_receipt_flag_beside_the_intermediate_one_makes_it_the_end():
    receipt = read("id:7 stat:UNDELIV", esm_class=0x24)
    assert (receipt.status, receipt.intermediate) == (Status.FAILED, False)


@pytest.mark.parametrize("number", [0, 1, 6])
def test_r40_r46_scheduled_enroute_and_accepted_never_end_a_message(number):
    assert decide_state(STATES[number], None)[2] is False
    assert read("id:7 stat:BUFFRED").final is False


def test_r22_a_link_adds_and_changes_words():
    rules = LinkRules(
        stat_aliases={"0": MessageState.DELIVERED, "gone": MessageState.DELETED, "SENT": MessageState.DELIVERED}
    )
    assert read("id:7 stat:0", rules).status is Status.DELIVERED
    assert read("id:7 stat:GONE", rules).status is Status.DELETED
    assert read("id:7 stat:sent", rules).status is Status.DELIVERED
    assert read("id:7 stat:EXPIRED", rules).status is Status.EXPIRED


def test_r22_numeric_stats_only_when_the_link_says_so():
    assert read("id:7 stat:2").reason is Reason.UNREADABLE
    assert read("id:7 stat:2", LinkRules(numeric_stat=True)).status is Status.DELIVERED
    both = LinkRules(numeric_stat=True, stat_aliases={"0": MessageState.DELIVERED})
    assert (read("id:7 stat:0", both).status, read("id:7 stat:5", both).status) == (Status.DELIVERED, Status.FAILED)


# --- error -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("0", "000"),
        ("000", "000"),
        ("0000", "000"),
        ("5", "005"),
        ("032", "032"),
        ("0032", "032"),
        ("1375", "1375"),
        ("123456789012", "123456789012"),
        ("21b", "21B"),
        ("ABSENT", "ABSENT"),
        ("abcdefgh", "ABCDEFGH"),
        ("abcdefghi", None),
        ("null", None),
        ("NULL", None),
        ("none", None),
        ("NuLl", None),
        ("...", None),
        ("-", None),
        ("-1", None),
        ("", None),
        ("é", None),
        ("²", None),
        (" 045", "045"),
        ("045,x", "045"),
        ("0x1F", "0X1F"),
    ],
)
@pytest.mark.parametrize("stat", ["UNDELIV", "DELIVRD"])
def test_r21_r47_err_of_any_kind(sent, wanted, stat):
    assert read(f"id:7 stat:{stat} err:{sent}").err == wanted
    assert read(STANDARD.decode().replace("DELIVRD", stat).replace("err:000", f"err:{sent}")).err == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"\x03\x00\x1b", NetworkError(3, 27)),
        (b"\x08\xff\xff", NetworkError(8, 65_535)),
        (b"\x00\x00\x00", NetworkError(0, 0)),
        (b"034", NetworkError(None, 34)),
        (b"000", NetworkError(None, 0)),
        (b"03\x00", NetworkError(0x30, 0x3300)),
        (b"", None),
        (b"\x03\x1b", None),
        (b"\x03\x00\x00\x1b", None),
        (b"0034", None),
    ],
)
def test_network_error_code(value, wanted):
    assert read(STANDARD, tlvs={NETWORK_TAG: value}).network_error == wanted


# --- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("2603091405", at(2026, 3, 9, 14, 5)),
        ("26-03-09 14:05", at(2026, 3, 9, 14, 5)),
        ("260309140559", at(2026, 3, 9, 14, 5, 59)),
        ("20260309140559", at(2026, 3, 9, 14, 5, 59)),
        ("2026-03-09 14:05:59", at(2026, 3, 9, 14, 5, 59)),
        ("201902131405", at(2019, 2, 13, 14, 5)),  # no second 2020-19-..
        ("261301140500", at(2613, 1, 14, 5)),  # no month 13; what it then says, R55 judges
        ("263301330500", None),
        ("199902131405", at(1999, 2, 13, 14, 5)),
        ("7912312359", at(2079, 12, 31, 23, 59)),
        ("8001010000", at(1980, 1, 1)),
        ("260309140500000+", at(2026, 3, 9, 14, 5)),
        ("260309140500704+", at(2026, 3, 9, 13, 5) + 700),
        ("260309140500008-", at(2026, 3, 9, 16, 5)),
        ("260309140500048+", at(2026, 3, 9, 2, 5)),
        ("260309140500049+", None),
        ("260309140500000R", None),
        ("260309140500000", None),
        ("260309140500000 +", None),
        ("0000000000", None),
        ("000000000000", None),
        ("00000000000000", None),
        ("000000000000000+", None),
        ("2602300000", None),
        ("2603092460", None),
        ("260309", None),
        ("26030914055", None),
        ("2603091405591", None),
        ("never", None),
        ("", None),
        ("٢٦٠٣٠٩١٤٠٥", None),
        ("00010101000000", at(1, 1, 1)),
        ("00000101000000", None),
        ("9" * 14, None),
    ],
)
def test_r20_dates_of_every_kind(sent, wanted):
    text = f"id:7 submit date:{sent} done date:{sent} stat:DELIVRD err:000"
    receipt = read(text.encode("utf-16-be"))
    assert (receipt.submit_at, receipt.done_at, receipt.status) == (wanted, wanted, Status.DELIVERED)


def test_r20_first_day_of_the_calendar_in_an_eastern_zone_is_no_failure():
    rules = LinkRules(time_zone=timezone(timedelta(hours=14)))
    for date in ("00010101000000", "99991231235959"):
        read(f"id:7 submit date:{date} done date:{date} stat:DELIVRD err:000", rules)


@pytest.mark.parametrize(
    ("digits", "received_at", "wanted"),
    [
        # 20-11-12 10:11:12 or 2011-12-10 11:12
        ("201112101112", at(2020, 11, 12, 11), at(2020, 11, 12, 10, 11, 12)),
        ("201112101112", at(2011, 12, 10, 12), at(2011, 12, 10, 11, 12)),
        ("201112101112", at(2026, 3, 9), at(2020, 11, 12, 10, 11, 12)),
        # 20-10-10 10:10:10 or 2010-10-10 10:10; in the middle: the first
        (
            "201010101010",
            (at(2020, 10, 10, 10, 10, 10) + at(2010, 10, 10, 10, 10)) // 2,
            at(2020, 10, 10, 10, 10, 10),
        ),
        # not beginning with 20: no question
        ("191010101010", at(1910, 10, 10), at(2019, 10, 10, 10, 10, 10)),
    ],
)
def test_r20_twelve_digits_that_are_two_dates_are_the_nearer_one(digits, received_at, wanted):
    pdu = Pdu(f"id:7 done date:{digits} stat:DELIVRD".encode())
    result = parse_receipt(pdu, LinkRules(), received_at)
    assert isinstance(result, Receipt)
    assert result.done_at == wanted


def test_r55_dates_are_in_the_links_zone_summer_and_winter():
    rules = LinkRules(time_zone=ZoneInfo("Europe/Stockholm"))
    receipt = read("id:7 submit date:2603091405 done date:2607091405 stat:DELIVRD err:000", rules)
    assert (receipt.submit_at, receipt.done_at) == (at(2026, 3, 9, 13, 5), at(2026, 7, 9, 12, 5))


def test_r55_an_offset_of_its_own_beats_the_links_zone():
    rules = LinkRules(time_zone=ZoneInfo("Asia/Kolkata"))
    assert read("id:7 done date:260309140500004+ stat:DELIVRD", rules).done_at == at(2026, 3, 9, 13, 5)


MINUTE, DAY = 60_000, 86_400_000


@pytest.mark.parametrize(
    ("done", "shown"),
    [
        (10 * MINUTE, 10 * MINUTE),
        (0, 0),
        (-1, "received"),
        (-MINUTE, "received"),
        (-DAY, "received"),
        (-DAY - 1, "received"),
        (30 * MINUTE + DAY, 30 * MINUTE + DAY),
        (30 * MINUTE + DAY + 1, "received"),
        (None, None),
    ],
)
def test_r55_a_done_date_that_cannot_be_true_is_shown_as_the_time_of_receiving(done, shown):
    submitted, received = NOW, NOW + 30 * MINUTE
    wanted = received if shown == "received" else None if shown is None else submitted + shown
    assert shown_done_at(None if done is None else submitted + done, received, submitted) == wanted


# --- templates -------------------------------------------------------------------------------------------------------

COMMAS = re.compile(
    r"^(?P<id>\w+),(?P<stat>\w+),(?P<err>\w*),(?P<sub>\d*),(?P<dlvrd>\d*),(?P<submit_date>\d*),(?P<done_date>\d*)"
    r"(?:,(?P<text>.*))?$"
)


def test_r25_a_links_template_reads_a_form_without_labels():
    receipt = read("8f3,DELIVRD,0,1,1,2603091405,2603091406,Hello, you", LinkRules(template=COMMAS))
    assert (receipt.text_id, receipt.status, receipt.err, receipt.sub, receipt.dlvrd, receipt.text) == (
        "8f3",
        Status.DELIVERED,
        "000",
        1,
        1,
        "Hello, you",
    )
    assert (receipt.submit_at, receipt.done_at) == (at(2026, 3, 9, 14, 5), at(2026, 3, 9, 14, 6))


def test_r25_a_templates_groups_win_and_labels_fill_the_rest():
    rules = LinkRules(
        template=re.compile(r"msgref=(?P<id>\S+)(?P<other> )"), stat_aliases={"OK": MessageState.DELIVERED}
    )
    receipt = read("id:1 stat:OK msgref=22 err:5", rules)
    assert (receipt.text_id, receipt.status, receipt.err) == ("22", Status.DELIVERED, "005")


def test_r19_words_in_what_a_template_calls_the_text_are_no_fields():
    rules = LinkRules(template=re.compile(r"^(?P<id>[^,]+),(?P<stat>[^,]+),(?P<text>.*)$"))
    receipt = read("8f3,DELIVRD,Hi err:027 done date:2603091405 sub:009,dlvrd:001", rules)
    assert (receipt.text_id, receipt.status, receipt.err, receipt.done_at) == ("8f3", Status.DELIVERED, None, None)
    assert (receipt.sub, receipt.dlvrd) == (None, None)
    assert receipt.text == "Hi err:027 done date:2603091405 sub:009,dlvrd:001"


def test_r25_labels_around_a_templates_text_are_read():
    rules = LinkRules(template=re.compile(r'"(?P<text>[^"]*)"'))
    receipt = read('id:7 stat:DELIVRD msg:"err:5 stat:UNDELIV" err:003', rules)
    assert (receipt.text_id, receipt.status, receipt.err) == ("7", Status.DELIVERED, "003")
    assert receipt.text == "err:5 stat:UNDELIV"


def test_r25_without_a_hit_of_the_template_labels_are_read():
    assert read(STANDARD, LinkRules(template=COMMAS)).text_id == "0123456789"


def test_r25_a_template_in_the_short_message_keeps_it_before_the_payload():
    rules = LinkRules(template=COMMAS)
    assert read("8f3,DELIVRD,,,,,", rules, tlvs={PAYLOAD_TAG: STANDARD}).text_id == "8f3"


@pytest.mark.parametrize("tail", [b"\0", b" ", b"\r\n", b"\xff", b"\x1b", b" id:99 stat:UNDELIV"])
def test_trailing_octets_do_not_change_what_was_read(tail):
    receipt = read(STANDARD + tail)
    assert receipt._replace(text=None) == read(STANDARD)._replace(text=None)


def test_a_receipt_cut_at_any_octet_is_read_without_failing():
    for end in range(len(STANDARD) + 1):
        result = parse(STANDARD[:end])
        assert isinstance(result, Unparseable if end <= 3 else Receipt)
