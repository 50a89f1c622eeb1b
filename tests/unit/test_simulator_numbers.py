"""The magic numbers: the table the README shows, and how the simulator reads a message."""

import pytest

from kvitto.simulator.numbers import DEFAULT, NUMBERS, Answer, LongText, behaviour_of
from kvitto.simulator.receipts import Minutes, PartMark, part_mark, receipt_pdu, wants_receipt
from kvitto.smpp.pdus import SubmitSm
from kvitto.smpp.spec import Tlv

TABLE = {
    "00": "DELIVRD, err 000",
    "01": "DELIVRD, err 001",
    "02": "DELIVRD after 4 s",
    "03": "failed-attempt notice (esm_class 0x20), then DELIVRD",
    "04": "DELIVRD three times",
    "05": "DELIVRD, then UNDELIV",
    "06": "DELIVRD before the submit's response",
    "07": "id hexadecimal in the response, decimal in the receipt",
    "08": "DELIVRD on another bind if there is one",
    "10": "UNDELIV, err 027, network error GSM 27",
    "11": "UNDELIV without a code",
    "12": "UNDELIV, err 954 (in no table)",
    "13": "SKIPPED",
    "14": "EXPIRED, err 032, network error GSM 32",
    "15": "DELETED",
    "16": "UNKNOWN",
    "17": "REJECTD, err 954",
    "20": "refuses the submit, 0x0B",
    "21": "refuses the submit, 0x401 (vendor)",
    "22": "0x58 once, then DELIVRD",
    "23": "0x58 for ever",
    "24": "0x14 once, then DELIVRD",
    "30": "ACCEPTD, nothing more",
    "31": "ENROUTE, nothing more",
    "32": "no receipt",
    "33": "a receipt with the id and no readable state",
    "34": "DELIVRD after 90 s",
    "40": "second part of a long text UNDELIV, the others DELIVRD",
    "41": "one receipt for a whole long text",
    "42": "parts answered and receipted out of order",
    "50": "never answers the submit, receipt comes",
    "51": "closes the connection after the submit",
}
#        NN: (stat, err, network error, seconds after the one before, esm_class) of each receipt
RECEIPTS = {
    "00": [("DELIVRD", "000", None, 0, 4)],
    "01": [("DELIVRD", "001", None, 0, 4)],
    "02": [("DELIVRD", "000", None, 4, 4)],
    "10": [("UNDELIV", "027", (3, 27), 0, 4)],
    "11": [("UNDELIV", None, None, 0, 4)],
    "12": [("UNDELIV", "954", None, 0, 4)],
    "13": [("SKIPPED", "000", None, 0, 4)],
    "14": [("EXPIRED", "032", (3, 32), 0, 4)],
    "15": [("DELETED", "000", None, 0, 4)],
    "16": [("UNKNOWN", "000", None, 0, 4)],
    "17": [("REJECTD", "954", None, 0, 4)],
    "30": [("ACCEPTD", "000", None, 0, 4)],
    "31": [("ENROUTE", "000", None, 0, 4)],
    "32": [],
    "34": [("DELIVRD", "000", None, 90, 4)],
    "20": [],
    "21": [],
    "23": [],
    "51": [],
}


def test_the_table_is_the_promised_one():
    assert {number: row.description for number, row in NUMBERS.items()} == TABLE
    assert all(row.number == number for number, row in NUMBERS.items())


@pytest.mark.parametrize("number", RECEIPTS)
def test_each_row_has_the_receipts_that_its_words_promise(number):
    steps = NUMBERS[number].receipts
    assert [(s.stat, s.err, s.network_error, s.after_s, s.esm_class) for s in steps] == RECEIPTS[number]


def test_the_rows_with_a_turn_of_their_own_have_it():
    assert [(s.stat, s.esm_class) for s in NUMBERS["03"].receipts] == [("UNDELIV", 0x20), ("DELIVRD", 0x04)]
    assert [s.stat for s in NUMBERS["04"].receipts] == ["DELIVRD"] * 3
    assert [s.stat for s in NUMBERS["05"].receipts] == ["DELIVRD", "UNDELIV"]
    assert NUMBERS["33"].receipts[0].state is None
    assert {n for n, row in NUMBERS.items() if row.hex_id} == {"07"}
    assert {n for n, row in NUMBERS.items() if row.other_bind} == {"08"}
    assert {n: row.refuse for n, row in NUMBERS.items() if row.refuse} == {
        "20": 0x0B,
        "21": 0x401,
        "22": 0x58,
        "23": 0x58,
        "24": 0x14,
    }
    assert {n for n, row in NUMBERS.items() if row.once} == {"22", "24"}
    assert {n: row.answer for n, row in NUMBERS.items() if row.answer is not Answer.AT_ONCE} == {
        "06": Answer.AFTER_RECEIPT,
        "50": Answer.NEVER,
        "51": Answer.CLOSE,
    }
    assert {n: row.long_text for n, row in NUMBERS.items() if row.long_text is not LongText.EACH_PART} == {
        "40": LongText.SECOND_FAILS,
        "41": LongText.ONE_RECEIPT,
        "42": LongText.OUT_OF_ORDER,
    }


