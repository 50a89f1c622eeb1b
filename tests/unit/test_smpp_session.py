"""The session, two ends joined in memory: rules R3-R7, R9, R10, R12, R13 and R59, and every timer."""

import struct
from typing import Any

import pytest

from kvitto.smpp import events as ev
from kvitto.smpp.codec import EncodeError, encode, encode_header
from kvitto.smpp.pdus import AlertNotification, Bind, DataSm, DataSmResp, DeliverSm, QuerySm, QuerySmResp, SubmitSm
from kvitto.smpp.session import NotAllowed, NotBound, Role, Session, State, Timers, WindowFull
from kvitto.smpp.spec import COMMANDS, MAX_SEQUENCE_NUMBER, BindMode, CommandId, CommandStatus
from kvitto.smpp.states import STATES

SUBMIT = SubmitSm(source_addr="Kvitto", destination_addr="46701234567", registered_delivery=1, short_message=b"Hi")
RECEIPT = DeliverSm(source_addr="46701234567", esm_class=4, short_message=b"id:1 stat:DELIVRD")


class Pair:
    """An ESME and an SMSC joined; ``pump`` carries octets both ways until nothing moves."""

    def __init__(self, *, window=10, piece=None, **esme):
        self.now = 0.0
        self.piece = piece
        self.esme = Session(role=Role.ESME, now=0.0, window=window, **esme)
        self.smsc = Session(role=Role.SMSC, now=0.0, window=window)
        self.esme.opened(0.0)
        self.smsc.opened(0.0)

    def _carry(self, data, to):
        size = self.piece or max(1, len(data))
        return [e for at in range(0, len(data), size) for e in to.receive(data[at : at + size], self.now)]

    def pump(self):
        at_esme: list[Any] = []
        at_smsc: list[Any] = []
        while True:
            up, down = self.esme.take_output(), self.smsc.take_output()
            if not up and not down:
                return at_esme, at_smsc
            at_smsc += self._carry(up, self.smsc)
            at_esme += self._carry(down, self.esme)

    def bound(self, mode=BindMode.TRANSCEIVER):
        self.esme.bind(mode, "kvitto", "secret", now=self.now)
        _, [received] = self.pump()
        self.smsc.answer_bind(received.pdu.sequence_number, 0, "SMSC")
        [answered], _ = self.pump()
        assert answered == ev.BindAnswered(0, "SMSC", 0x34)
        return self

    def poll(self, now):
        self.now = now
        return self.esme.poll(now)


def raw(command_id, body=b"", status=0, number=1):
    return struct.pack(">IIII", 16 + len(body), command_id, status, number) + body


def bound_esme(mode=BindMode.TRANSCEIVER, **settings):
    return Pair(**settings).bound(mode).esme


# --- The table --------------------------------------------------------------------------------------------------------

ENDINGS = {State.UNBOUND, State.CLOSED}


def test_every_state_has_its_row_and_the_endings_allow_nothing():
    assert set(STATES) == set(State)
    assert all(not STATES[state] for state in ENDINGS)


@pytest.mark.parametrize("state", [state for state in State if state not in ENDINGS])
def test_every_command_of_the_table_is_one_that_the_codec_knows(state):
    assert all(command in COMMANDS for _, command in STATES[state])
    assert all((role, CommandId.ENQUIRE_LINK) in STATES[state] for role in Role)


@pytest.mark.parametrize(
    ("mode", "state", "submits"),
    [
        (BindMode.TRANSMITTER, State.BOUND_TX, True),
        (BindMode.RECEIVER, State.BOUND_RX, False),
        (BindMode.TRANSCEIVER, State.BOUND_TRX, True),
    ],
)
def test_each_mode_of_bind_leads_both_ends_to_its_state(mode, state, submits):
    pair = Pair().bound(mode)
    assert pair.esme.state is pair.smsc.state is state
    assert pair.esme.bound
    assert pair.esme.can_submit is submits
    assert pair.esme.free_window == (10 if submits else 0)


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_a_message_and_its_receipt_go_both_ways_however_the_octets_are_cut(piece):
    pair = Pair(piece=piece).bound()
    number = pair.esme.submit(SUBMIT, "token", 0.0)
    _, [received] = pair.pump()
    assert received.pdu._replace(raw=b"", sequence_number=0) == SUBMIT
    pair.smsc.answer_submit(received.pdu.sequence_number, 0, "id-1")
    pair.smsc.deliver(RECEIPT, "receipt", 0.0)
    at_esme, at_smsc = pair.pump()
    assert at_esme[0] == ev.SubmitAnswered("token", 0, "id-1", False)
    assert isinstance(at_esme[1], ev.DeliverReceived)
    assert at_smsc == []  # R8: the session never answers a deliver_sm by itself
    pdu = at_esme[1].pdu
    pair.esme.answer_deliver(pdu.sequence_number, pdu.command_id, 0)
    _, at_smsc = pair.pump()
    assert at_smsc == [ev.DeliverAnswered("receipt", 0, pdu.sequence_number, False)]
    assert number == 2


