"""The codec: framing, each PDU, and what peers send that the specification does not."""

import struct

import pytest

from kvitto.smpp import codec, pdus
from kvitto.smpp.codec import EncodeError, PduBuffer, ProtocolError, decode, decode_by_table, encode, encode_by_table
from kvitto.smpp.pdus import (
    AlertNotification,
    Bind,
    BindResp,
    BrokenPdu,
    CancelSm,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    Empty,
    Outbind,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    UnknownPdu,
)
from kvitto.smpp.spec import COMMANDS, MAX_PDU_BYTES, CommandId, Tlv


def frame(command_id, body=b"", status=0, number=7):
    return struct.pack(">IIII", 16 + len(body), command_id, status, number) + body


RECEIPT = DeliverSm(
    sequence_number=7,
    source_addr_ton=1,
    source_addr_npi=1,
    source_addr="46701234567",
    dest_addr_ton=5,
    destination_addr="Kvitto",
    esm_class=4,
    short_message=b"id:0123456789 sub:001 dlvrd:001 submit date:2603091405 done date:2603091406 stat:DELIVRD err:000",
    tlvs={Tlv.RECEIPTED_MESSAGE_ID: b"0123456789\0", Tlv.MESSAGE_STATE: b"\2", Tlv.NETWORK_ERROR_CODE: b"\3\0\0"},
)
SUBMIT = SubmitSm(
    sequence_number=9,
    service_type="WAP",
    source_addr_ton=5,
    source_addr="Kvitto",
    dest_addr_ton=1,
    dest_addr_npi=1,
    destination_addr="46701234567",
    esm_class=0x40,
    validity_period="000000000500000R",
    registered_delivery=1,
    data_coding=8,
    short_message=b"\x05\x00\x03\x07\x02\x01\x00H",
)
ONE_OF_EACH: list[pdus.Pdu] = [
    Bind(CommandId.BIND_TRANSCEIVER, 1, "kvitto", "a password of more than nine", "", 0x34, 0, 0, ""),
    Bind(CommandId.BIND_RECEIVER, 1, "kvitto", "secret", "SMPP", 0x33, 1, 1, "^4670"),
    Bind(CommandId.BIND_TRANSMITTER, 1),
    BindResp(CommandId.BIND_TRANSCEIVER_RESP, 1, 0, "SMSC", {Tlv.SC_INTERFACE_VERSION: b"\x34"}),
    BindResp(CommandId.BIND_RECEIVER_RESP, 1, 0x0D, "SMSC"),
    BindResp(CommandId.BIND_TRANSMITTER_RESP, 1, 0, ""),
    SUBMIT,
    SubmitSmResp(9, 0, "0913121205"),
    RECEIPT,
    DeliverSmResp(7, 0x64, ""),
    DataSm(3, "", 1, 1, "46701234567", 0, 0, "72000", 4, 0, 0, {Tlv.MESSAGE_PAYLOAD: b"id:1 stat:DELIVRD"}),
    DataSmResp(3, 0, ""),
    QuerySm(4, "id-1", 1, 1, "72000"),
    QuerySmResp(4, 0, "id-1", "260309140500000+", 2, 0),
    CancelSm(5, "", "id-1", 1, 1, "72000", 1, 1, "46701234567"),
    Outbind(6, "SMSC", "secret"),
    AlertNotification(8, 1, 1, "46701234567", 0, 0, "72000", {Tlv.MS_AVAILABILITY_STATUS: b"\0"}),
    *(
        Empty(command, 10, 0)
        for command in (
            CommandId.ENQUIRE_LINK,
            CommandId.ENQUIRE_LINK_RESP,
            CommandId.UNBIND,
            CommandId.UNBIND_RESP,
            CommandId.CANCEL_SM_RESP,
        )
    ),
    Empty(CommandId.GENERIC_NACK, 10, 0x03),
]


def test_one_of_each_covers_the_table():
    assert {pdu.command_id for pdu in ONE_OF_EACH} == set(COMMANDS)


@pytest.mark.parametrize("pdu", ONE_OF_EACH, ids=lambda pdu: f"{type(pdu).__name__}-{pdu.command_id:#x}")
def test_every_pdu_survives_the_wire(pdu):
    octets = encode(pdu)
    assert octets == encode_by_table(pdu)
    assert int.from_bytes(octets[:4], "big") == len(octets)
    assert decode(octets) == decode_by_table(octets) == pdu._replace(raw=octets)


