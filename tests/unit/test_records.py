"""Result records: every line gets one, with the fields of docs/smpp.md 2.3 and ``reason``, whatever the line is."""

import datetime as dt
from typing import Any

import pytest

from kvitto.core.receipt import LinkRules
from kvitto.smpp.codec import encode, encode_header
from kvitto.smpp.pdus import DataSm, DeliverSm, Empty, SubmitSm
from kvitto.smpp.records import FIELDS, read_pdu_line, read_text_line
from kvitto.smpp.spec import CommandId, Tlv

NOW = int(dt.datetime(2026, 3, 9, 14, 5, tzinfo=dt.UTC).timestamp() * 1000)
TEXT = b"id:913 sub:001 dlvrd:001 submit date:2603091404 done date:2603091405 stat:DELIVRD err:000 text:Hello"
RULES = LinkRules()


def line(**fields: Any) -> str:
    usual: dict[str, Any] = {"source_addr": "46701234567", "destination_addr": "12345", "esm_class": 4}
    return encode(DeliverSm(**(usual | {"short_message": TEXT} | fields)), 7).hex()


def test_a_receipt_gives_every_field_of_the_record():
    tlvs = {Tlv.RECEIPTED_MESSAGE_ID: b"391\0", Tlv.MESSAGE_STATE: b"\x02", Tlv.NETWORK_ERROR_CODE: b"\x03\x00\x06"}
    pdu = line(tlvs=tlvs)
    assert read_pdu_line(pdu.upper() + " ", RULES, NOW) == {
        "kind": "receipt",
        "message_id": "391",
        "text_id": "913",
        "tlv_id": "391",
        "status": "DELIVERED",
        "final": True,
        "reason": None,
        "stat_raw": "DELIVRD",
        "message_state": 2,
        "err": "000",
        "network_error": {"type": 3, "code": 6},
        "submit_date": "2026-03-09T14:04:00Z",
        "done_date": "2026-03-09T14:05:00Z",
        "sub": 1,
        "dlvrd": 1,
        "text": "Hello",
        "raw": pdu,
    }


def test_a_data_sm_is_read_as_well():
    pdu = DataSm(source_addr="1", destination_addr="2", esm_class=4, tlvs={Tlv.MESSAGE_PAYLOAD: TEXT})
    assert read_pdu_line(encode(pdu, 1).hex(), RULES, NOW)["message_id"] == "913"


@pytest.mark.parametrize(
    ("stat", "esm_class", "reason"),
    [
        (b"UNKNOWN", 4, "smsc_unknown"),
        (b"WHAT", 4, "unreadable"),
        (b"UNDELIV", 0x20, "retrying_smsc"),
        (b"UNDELIV", 4, None),
        (b"DELIVRD", 4, None),
        (b"ENROUTE", 4, None),
    ],
)
def test_reason_is_told_only_where_the_status_leaves_a_question(stat: bytes, esm_class: int, reason: str | None):
    pdu = line(esm_class=esm_class, short_message=b"id:1 stat:" + stat)
    assert read_pdu_line(pdu, RULES, NOW)["reason"] == reason


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ("", "unparseable", "empty"),
        ("   ", "unparseable", "empty"),
        ("zz", "unparseable", "not hex"),
        ("123", "unparseable", "not hex"),
        ("\ufffd\ufffd", "unparseable", "not hex"),
        ("00000010", "unparseable", "4 octets"),
        (line()[:-2], "unparseable", "command_length"),
        (line() + "00", "unparseable", "command_length"),
        (encode_header(CommandId.DELIVER_SM, 0, 1, 3).hex() + "414141", "unparseable", "broken"),
        (encode(Empty(CommandId.ENQUIRE_LINK, 1)).hex(), "not_receipt", "enquire_link"),
        (encode(SubmitSm(destination_addr="1", short_message=TEXT), 1).hex(), "not_receipt", "submit_sm"),
        (encode_header(0x00012345, 0, 1).hex(), "not_receipt", "0x00012345"),
    ],
)
def test_a_line_without_a_readable_receipt_has_a_record_and_says_why(given: str, kind: str, says: str):
    record = read_pdu_line(given, RULES, NOW)
    assert record["kind"] == kind
    assert says in record["error"]
    assert tuple(record) == (*FIELDS, "error")


def test_an_incoming_message_and_a_receipt_without_an_id_have_their_kinds():
    assert read_pdu_line(line(esm_class=0, short_message=b"stat: id: what?"), RULES, NOW)["kind"] == "not_receipt"
    record = read_pdu_line(line(short_message=b"nothing here"), RULES, NOW)
    assert (record["kind"], record["message_id"], tuple(record)) == ("unparseable", None, FIELDS)


def test_a_text_alone_is_read_as_a_flagged_receipt_in_the_links_zone():
    zone = LinkRules(time_zone=dt.timezone(dt.timedelta(hours=2)))
    record = read_text_line("id:7 stat:UNDELIV err:21b done date:2603091605 text:grüße €".encode(), zone, NOW)
    assert record["done_date"] == "2026-03-09T14:05:00Z"
    assert (record["status"], record["err"], record["text"]) == ("FAILED", "21B", "grüße €")


def test_a_text_alone_in_latin_1_is_read_too():
    assert read_text_line(b"id:7 stat:DELIVRD text:gr\xfc\xdfe", RULES, NOW)["text"] == "grüße"


def test_a_text_without_an_id_is_unparseable_and_says_so():
    record = read_text_line(b"hello", RULES, NOW)
    assert (record["kind"], record["error"]) == ("unparseable", "no id in this text")


@pytest.mark.parametrize(
    ("date", "iso"),
    [
        ("260309140500400+", "2026-03-09T13:05:00Z"),
        ("260309140500300+", "2026-03-09T14:05:00.3Z"),
        ("00010101000000", None),
        ("0000000000", None),
    ],
)
def test_r20_dates_are_told_in_utc_or_not_at_all(date: str, iso: str | None):
    date = date.replace("500400+", "500004+").replace("500300+", "500300+")
    zone = LinkRules(time_zone=dt.timezone(dt.timedelta(hours=2)))
    assert read_text_line(f"id:7 stat:DELIVRD done date:{date}".encode(), zone, NOW)["done_date"] == iso