def test_a_hundred_answers_leave_as_one_piece_of_output():
    esme = bound_esme()
    for number in range(100):
        esme.answer_deliver(number + 1, CommandId.DELIVER_SM, 0)
    assert len(esme.take_output()) == 1700
    assert esme.take_output() == b""


# --- Binding ----------------------------------------------------------------------------------------------------------


def test_a_refused_bind_leaves_the_session_open_for_another():
    pair = Pair()
    pair.esme.bind(BindMode.TRANSCEIVER, "kvitto", "wrong", now=0.0)
    _, [received] = pair.pump()
    pair.smsc.answer_bind(received.pdu.sequence_number, CommandStatus.ESME_RINVPASWD, "", None)
    [answered], _ = pair.pump()
    assert answered == ev.BindAnswered(CommandStatus.ESME_RINVPASWD, "", None)
    assert pair.esme.state is pair.smsc.state is State.OPEN
    pair.bound()


@pytest.mark.parametrize("status", [0x0D, 0])
def test_r4_a_generic_nack_refuses_a_bind(status):
    esme = Session(role=Role.ESME, now=0.0)
    esme.bind(BindMode.TRANSCEIVER, "kvitto", "secret", now=0.0)
    assert esme.receive(raw(CommandId.GENERIC_NACK, status=status), 0.1) == [ev.BindAnswered(status or 0xFF, "", None)]
    assert esme.state is State.OPEN


def test_r3_a_refused_bind_without_a_body_is_understood():
    esme = Session(role=Role.ESME, now=0.0)
    esme.bind(BindMode.TRANSCEIVER, "kvitto", "secret", now=0.0)
    events = esme.receive(raw(CommandId.BIND_TRANSCEIVER_RESP, status=0x0E), 0.1)
    assert events == [ev.BindAnswered(0x0E, "", None)]


def test_a_bind_response_nobody_asked_for_binds_nothing():
    esme = Session(role=Role.ESME, now=0.0)
    response = raw(CommandId.BIND_TRANSCEIVER_RESP, b"x\0")
    assert esme.receive(response, 0.1) == [ev.StrayResponse(CommandId.BIND_TRANSCEIVER_RESP, 0, 1)]
    esme.bind(BindMode.TRANSMITTER, "kvitto", "secret", now=0.0)
    assert esme.receive(response, 0.1) == [ev.StrayResponse(CommandId.BIND_TRANSCEIVER_RESP, 0, 1)]
    assert esme.state is State.BINDING


def test_a_second_bind_on_a_bound_session_is_refused_as_already_bound():
    pair = Pair().bound()
    events = pair.smsc.receive(encode(Bind(BindMode.TRANSMITTER, 50, "kvitto")), 0.0)
    assert events == []
    assert pair.smsc.take_output()[4:16] == struct.pack(">III", CommandId.BIND_TRANSMITTER_RESP, 5, 50)
    assert pair.smsc.state is State.BOUND_TRX


def test_r13_an_outbind_is_told_and_a_bind_may_follow():
    pair = Pair()
    pair.smsc.outbind("SMSC", "secret")
    at_esme, _ = pair.pump()
    assert at_esme == [ev.OutbindReceived("SMSC", "secret")]
    assert "secret" not in repr(at_esme)
    pair.bound(BindMode.RECEIVER)


@pytest.mark.parametrize(
    "ask",
    [
        lambda pair: pair.smsc.bind(BindMode.RECEIVER, "x", "y", now=0.0),
        lambda pair: pair.esme.outbind("x", "y"),
        lambda pair: pair.esme.unbind(0.0),
        lambda pair: pair.smsc.answer_bind(1, 0, "x"),
        lambda pair: pair.smsc.alert(AlertNotification()),
    ],
)
def test_what_the_table_does_not_allow_is_a_local_error_and_writes_nothing(ask):
    pair = Pair()
    with pytest.raises(NotAllowed):
        ask(pair)
    assert pair.esme.take_output() == pair.smsc.take_output() == b""


