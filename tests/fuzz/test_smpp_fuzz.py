"""Any octets yield PDUs or ProtocolError, and a session survives whatever it reads (P23)."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvitto.smpp.codec import PduBuffer, ProtocolError, decode, decode_by_table, encode
from kvitto.smpp.events import BindReceived
from kvitto.smpp.pdus import Bind, DataSm, DeliverSm, Empty, QuerySm, QuerySmResp, SubmitSm, SubmitSmResp
from kvitto.smpp.session import Role, Session, State
from kvitto.smpp.spec import COMMANDS, BindMode, CommandId, Tlv

SEEDS = [
    encode(pdu)
    for pdu in (
        DeliverSm(1, source_addr="46701234567", esm_class=4, short_message=b"id:1 stat:DELIVRD", tlvs={0x1E: b"1\0"}),
        SubmitSm(2, destination_addr="46701234567", short_message=b"x" * 160),
        SubmitSmResp(3, 0, "0123456789", {Tlv.ADDITIONAL_STATUS_INFO_TEXT: b"fine\0"}),
        DataSm(4, source_addr="46701234567", tlvs={Tlv.MESSAGE_PAYLOAD: b"id:1"}),
        QuerySmResp(5, 0, "1", "", 2, 0),
        Bind(BindMode.TRANSCEIVER, 6, "kvitto", "secret"),
        Empty(CommandId.ENQUIRE_LINK, 7),
        Empty(CommandId.GENERIC_NACK, 8, 3),
        Empty(CommandId.UNBIND, 9),
    )
]


def sessions():
    """Both ends, fresh and bound."""
    esme, smsc = Session(role=Role.ESME, now=0.0), Session(role=Role.SMSC, now=0.0)
    yield Session(role=Role.ESME, now=0.0)
    yield Session(role=Role.SMSC, now=0.0)
    esme.bind(BindMode.TRANSCEIVER, "x", "y", now=0.0)
    [bind] = smsc.receive(esme.take_output(), 0.0)
    assert isinstance(bind, BindReceived)
    smsc.answer_bind(bind.pdu.sequence_number, 0, "z")
    esme.receive(smsc.take_output(), 0.0)
    for token in range(5):
        esme.submit(SubmitSm(), token, 0.0)
        smsc.deliver(DeliverSm(), token, 0.0)
    esme.query(QuerySm(message_id="1"), "query", 0.0)
    yield esme
    yield smsc


def feed(data):
    for session in sessions():
        session.receive(data, 1.0)
        session.poll(100.0)
        session.take_output()
        session.lost(200.0)
        assert session.state is State.CLOSED


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_octets_give_frames_or_protocol_error(data):
    try:
        frames = PduBuffer().feed(data)
    except ProtocolError as error:
        frames = error.frames
    for frame in frames:
        assert decode(frame) == decode_by_table(frame)
    feed(data)


@given(
    st.sampled_from((*COMMANDS, 0, 0x21, 0x80000021, 0xFFFFFFFF)),
    st.integers(0, 0xFFFFFFFF),
    st.one_of(st.integers(0, 12), st.integers(0, 0xFFFFFFFF)),
    st.binary(max_size=150),
)
@settings(max_examples=500)
def test_any_body_in_a_good_frame_gives_a_value_and_never_ends_a_session_badly(command_id, status, number, body):
    frame = struct.pack(">IIII", 16 + len(body), command_id, status, number) + body
    assert decode(frame) == decode_by_table(frame)
    feed(frame)


@pytest.mark.parametrize("seed", range(20))
def test_mutated_streams_never_crash_a_session(seed):
    chance = random.Random(seed)
    for _ in range(100):
        stream = bytearray(b"".join(chance.choices(SEEDS, k=5)))
        for _ in range(chance.randint(1, 8)):
            kind, at = chance.randrange(3), chance.randrange(len(stream))
            if kind == 0:
                stream[at] = chance.randrange(256)
            elif kind == 1:
                del stream[at : at + chance.randint(1, 4)]
            else:
                stream[at:at] = chance.randbytes(chance.randint(1, 4))
        feed(bytes(stream))


def test_what_waits_for_its_rest_is_bounded_by_the_largest_pdu():
    buffer = PduBuffer()
    buffer.feed(struct.pack(">I", 70_000) + bytes(60_000))
    assert buffer.pending_bytes == 60_004
    assert len(buffer.feed(bytes(9_996))) == 1
    assert buffer.pending_bytes == 0