@pytest.mark.parametrize("pdu", ONE_OF_EACH, ids=lambda pdu: f"{type(pdu).__name__}-{pdu.command_id:#x}")
def test_the_fields_of_each_pdu_stand_in_the_order_of_the_table(pdu):
    own = [name for name in type(pdu)._fields if name not in {"command_id", "sequence_number", "command_status"}]
    assert own == [field.name for field in COMMANDS[pdu.command_id].fields] + ["tlvs", "raw"]


def test_a_submit_sm_is_these_octets():
    pdu = SubmitSm(1, "", 5, 0, "Kvitto", 1, 1, "46701234567", registered_delivery=1, short_message=b"Hi")
    body = bytes.fromhex("00 0500 4b766974746f00 0101 343637303132333435363700 000000 00 00 01000000 02 4869")
    assert encode(pdu) == struct.pack(">IIII", 16 + len(body), 4, 0, 1) + body


def test_the_given_sequence_number_wins_over_the_pdus_own():
    assert encode(SUBMIT, 5)[12:16] == encode(RECEIPT, 5)[12:16] == encode(QuerySm(1, "x"), 5)[12:16] == b"\0\0\0\5"


def test_a_deliver_sm_resp_carries_an_empty_id_and_a_data_sm_resp_too():
    assert codec.encode_deliver_sm_resp(7) == encode(DeliverSmResp(7))
    assert codec.encode_deliver_sm_resp(7, 0x64, CommandId.DATA_SM) == encode(DataSmResp(7, 0x64))


@pytest.mark.parametrize("message_id", ["", "1", "a-b-C", "é", "x" * 64])
def test_the_quick_submit_sm_resp_equals_the_plain_one(message_id):
    assert codec.encode_submit_sm_resp(3, 0, message_id) == encode_by_table(SubmitSmResp(3, 0, message_id))