def test_messages_on_a_session_that_is_not_bound_for_them_are_local_errors():
    pair = Pair()
    for send in (
        lambda: pair.esme.submit(SUBMIT, 1, 0.0),
        lambda: pair.esme.query(QuerySm(), 1, 0.0),
        lambda: pair.smsc.deliver(RECEIPT, 1, 0.0),
    ):
        with pytest.raises(NotBound):
            send()
    pair.bound(BindMode.RECEIVER)
    with pytest.raises(NotBound):
        pair.esme.submit(SUBMIT, 1, 0.0)


# --- R4, R5, R10: whatever the peer sends -----------------------------------------------------------------------------


def test_r4_an_unknown_command_is_nacked_with_its_number_and_the_session_goes_on():
    esme = bound_esme()
    [event] = esme.receive(raw(0x00010005, b"body", number=77), 0.0)
    assert isinstance(event, ev.UnknownReceived)
    assert esme.take_output() == encode_header(CommandId.GENERIC_NACK, 0x03, 77)
    assert esme.bound


def test_r4_an_unknown_response_is_not_nacked():
    esme = bound_esme()
    [event] = esme.receive(raw(0x80010005, number=77), 0.0)
    assert isinstance(event, ev.UnknownReceived)
    assert esme.take_output() == b""


def test_r4_an_impossible_length_is_nacked_and_ends_the_session_after_what_came_before():
    esme = bound_esme()
    events = esme.receive(encode(RECEIPT, 5) + struct.pack(">IIII", 15, 5, 0, 6), 0.0)
    assert isinstance(events[0], ev.DeliverReceived)
    assert isinstance(events[1], ev.FramingLost)
    assert esme.take_output() == encode_header(CommandId.GENERIC_NACK, 0x02, 6)
    assert esme.state is State.CLOSED
    assert esme.receive(encode(RECEIPT, 7), 0.0) == []


@pytest.mark.parametrize(("status", "seen"), [(0x58, 0x58), (0x03, 0x03), (0, 0xFF)])
def test_r4_a_generic_nack_settles_our_request_as_an_error(status, seen):
    esme = bound_esme()
    number = esme.submit(SUBMIT, "token", 0.0)
    events = esme.receive(raw(CommandId.GENERIC_NACK, status=status, number=number), 0.0)
    assert events == [ev.SubmitAnswered("token", seen, "", False)]
    assert esme.outstanding == 0


def test_r4_a_generic_nack_for_nothing_is_told():
    assert bound_esme().receive(raw(CommandId.GENERIC_NACK, status=3, number=0), 0.0) == [ev.NackReceived(3, 0)]


def test_r5_answers_in_any_order_with_anything_between_find_their_requests():
    pair = Pair().bound()
    numbers = [pair.esme.submit(SUBMIT, token, 0.0) for token in "abc"]
    # The peer's own numbers are another space: its deliver_sm may bear the number of our submit.
    octets = b"".join(
        (
            raw(CommandId.SUBMIT_SM_RESP, b"id-c\0", number=numbers[2]),
            encode(RECEIPT, numbers[0]),
            raw(CommandId.ENQUIRE_LINK, number=numbers[1]),
            raw(CommandId.SUBMIT_SM_RESP, b"id-a\0", number=numbers[0]),
            raw(CommandId.SUBMIT_SM_RESP, b"", status=0x14, number=numbers[1]),
        )
    )
    events = pair.esme.receive(octets, 0.0)
    assert [e for e in events if isinstance(e, ev.SubmitAnswered)] == [
        ev.SubmitAnswered("c", 0, "id-c", False),
        ev.SubmitAnswered("a", 0, "id-a", False),
        ev.SubmitAnswered("b", 0x14, "", False),
    ]


def test_r5_a_response_of_another_kind_settles_by_its_number_alone():
    esme = bound_esme()
    number = esme.submit(SUBMIT, "token", 0.0)
    events = esme.receive(encode(DataSmResp(number, 0, "id-1")), 0.0)
    assert events == [ev.SubmitAnswered("token", 0, "id-1", False)]


