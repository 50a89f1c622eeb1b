"""The codec for all values: the quick way equals the plain one, and reading undoes writing."""

from hypothesis import given
from hypothesis import strategies as st

from kvitto.smpp.codec import PduBuffer, decode, decode_by_table, encode, encode_by_table, encode_submit_sm_resp
from kvitto.smpp.pdus import (
    AlertNotification,
    Bind,
    BindResp,
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
)
from kvitto.smpp.spec import COMMANDS, MAX_SEQUENCE_NUMBER, Kind

numbers = st.integers(0, MAX_SEQUENCE_NUMBER)
statuses = st.one_of(st.just(0), st.integers(0, 0xFFFFFFFF))
tlvs = st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=70), max_size=5)
UNLIMITED = 100

CLASSES = {
    SubmitSm: (4,),
    SubmitSmResp: (0x80000004,),
    DeliverSm: (5,),
    DeliverSmResp: (0x80000005,),
    DataSm: (0x103,),
    DataSmResp: (0x80000103,),
    QuerySm: (3,),
    QuerySmResp: (0x80000003,),
    CancelSm: (8,),
    Outbind: (0xB,),
    AlertNotification: (0x102,),
    Bind: (1, 2, 9),
    BindResp: (0x80000001, 0x80000002, 0x80000009),
    Empty: (0x15, 0x80000015, 6, 0x80000006, 0x80000008, 0x80000000),
}


def texts(size):
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size)


def field_values(field):
    size = UNLIMITED if field.max_octets is None else field.max_octets
    if field.kind is Kind.INTEGER:
        return st.integers(0, 255)
    return texts(size - 1) if field.kind is Kind.CSTRING else st.binary(max_size=size)


@st.composite
def pdus(draw, classes=tuple(CLASSES)):
    cls = draw(st.sampled_from(classes))
    command_id = draw(st.sampled_from(CLASSES[cls]))
    values = {field.name: draw(field_values(field)) for field in COMMANDS[command_id].fields}
    if "command_id" in cls._fields:
        values["command_id"] = command_id
    if "command_status" in cls._fields:
        values["command_status"] = draw(statuses)
    return cls(sequence_number=draw(numbers), tlvs=draw(tlvs), **values)


def test_every_command_is_drawn():
    assert {command for commands in CLASSES.values() for command in commands} == set(COMMANDS)


@given(pdus())
def test_reading_undoes_writing_both_ways(pdu):
    octets = encode(pdu)
    assert octets == encode_by_table(pdu)
    assert decode(octets) == decode_by_table(octets) == pdu._replace(raw=octets)


HOT = (SubmitSm, SubmitSmResp, DeliverSm, DeliverSmResp)


@given(pdus(HOT), st.data())
def test_the_quick_reader_equals_the_plain_one_on_damaged_octets(pdu, data):
    octets = bytearray(encode(pdu))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(16, max(16, len(octets) - 1)))
        if at < len(octets):
            octets[at] = data.draw(st.sampled_from((0, 1, 5, 65, 254, 255)))
    cut = bytes(octets[: data.draw(st.integers(16, len(octets)))])
    assert decode(cut) == decode_by_table(cut)


@given(st.sampled_from((4, 5, 0x80000004, 0x80000005)), statuses, st.binary(max_size=120))
def test_the_quick_reader_equals_the_plain_one_on_any_body(command_id, status, body):
    octets = b"".join(n.to_bytes(4, "big") for n in (16 + len(body), command_id, status, 1)) + body
    assert decode(octets) == decode_by_table(octets)


@given(numbers, statuses, texts(64))
def test_the_quick_submit_sm_resp_equals_the_plain_one(number, status, message_id):
    assert encode_submit_sm_resp(number, status, message_id) == encode_by_table(
        SubmitSmResp(number, status, message_id)
    )


@given(st.lists(pdus(), max_size=6), st.lists(st.integers(1, 400), max_size=60))
def test_frames_do_not_depend_on_how_the_stream_is_cut(sent, cuts):
    frames = [encode(pdu) for pdu in sent]
    stream, buffer, seen = b"".join(frames), PduBuffer(), []
    for size in cuts:
        seen += buffer.feed(stream[:size])
        stream = stream[size:]
    seen += buffer.feed(stream)
    assert seen == frames