# --- Writing is strict ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source_addr": "x" * 21}, "source_addr"),
        ({"destination_addr": "4670\x00123"}, "destination_addr"),
        ({"destination_addr": "x" * 21}, "destination_addr"),
        ({"source_addr": "Ω"}, "source_addr"),
        ({"service_type": "sixsix"}, "service_type"),
        ({"validity_period": "0" * 17}, "validity_period"),
        ({"schedule_delivery_time": "0" * 17}, "schedule_delivery_time"),
        ({"esm_class": 256}, "esm_class"),
        ({"data_coding": -1}, "data_coding"),
        ({"short_message": b"x" * 255}, "short_message"),
        ({"short_message": b"x" * 300}, "short_message"),
        ({"tlvs": {0x0424: b"x" * 65_536}}, "TLV"),
        ({"tlvs": {0x0424: b"x" * 65_535, 0x1400: b"x" * 5_000}}, "70000"),
        ({"sequence_number": -1}, "sequence_number"),
        ({"sequence_number": 0x80000000}, "sequence_number"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused_by_name(change, field):
    for pdu in (SUBMIT._replace(**change), RECEIPT._replace(**change)):
        with pytest.raises(EncodeError, match=field):
            encode(pdu)


def test_a_message_id_of_65_octets_is_refused_and_64_are_fine():
    assert codec.encode_submit_sm_resp(1, 0, "x" * 64)
    with pytest.raises(EncodeError, match="message_id"):
        codec.encode_submit_sm_resp(1, 0, "x" * 65)


def test_a_command_without_a_table_cannot_be_written():
    with pytest.raises(EncodeError, match="submit_multi"):
        encode(Empty(CommandId.SUBMIT_MULTI, 1))


def test_passwords_do_not_show_in_a_repr():
    assert "hunter2" not in repr(Bind(CommandId.BIND_RECEIVER, 1, "kvitto", "hunter2"))
    assert "hunter2" not in repr(Outbind(1, "SMSC", "hunter2"))


# --- Reading is lenient -----------------------------------------------------------------------------------------------


def test_r1_unknown_and_vendor_tlvs_are_kept_and_the_pdu_is_used():
    body = b"id-1\0" + b"\x04\x28\0\1\x63" + b"\x14\x01\0\3abc"
    pdu = decode(frame(CommandId.SUBMIT_SM_RESP, body))
    assert isinstance(pdu, SubmitSmResp)
    assert pdu.message_id == "id-1"
    assert pdu.tlvs == {0x0428: b"\x63", 0x1401: b"abc"}


@pytest.mark.parametrize("odd", [b"\x04", b"\x04\x27", b"\x04\x27\0", b"\x04\x27\0\5ab", b"\x04\x27\xff\xff\2"])
def test_r1_a_tlv_that_is_cut_off_is_dropped_kept_raw_and_the_pdu_is_used(odd):
    whole = encode(RECEIPT) + odd
    octets = struct.pack(">I", len(whole)) + whole[4:]
    pdu = decode(octets)
    assert isinstance(pdu, DeliverSm)
    assert pdu.tlvs == RECEIPT.tlvs
    assert pdu.raw == octets


def test_r1_a_tlv_of_a_wrong_length_is_kept_as_it_came():
    pdu = decode(encode(RECEIPT._replace(tlvs={Tlv.MESSAGE_STATE: b"\2\2", Tlv.RECEIPTED_MESSAGE_ID: b""})))
    assert isinstance(pdu, DeliverSm)
    assert pdu.tlvs == {Tlv.MESSAGE_STATE: b"\2\2", Tlv.RECEIPTED_MESSAGE_ID: b""}


def test_r2_any_status_is_a_number():
    for status in (0x34F, 1375, 0xFFFFFFFF):
        pdu = decode(frame(CommandId.SUBMIT_SM_RESP, b"\0", status))
        assert isinstance(pdu, SubmitSmResp)
        assert pdu.command_status == status


TLVS = b"\0\x1d\0\5quota" + b"\x04\x23\0\3\3\0\x1b"


@pytest.mark.parametrize("command_id", [c for c in CommandId if c in COMMANDS and COMMANDS[c].is_response])
@pytest.mark.parametrize(
    ("body", "text", "tlvs"),
    [
        (b"", "", {}),
        (b"\0", "", {}),
        (b"id-1\0", "id-1", {}),
        (TLVS, "", {0x1D: b"quota", 0x423: b"\3\0\x1b"}),
        (b"id-1\0" + TLVS, "id-1", {0x1D: b"quota", 0x423: b"\3\0\x1b"}),
        (b"\0" + TLVS, "", {0x1D: b"quota", 0x423: b"\3\0\x1b"}),
        (b"id-1", "id-1", {}),
    ],
    ids=["no body", "one NUL", "id", "TLVs only", "id and TLVs", "NUL and TLVs", "id without its NUL"],
)
def test_r3_a_refusal_is_understood_in_every_form(command_id, body, text, tlvs):
    command = COMMANDS[command_id]
    pdu = decode(frame(command_id, body, status=0x45))
    assert not isinstance(pdu, BrokenPdu | UnknownPdu)
    assert pdu.sequence_number == 7
    assert getattr(pdu, "command_status") == 0x45  # noqa: B009 -- not every PDU has one
    if len(command.fields) == 1:
        assert getattr(pdu, command.fields[0].name) == text
        assert pdu.tlvs == tlvs


@pytest.mark.parametrize("body", [b"", b"\0", b"id-1"])
def test_r3_an_accepted_submit_is_understood_without_an_id_or_its_nul(body):
    pdu = decode(frame(CommandId.SUBMIT_SM_RESP, body))
    assert isinstance(pdu, SubmitSmResp)
    assert pdu.message_id == body.rstrip(b"\0").decode()


def test_r3_a_deliver_sm_resp_with_a_message_id_is_understood():
    pdu = decode(frame(CommandId.DELIVER_SM_RESP, b"some-id\0"))
    assert isinstance(pdu, DeliverSmResp)
    assert pdu.message_id == "some-id"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (frame(CommandId.DELIVER_SM), "service_type"),
        (frame(CommandId.DELIVER_SM, b"\0\1"), "source_addr_npi"),
        (frame(CommandId.DELIVER_SM, b"\0\1\1" + b"4670" * 3), "source_addr"),
        (encode(RECEIPT)[:60], "short_message"),
        (frame(CommandId.SUBMIT_SM, b"\0\1\1\0\1\1\0\0\0\0\0\0\0\0\0\0\5abcd"), "short_message: 5 octets"),
        (frame(CommandId.QUERY_SM_RESP, b"id\0\0\2"), "error_code"),
        (frame(CommandId.QUERY_SM_RESP), "message_id"),
        (frame(CommandId.BIND_TRANSCEIVER, b"kvitto\0secret"), "password"),
    ],
)
def test_r10_a_broken_body_is_a_value_that_names_the_field(octets, reason):
    octets = struct.pack(">I", len(octets)) + octets[4:]
    pdu = decode(octets)
    assert isinstance(pdu, BrokenPdu)
    assert pdu.reason.startswith(reason)
    assert (pdu.sequence_number, pdu.raw) == (7, octets)
    assert decode_by_table(octets) == pdu