def test_an_answer_that_comes_twice_is_stray_the_second_time():
    esme = bound_esme()
    number = esme.submit(SUBMIT, "token", 0.0)
    response = raw(CommandId.SUBMIT_SM_RESP, b"id\0", number=number)
    assert esme.receive(response * 2, 0.0) == [
        ev.SubmitAnswered("token", 0, "id", False),
        ev.StrayResponse(CommandId.SUBMIT_SM_RESP, 0, number),
    ]


@pytest.mark.parametrize("command_id", [CommandId.DELIVER_SM, CommandId.DATA_SM])
def test_r10_a_broken_receipt_is_answered_with_an_error_of_its_kind_and_the_session_lives(command_id):
    esme = bound_esme()
    events = esme.receive(raw(command_id, b"\0\1", number=9) + encode(RECEIPT, 10), 0.0)
    assert [type(event) for event in events] == [ev.BrokenReceived, ev.DeliverReceived]
    assert esme.take_output()[4:16] == struct.pack(">III", command_id | 0x80000000, 0x08, 9)
    assert esme.bound


def test_r10_any_other_broken_request_is_nacked():
    pair = Pair().bound()
    [event] = pair.smsc.receive(raw(CommandId.SUBMIT_SM, b"\0", number=9), 0.0)
    assert isinstance(event, ev.BrokenReceived)
    assert pair.smsc.take_output() == encode_header(CommandId.GENERIC_NACK, 0x02, 9)


def test_r10_a_broken_response_fails_its_request_and_is_not_nacked():
    esme = bound_esme()
    number = esme.query(QuerySm(message_id="id-1"), "token", 0.0)
    esme.take_output()
    events = esme.receive(raw(CommandId.QUERY_SM_RESP, b"id-1\0\0", number=number), 0.0)
    assert isinstance(events[0], ev.BrokenReceived)
    assert events[1] == ev.QueryAnswered("token", 0xFF, "", "", None, 0, False)
    assert esme.take_output() == b""


@pytest.mark.parametrize(
    ("pdu", "answer", "status"),
    [
        (SUBMIT, CommandId.SUBMIT_SM_RESP, 0x03),
        (QuerySm(), CommandId.GENERIC_NACK, 0x03),
        (Bind(BindMode.RECEIVER), CommandId.BIND_RECEIVER_RESP, 0x04),
    ],
)
def test_what_only_an_esme_sends_is_refused_by_an_esme(pdu, answer, status):
    esme = bound_esme()
    assert esme.receive(encode(pdu, 5), 0.0) == []
    assert esme.take_output()[4:16] == struct.pack(">III", answer, status, 5)


@pytest.mark.parametrize(
    ("pdu", "answer"),
    [
        (RECEIPT, CommandId.DELIVER_SM_RESP),
        (DataSm(), CommandId.DATA_SM_RESP),
        (AlertNotification(), CommandId.GENERIC_NACK),
    ],
)
def test_what_comes_before_the_bind_is_refused_for_the_state(pdu, answer):
    esme = Session(role=Role.ESME, now=0.0)
    assert esme.receive(encode(pdu, 5), 0.0) == []
    assert esme.take_output()[4:16] == struct.pack(">III", answer, 0x04, 5)


def test_a_submit_on_a_receiver_is_refused_for_the_state():
    pair = Pair().bound(BindMode.RECEIVER)
    assert pair.smsc.receive(encode(SUBMIT, 5), 0.0) == []
    assert pair.smsc.take_output()[4:16] == struct.pack(">III", CommandId.SUBMIT_SM_RESP, 0x04, 5)


@pytest.mark.parametrize("mode", list(BindMode))
def test_r13_receipts_are_taken_on_every_kind_of_bind(mode):
    pair = Pair().bound(mode)
    pair.smsc.deliver(RECEIPT, 1, 0.0)
    pair.smsc.deliver(DataSm(source_addr="4670"), 2, 0.0)
    at_esme, _ = pair.pump()
    assert [event.pdu.command_id for event in at_esme] == [CommandId.DELIVER_SM, CommandId.DATA_SM]
    for event in at_esme:
        pair.esme.answer_deliver(event.pdu.sequence_number, event.pdu.command_id, 0)
    _, at_smsc = pair.pump()
    assert [event.token for event in at_smsc] == [1, 2]