@pytest.mark.parametrize(
    "number", ["46701234510", "99900000010", "9990000000010", "998000000010", "999000000099", "99900000001x", "", "10"]
)
def test_any_other_number_is_delivered(number):
    assert behaviour_of(number) is DEFAULT


def test_twelve_digits_under_999_choose_a_row():
    assert behaviour_of("999123456710") is NUMBERS["10"]


@pytest.mark.parametrize(
    ("pdu", "mark"),
    [
        (SubmitSm(short_message=b"\x05\x00\x03\x07\x02\x01Hi"), None),
        (SubmitSm(esm_class=0x40, short_message=b"\x05\x00\x03\x07\x02\x01Hi"), PartMark(7, 2, 1)),
        (SubmitSm(esm_class=0x40, short_message=b"\x06\x08\x04\x01\x07\x03\x03Hi"), PartMark(263, 3, 3)),
        (SubmitSm(esm_class=0x40, short_message=b"\x08\x24\x01\x01\x00\x03\x07\x02\x02Hi"), PartMark(7, 2, 2)),
        (SubmitSm(esm_class=0x40, short_message=b"\x05\x00\x03\x07\x02\x03Hi"), None),
        (SubmitSm(esm_class=0x40, short_message=b"\x05\x00\x03"), None),
        (SubmitSm(esm_class=0x40, short_message=b"\xff\x00"), None),
        (SubmitSm(esm_class=0x40), None),
        (SubmitSm(tlvs={0x020C: b"\1\7", 0x020E: b"\2", 0x020F: b"\1"}), PartMark(263, 2, 1)),
        (SubmitSm(tlvs={0x020C: b"\1\7", 0x020E: b"\2"}), None),
        (SubmitSm(tlvs={0x020C: b"", 0x020E: b"\2", 0x020F: b"\1"}), None),
    ],
)
def test_parts_of_long_texts_are_recognised_by_header_and_by_tlvs(pdu, mark):
    assert part_mark(pdu) == mark


@pytest.mark.parametrize(
    ("registered", "success", "failure"),
    [(0, False, False), (1, True, True), (2, False, True), (3, True, False), (0x11, True, True)],
)
def test_receipts_come_as_they_were_asked_for(registered, success, failure):
    assert wants_receipt(registered, NUMBERS["00"].receipts[0]) is success
    assert wants_receipt(registered, NUMBERS["10"].receipts[0]) is failure


def test_a_receipt_has_the_standard_text_and_tlvs_and_swapped_addresses():
    submit = SubmitSm(0, "", 5, 0, "Kvitto", 1, 1, "46701234567", short_message=b"Hello, this is more than twenty")
    pdu = receipt_pdu(submit, NUMBERS["10"].receipts[0], "1234567890", "2603091405", "2603091406")
    assert pdu.short_message == (
        b"id:1234567890 sub:001 dlvrd:000 submit date:2603091405 done date:2603091406"
        b" stat:UNDELIV err:027 text:Hello, this is more "
    )
    assert pdu.tlvs == {
        Tlv.RECEIPTED_MESSAGE_ID: b"1234567890\0",
        Tlv.MESSAGE_STATE: b"\5",
        Tlv.NETWORK_ERROR_CODE: b"\3\0\x1b",
    }
    assert (pdu.source_addr, pdu.destination_addr, pdu.dest_addr_ton) == ("46701234567", "Kvitto", 5)
    assert pdu.esm_class == 4


def test_a_receipt_quotes_neither_headers_nor_ucs2():
    for submit in (
        SubmitSm(esm_class=0x40, short_message=b"\5\0\3\1\2\1Hi"),
        SubmitSm(data_coding=8, short_message=b"\0H"),
    ):
        pdu = receipt_pdu(submit, NUMBERS["00"].receipts[0], "1", "2603091405", "2603091406")
        assert pdu.short_message.endswith(b" err:000 text:")


def test_minutes_are_written_as_receipts_want_them(clock):
    minutes = Minutes()
    assert minutes.text(clock.now()) == "2603091405"
    assert minutes.text(clock.now() + 59_999) == "2603091405"
    assert minutes.text(clock.now() + 60_000) == "2603091406"