@pytest.mark.parametrize("command_id", [0x21, 0x80000021, 7, 0x10005, 0xFFFFFFFF, 0])
def test_r4_an_unknown_command_is_a_value(command_id):
    assert decode(frame(command_id, b"whatever")) == UnknownPdu(command_id, 7, 0, frame(command_id, b"whatever"))


def test_strings_longer_than_their_maximum_are_read_whole():
    pdu = decode(frame(CommandId.SUBMIT_SM_RESP, b"x" * 200 + b"\0"))
    assert isinstance(pdu, SubmitSmResp)
    assert pdu.message_id == "x" * 200


def test_r27_no_octet_of_an_id_is_lost():
    every = bytes(range(1, 256))
    pdu = decode(frame(CommandId.SUBMIT_SM_RESP, every + b"\0"))
    assert isinstance(pdu, SubmitSmResp)
    assert pdu.message_id.encode("latin-1") == every


# --- Framing ----------------------------------------------------------------------------------------------------------

STREAM = [encode(pdu) for pdu in ONE_OF_EACH]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 15, 16, 17, 100, 10_000])
def test_frames_come_out_whole_however_they_are_fed(size):
    octets = b"".join(STREAM)
    buffer = PduBuffer()
    frames = []
    for start in range(0, len(octets), size):
        frames += buffer.feed(octets[start : start + size])
    assert frames == STREAM
    assert buffer.pending_bytes == 0


def test_trailing_octets_wait_for_the_rest():
    buffer = PduBuffer()
    assert buffer.feed(STREAM[0] + STREAM[1][:9]) == [STREAM[0]]
    assert buffer.pending_bytes == 9
    assert buffer.feed(b"") == []
    assert buffer.feed(STREAM[1][9:] + STREAM[2]) == STREAM[1:3]


def test_the_largest_pdu_passes_octet_by_octet():
    pdu = SUBMIT._replace(short_message=b"", tlvs={Tlv.MESSAGE_PAYLOAD: b"x" * 65_535})
    octets = encode(pdu)
    buffer = PduBuffer()
    frames = [frame for at in range(len(octets)) for frame in buffer.feed(octets[at : at + 1])]
    assert frames == [octets]


@pytest.mark.parametrize("length", [0, 1, 15, MAX_PDU_BYTES + 1, 0x47455420, 0xFFFFFFFF])
def test_r4_an_impossible_length_loses_the_framing_and_keeps_what_came_before(length):
    buffer = PduBuffer()
    with pytest.raises(ProtocolError, match=str(length)) as caught:
        buffer.feed(STREAM[0] + struct.pack(">IIII", length, 4, 0, 99) + b"more")
    assert caught.value.frames == [STREAM[0]]
    assert caught.value.sequence_number == 99
    with pytest.raises(ProtocolError):
        buffer.feed(STREAM[0])


def test_r4_an_impossible_length_is_seen_before_the_header_is_whole():
    with pytest.raises(ProtocolError) as caught:
        PduBuffer().feed(b"GET ")
    assert caught.value.sequence_number == 0


@pytest.mark.parametrize("length", [16, MAX_PDU_BYTES])
def test_r4_the_bounds_themselves_are_good(length):
    octets = struct.pack(">IIII", length, 0x15, 0, 1) + bytes(length - 16)
    assert PduBuffer().feed(octets) == [octets]


def test_every_kind_of_pdu_is_a_value_without_sharing():
    assert RECEIPT._replace() == RECEIPT
    assert pdus.NO_TLVS == {}
    with pytest.raises(TypeError):
        pdus.NO_TLVS[1] = b""  # type: ignore[index]