def test_a_receipt_in_the_same_read_as_the_bind_response_is_taken():
    pair = Pair()
    pair.esme.bind(BindMode.TRANSCEIVER, "kvitto", "secret", now=0.0)
    _, [received] = pair.pump()
    pair.smsc.answer_bind(received.pdu.sequence_number, 0, "SMSC")
    pair.smsc.deliver(RECEIPT, 1, 0.0)
    events = pair.esme.receive(pair.smsc.take_output(), 0.0)
    assert [type(event) for event in events] == [ev.BindAnswered, ev.DeliverReceived]


def test_an_alert_notification_is_told_and_not_answered():
    pair = Pair().bound()
    pair.smsc.alert(AlertNotification(source_addr="4670"))
    [event], at_smsc = pair.pump()
    assert isinstance(event, ev.AlertReceived)
    assert event.pdu.source_addr == "4670"
    assert at_smsc == []


def test_a_query_is_asked_and_answered():
    pair = Pair().bound()
    pair.esme.query(QuerySm(message_id="id-1"), "token", 0.0)
    _, [asked] = pair.pump()
    pair.smsc.answer_query(QuerySmResp(asked.pdu.sequence_number, 0, "id-1", "260309140500000+", 2, 0))
    [answered], _ = pair.pump()
    assert answered == ev.QueryAnswered("token", 0, "id-1", "260309140500000+", 2, 0, False)


def test_a_refused_query_has_no_state():
    pair = Pair().bound()
    pair.esme.query(QuerySm(message_id="id-1"), "token", 0.0)
    _, [asked] = pair.pump()
    pair.smsc.answer_query(QuerySmResp(asked.pdu.sequence_number, 0x67))
    [answered], _ = pair.pump()
    assert answered == ev.QueryAnswered("token", 0x67, "", "", None, 0, False)


# --- Ending -----------------------------------------------------------------------------------------------------------


def test_r13_an_unbind_is_answered_and_ends_both_ends():
    for first, second in (("esme", "smsc"), ("smsc", "esme")):
        pair = Pair().bound()
        getattr(pair, first).unbind(0.0)
        events = dict(zip(("esme", "smsc"), pair.pump(), strict=True))
        assert events[second] == [ev.PeerUnbound()]
        assert events[first] == [ev.Unbound()]
        assert pair.esme.state is pair.smsc.state is State.UNBOUND


def test_an_unbind_before_a_bind_is_refused_and_the_session_stays():
    esme = Session(role=Role.ESME, now=0.0)
    assert esme.receive(raw(CommandId.UNBIND, number=4), 0.0) == []
    assert esme.take_output() == encode_header(CommandId.UNBIND_RESP, 0x04, 4)


def test_while_we_unbind_answers_and_receipts_still_come():
    esme = bound_esme()
    number = esme.submit(SUBMIT, "token", 0.0)
    esme.unbind(0.0)
    esme.unbind(0.0)
    assert esme.free_window == 0
    with pytest.raises(NotBound):
        esme.submit(SUBMIT, "another", 0.0)
    events = esme.receive(encode(RECEIPT, 3) + raw(CommandId.SUBMIT_SM_RESP, b"id\0", number=number), 0.0)
    assert [type(event) for event in events] == [ev.DeliverReceived, ev.SubmitAnswered]


def test_both_may_unbind_at_once():
    pair = Pair().bound()
    pair.esme.unbind(0.0)
    pair.smsc.unbind(0.0)
    pair.pump()
    assert pair.esme.state is pair.smsc.state is State.UNBOUND


def test_a_nacked_unbind_ends_the_session_too():
    esme = bound_esme()
    esme.unbind(0.0)
    number = int.from_bytes(esme.take_output()[12:16], "big")
    assert esme.receive(raw(CommandId.GENERIC_NACK, status=3, number=number), 0.0) == [ev.Unbound()]


def test_r12_a_lost_link_gives_back_what_was_written_and_not_answered():
    esme = bound_esme()
    numbers = [esme.submit(SUBMIT, token, 0.0) for token in "abcd"]
    esme.receive(raw(CommandId.SUBMIT_SM_RESP, b"id\0", number=numbers[1]), 0.0)
    assert esme.lost(1.0) == ["a", "c", "d"]
    assert esme.state is State.CLOSED
    assert esme.lost(1.0) == []
    assert esme.take_output() == b""
    esme.answer_deliver(1, CommandId.DELIVER_SM, 0)
    assert esme.take_output() == b""
    assert esme.next_timer() is None
    assert esme.poll(1e6) == []


# --- Timers -----------------------------------------------------------------------------------------------------------


def test_r9_an_enquire_link_is_answered_at_once_in_any_state():
    pair = Pair()
    assert pair.esme.receive(raw(CommandId.ENQUIRE_LINK, number=3), 0.0) == []
    assert pair.esme.take_output() == encode_header(CommandId.ENQUIRE_LINK_RESP, 0, 3)
    esme = bound_esme(window=1)
    esme.submit(SUBMIT, 1, 0.0)
    esme.take_output()
    flood = b"".join(encode(RECEIPT, number) for number in range(1, 200))
    esme.receive(flood + raw(CommandId.ENQUIRE_LINK, number=3) + flood, 0.0)
    assert esme.take_output() == encode_header(CommandId.ENQUIRE_LINK_RESP, 0, 3)


def test_r9_silence_is_asked_after_and_an_answer_settles_it():
    pair = Pair().bound()
    assert pair.esme.next_timer() == 30.0
    assert pair.poll(29.9) == []
    assert pair.esme.take_output() == b""
    assert pair.poll(30.0) == []
    assert pair.esme.next_timer() == 40.0
    pair.now = 31.0
    assert pair.pump() == ([], [])
    assert pair.esme.next_timer() == 61.0


def test_r9_a_peer_that_does_not_answer_is_dead():
    pair = Pair().bound()
    token = pair.esme.submit(SUBMIT, "token", 25.0)
    assert token
    pair.poll(30.0)
    assert pair.poll(39.9) == []
    assert pair.poll(40.0) == [ev.LinkDead("no answer to enquire_link")]
    assert pair.esme.lost(40.0) == ["token"]


def test_r9_receipts_are_a_sign_of_life_while_the_answer_waits_in_line():
    pair = Pair().bound()
    pair.poll(30.0)
    pair.esme.receive(encode(RECEIPT, 1), 39.0)
    assert pair.poll(40.0) == []
    assert pair.esme.next_timer() == 69.0


def test_a_nack_to_our_enquire_link_is_a_sign_of_life_and_no_news():
    pair = Pair().bound()
    pair.poll(30.0)
    number = int.from_bytes(pair.esme.take_output()[12:16], "big")
    assert pair.esme.receive(raw(CommandId.GENERIC_NACK, status=3, number=number), 31.0) == []
    assert pair.poll(41.0) == []


def test_a_bind_without_an_answer_is_dead_after_its_time():
    esme = Session(role=Role.ESME, now=0.0)
    assert esme.next_timer() is None
    esme.bind(BindMode.TRANSCEIVER, "kvitto", "secret", now=5.0)
    assert esme.next_timer() == 15.0
    assert esme.poll(14.9) == []
    assert esme.poll(15.0) == [ev.LinkDead("no answer to bind")]


def test_an_unbind_without_an_answer_is_dead_after_its_time():
    pair = Pair().bound()
    pair.esme.unbind(5.0)
    assert pair.poll(15.0) == [ev.LinkDead("no answer to unbind")]


def test_a_connection_on_which_nobody_binds_is_closed_by_the_smsc():
    pair = Pair()
    assert pair.smsc.next_timer() == 10.0
    assert isinstance(pair.smsc.poll(10.0)[0], ev.LinkDead)


def test_a_pdu_left_half_sent_is_dead_after_its_time():
    pair = Pair().bound()
    octets = encode(RECEIPT, 1)
    pair.esme.receive(octets + octets[:20], 1.0)
    pair.esme.receive(octets[20:25], 20.0)
    assert pair.esme.next_timer() == 31.0
    assert pair.poll(31.0) == [ev.LinkDead("a PDU was left half sent")]


def test_each_whole_pdu_starts_the_time_for_the_next_anew():
    pair = Pair().bound()
    octets = encode(RECEIPT, 1)
    pair.esme.receive(octets[:20], 1.0)
    pair.esme.receive(octets[20:] + octets[:20], 20.0)
    assert pair.poll(31.0) == []
    pair.esme.receive(octets[20:], 32.0)
    assert pair.poll(50.1) == []


def test_r12_a_request_without_an_answer_is_reported_and_frees_its_place():
    pair = Pair(window=1, timers=Timers(enquire_link_s=1e6)).bound()
    number = pair.esme.submit(SUBMIT, "token", 5.0)
    assert pair.esme.free_window == 0
    assert pair.esme.next_timer() == 65.0
    assert pair.poll(64.9) == []
    assert pair.poll(65.0) == [ev.RequestTimedOut("token", number)]
    assert pair.esme.free_window == 1
    assert pair.esme.lost(66.0) == []


@pytest.mark.parametrize("late_by", [1.0, 3000.0, 3539.0])
def test_r7_an_answer_up_to_an_hour_late_still_tells_the_id(late_by):
    pair = Pair(timers=Timers(enquire_link_s=1e6)).bound()
    number = pair.esme.submit(SUBMIT, "token", 0.0)
    pair.poll(60.0)
    pair.poll(60.0 + late_by)
    events = pair.esme.receive(raw(CommandId.SUBMIT_SM_RESP, b"id-1\0", number=number), 60.0 + late_by)
    assert events == [ev.SubmitAnswered("token", 0, "id-1", True)]


def test_r7_after_that_hour_it_is_forgotten():
    pair = Pair(timers=Timers(enquire_link_s=1e6)).bound()
    number = pair.esme.submit(SUBMIT, "token", 0.0)
    pair.poll(60.0)
    pair.poll(3600.0)
    events = pair.esme.receive(raw(CommandId.SUBMIT_SM_RESP, b"id-1\0", number=number), 3601.0)
    assert events == [ev.StrayResponse(CommandId.SUBMIT_SM_RESP, 0, number)]


def test_r7_a_late_query_and_a_late_receipt_answer_are_marked_late():
    pair = Pair(timers=Timers(enquire_link_s=1e6)).bound()
    query = pair.esme.query(QuerySm(message_id="id-1"), "q", 0.0)
    pair.poll(60.0)
    [event] = pair.esme.receive(encode(QuerySmResp(query, 0, "id-1", "", 2, 0)), 61.0)
    assert event == ev.QueryAnswered("q", 0, "id-1", "", 2, 0, True)
    deliver = pair.smsc.deliver(RECEIPT, "r", 0.0)
    pair.smsc.poll(20.0)
    pair.smsc.receive(b"", 55.0)
    assert ev.RequestTimedOut("r", deliver) in pair.smsc.poll(60.0)
    [late] = pair.smsc.receive(raw(CommandId.DELIVER_SM_RESP, b"\0", number=deliver), 61.0)
    assert late == ev.DeliverAnswered("r", 0, deliver, True)


# --- R59: window and numbers ------------------------------------------------------------------------------------------


def test_r59_the_window_is_never_exceeded():
    esme = bound_esme(window=3)
    numbers = [esme.submit(SUBMIT, token, 0.0) for token in range(3)]
    written = esme.take_output()
    assert (esme.free_window, esme.outstanding) == (0, 3)
    for send in (lambda: esme.submit(SUBMIT, 9, 0.0), lambda: esme.query(QuerySm(), 9, 0.0)):
        with pytest.raises(WindowFull):
            send()
    assert esme.take_output() == b""
    assert written.count(b"46701234567") == 3
    esme.receive(raw(CommandId.SUBMIT_SM_RESP, b"id\0", number=numbers[1]), 0.0)
    assert esme.free_window == 1


def test_r59_numbers_wrap_and_pass_over_those_still_outstanding_or_late():
    timers = Timers(enquire_link_s=1e6)
    pair = Pair(first_sequence_number=MAX_SEQUENCE_NUMBER - 2, timers=timers).bound()
    late = [pair.esme.submit(SUBMIT, token, 0.0) for token in range(2)]
    assert late == [MAX_SEQUENCE_NUMBER - 1, MAX_SEQUENCE_NUMBER]
    first = pair.esme.submit(SUBMIT, "first", 50.0)
    assert first == 1
    pair.poll(60.0)
    pair.esme._last_sequence_number = MAX_SEQUENCE_NUMBER - 2
    assert pair.esme.submit(SUBMIT, "next", 60.0) == 2


def test_a_message_that_cannot_be_encoded_takes_no_place():
    esme = bound_esme()
    with pytest.raises(EncodeError, match="destination_addr"):
        esme.submit(SUBMIT._replace(destination_addr="x" * 30), 1, 0.0)
    assert esme.outstanding == 0
    assert esme.take_output() == b""
