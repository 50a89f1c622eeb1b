"""One SMPP bind as a state machine, either end of it (docs/smpp.md 1.2, 1.10; docs/rules.md R1-R13, R59).

``states.STATES`` says who may send what in which state; a session walks that one table as ``Role.ESME`` or
``Role.SMSC``, so tests and the simulator join two of them. Responses to messages are matched by sequence number alone,
in any order (R5); each side numbers its own requests.

The session knows no socket and no clock. Its owner feeds it octets (``receive``) and the time (``poll``, at
``next_timer``), gets events back, and writes what ``take_output`` gives. It answers by itself what needs no thought:
enquire_link, unbind, unknown commands, broken bodies. A deliver_sm it never answers by itself: that follows the commit
(R8), by ``answer_deliver``. All times are seconds on one monotonic clock, as ``float``.

Must not know: receipts, links, storage. Read next: ``dispatch/transport.py``, the socket around it.
"""

import struct
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from kvitto.smpp import events as ev
from kvitto.smpp.codec import (
    PduBuffer,
    ProtocolError,
    decode,
    decode_deliver_sm,
    decode_submit_sm,
    encode,
    encode_by_table,
    encode_deliver_sm_resp,
    encode_header,
    encode_submit_body,
    encode_submit_sm_resp,
)
from kvitto.smpp.events import Event
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
from kvitto.smpp.spec import MAX_SEQUENCE_NUMBER, RESPONSE_BIT, BindMode, CommandId, CommandStatus, Tlv, command_name
from kvitto.smpp.states import (
    BOUND,
    ENDED,
    EVER_FROM,
    MAY_SEND,
    STATES,
    NotAllowed,
    NotBound,
    Role,
    State,
    Timers,
    WindowFull,
)

__all__ = ["NotAllowed", "NotBound", "Role", "Session", "State", "Timers", "WindowFull"]


# One outstanding request: its command, the owner's token, when it was sent.
_Sent = tuple[int, object, float]

# The hot path compares plain numbers: to fetch a member of an enum is a call.
_SUBMIT_SM: Final = CommandId.SUBMIT_SM.value
_HEADER_BYTES: Final = 16
_pack_header: Final = struct.Struct(">IIII").pack
_pack_empty_id_resp: Final = struct.Struct(">IIIIx").pack
_status_and_number: Final = struct.Struct(">II").unpack_from
# A NamedTuple's own __new__ is a Python function; this one is not. It counts no fields: for this package's tuples only.
_new: Final = tuple.__new__


class Session:
    """One bind, seen from ``role``. Times given as ``now`` never go backwards."""

    def __init__(
        self,
        *,
        role: Role,
        now: float,
        window: int = 10,
        timers: Timers | None = None,
        late_response_s: float = 3600.0,
        first_sequence_number: int = 1,
    ) -> None:
        """Prepare a session in state OPEN; ``opened`` tells when the connection stands.

        ``window``: how many messages may wait for their answers (R59). ``late_response_s``: how long an answer is
        still understood after its request was sent (R7), at least ``timers.response_s``.
        """
        self.role = role
        self.window = window
        self.timers = timers or Timers()
        self._late_response_s = max(late_response_s, self.timers.response_s)
        self._last_sequence_number = first_sequence_number - 1
        self._buffer = PduBuffer()
        self._output: list[bytes] = []
        # Both in the order of sending, so the first entry is the one whose time comes first.
        self._sent: dict[int, _Sent] = {}
        self._late: dict[int, _Sent] = {}
        self._control: dict[int, int] = {}  # bind, unbind, enquire_link: sequence number -> command
        self._last_heard = now
        self._partial_since: float | None = None
        self._enquired_at: float | None = None
        self._answer_due: float | None = None  # of a bind or an unbind
        self._bind_command: int = 0
        self._asked = 0  # sequence number of an enquire_link that the owner wants to hear of
        self._state = State.OPEN
        self._mine = self._theirs = frozenset[int]()
        self.can_submit = False
        """Whether ``submit`` is allowed by the state; the window is another matter. To be read only."""
        self.ended = False
        """Whether nothing may flow any more: unbound, or closed for a reason that the last event told. Read only."""
        self._move(State.OPEN)
        # The four PDUs of every message have readers of their own; what is odd they leave to ``decode`` and ``_on``.
        self._read: dict[bytes, Callable[[bytes, list[Event]], bool]] = {
            _octets(CommandId.SUBMIT_SM_RESP): self._read_submit_resp,
            _octets(CommandId.DELIVER_SM): self._read_deliver,
            _octets(CommandId.SUBMIT_SM): self._read_submit,
            _octets(CommandId.DELIVER_SM_RESP): self._read_deliver_resp,
        }
        self._on: dict[type[Any], Callable[[Any, list[Event]], None]] = {
            SubmitSmResp: self._on_message_resp,
            DeliverSm: self._on_deliver,
            SubmitSm: self._on_submit,
            DeliverSmResp: self._on_message_resp,
            DataSm: self._on_deliver,
            DataSmResp: self._on_message_resp,
            QuerySm: self._on_query,
            QuerySmResp: self._on_query_resp,
            Bind: self._on_bind,
            BindResp: self._on_bind_resp,
            Empty: self._on_empty,
            Outbind: self._on_outbind,
            AlertNotification: self._on_alert,
            CancelSm: self._refuse,
            BrokenPdu: self._on_broken,
            UnknownPdu: self._on_unknown,
        }

    # --- What the owner may look at ------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def bound(self) -> bool:
        """Whether messages may flow, in the direction of the bind."""
        return self._bound

    @property
    def has_output(self) -> bool:
        """Whether ``take_output`` has something to give."""
        return bool(self._output)

    @property
    def free_window(self) -> int:
        """How many more messages may be sent now; 0 when the state allows none."""
        return max(0, self.window - len(self._sent)) if self._may_send_messages else 0

    @property
    def outstanding(self) -> int:
        """How many messages wait for their answers, within the response timer."""
        return len(self._sent)

    # --- In: octets and time -----------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The connection stands: timers count from here."""
        self._last_heard = now
        if self.role is Role.SMSC and self._state is State.OPEN:
            self._answer_due = now + self.timers.bind_s

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what the socket gave, in any pieces; return what happened, in order. Raises: nothing for any octets.

        Any octets count as a sign of life: under a flood of receipts the answer to enquire_link may wait in line (R9).
        """
        events: list[Event] = []
        if self._state in ENDED:
            return events
        self._last_heard = now
        self._enquired_at = None
        lost: ProtocolError | None = None
        try:
            frames = self._buffer.feed(data)
        except ProtocolError as error:
            frames, lost = error.frames, error
        if not self._buffer.pending_bytes:
            self._partial_since = None
        elif frames or self._partial_since is None:
            self._partial_since = now
        readers = self._read
        for frame in frames:
            read = readers.get(frame[4:8])
            if read is None or not read(frame, events):
                pdu = decode(frame)
                self._on[type(pdu)](pdu, events)
                if self.ended:
                    return events
        if lost is not None:
            self._output.append(
                encode_header(CommandId.GENERIC_NACK, CommandStatus.ESME_RINVCMDLEN, lost.sequence_number)
            )
            self._move(State.CLOSED)
            events.append(ev.FramingLost(str(lost)))
        return events

    def poll(self, now: float) -> list[Event]:
        """Do what time asks for; call it at ``next_timer`` or later. Early or needless calls do no harm."""
        events: list[Event] = []
        if self.ended:
            return events
        timers = self.timers
        if self._answer_due is not None and now >= self._answer_due:
            return self._dead(f"no answer to {self._awaited()}", events)
        if self._partial_since is not None and now >= self._partial_since + timers.read_pdu_s:
            return self._dead("a PDU was left half sent", events)
        if self._enquired_at is not None:
            if now >= self._enquired_at + timers.enquire_answer_s:
                return self._dead("no answer to enquire_link", events)
        elif self._bound and now >= self._last_heard + timers.enquire_link_s:
            self._enquired_at = now
            self._send_control(CommandId.ENQUIRE_LINK)
        self._time_out(now, events)
        return events

    def _awaited(self) -> str:
        if self.role is Role.SMSC and self._state is State.OPEN:
            return "the connection: no bind came"
        return "unbind" if self._state is State.UNBINDING else "bind"

    def _time_out(self, now: float, events: list[Event]) -> None:
        oldest = now - self.timers.response_s
        while self._sent:
            number = next(iter(self._sent))
            if self._sent[number][2] > oldest:
                break
            entry = self._late[number] = self._sent.pop(number)
            events.append(ev.RequestTimedOut(entry[1], number))
        forgotten = now - self._late_response_s
        while self._late:
            number = next(iter(self._late))
            if self._late[number][2] > forgotten:
                break
            del self._late[number]

    def next_timer(self) -> float | None:
        """When ``poll`` has something to do at the latest; None: never. May be earlier than needed."""
        if self.ended:
            return None
        timers = self.timers
        due: list[float] = []
        if self._answer_due is not None:
            due.append(self._answer_due)
        if self._partial_since is not None:
            due.append(self._partial_since + timers.read_pdu_s)
        if self._enquired_at is not None:
            due.append(self._enquired_at + timers.enquire_answer_s)
        elif self._bound:
            due.append(self._last_heard + timers.enquire_link_s)
        if self._sent:
            due.append(next(iter(self._sent.values()))[2] + timers.response_s)
        return min(due) if due else None

    def lost(self, now: float) -> list[object]:
        """The connection is gone: the tokens of what was written and not answered, in order (R12).

        Those already reported as ``RequestTimedOut`` are not among them. The session is over.
        """
        tokens = [token for _, token, _ in self._sent.values()]
        self._sent.clear()
        self._late.clear()
        self._control.clear()
        self._output.clear()
        self._last_heard = now
        self._move(State.CLOSED)
        return tokens

    # --- Out ---------------------------------------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """The octets that wait to be written, joined; empty when there are none. They are then the caller's."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def bind(
        self,
        mode: BindMode,
        system_id: str,
        password: str,
        *,
        now: float,
        system_type: str = "",
        interface_version: int = 0x34,
        addr_ton: int = 0,
        addr_npi: int = 0,
        address_range: str = "",
    ) -> None:
        """ESME: ask to be bound; ``BindAnswered`` or ``LinkDead`` follows. Raises: NotAllowed, EncodeError."""
        self._check_mine(mode)
        number = self._next_sequence_number()
        pdu = Bind(mode, number, system_id, password, system_type, interface_version, addr_ton, addr_npi, address_range)
        self._output.append(encode_by_table(pdu))
        self._control[number] = mode
        self._answer_due = now + self.timers.bind_s
        self._move(State.BINDING)

    def submit(self, pdu: SubmitSm, token: object, now: float) -> int:
        """ESME: send a message (its own sequence_number is ignored); the sequence number it got.

        ``SubmitAnswered`` follows, or ``RequestTimedOut``, or ``token`` comes back from ``lost``.
        Raises: NotBound; WindowFull; EncodeError. After any of them nothing was sent.
        """
        self.submit_many([(encode_submit_body(pdu), token)], now)
        return self._last_sequence_number

    def submit_many(self, messages: Iterable[tuple[bytes, object]], now: float) -> None:
        """ESME: send messages, each the octets behind the header of a submit_sm (``encode_submit_body``) and a token.

        Raises: NotBound, WindowFull at the first that cannot go; those before it are on their way.
        """
        if not self.can_submit:
            raise NotBound(f"submit_sm in state {self._state.value}")
        sent, late, control, output, window = self._sent, self._late, self._control, self._output, self.window
        number = self._last_sequence_number
        for body, token in messages:
            if len(sent) >= window:
                raise WindowFull(f"{window} requests are outstanding")
            number += 1
            if number > MAX_SEQUENCE_NUMBER or number in sent or number in late or number in control:
                number = self._next_sequence_number()
            self._last_sequence_number = number
            output.append(_pack_header(_HEADER_BYTES + len(body), _SUBMIT_SM, 0, number))
            output.append(body)
            sent[number] = (_SUBMIT_SM, token, now)

    def query(self, pdu: QuerySm, token: object, now: float) -> int:
        """ESME: ask for a message's state (R52); ``QueryAnswered`` follows. It takes a place in the window.

        Raises: as ``submit``.
        """
        return self._request(pdu, token, now)

    def deliver(self, pdu: DeliverSm | DataSm, token: object, now: float) -> int:
        """SMSC: send a receipt or a message; ``DeliverAnswered`` follows. Raises: as ``submit``."""
        return self._request(pdu, token, now)

    def _request(self, pdu: QuerySm | DeliverSm | DataSm, token: object, now: float) -> int:
        if pdu.command_id not in self._mine or self._state is State.UNBINDING:
            raise NotBound(f"{command_name(pdu.command_id)} in state {self._state.value}")
        if len(self._sent) >= self.window:
            raise WindowFull(f"{self.window} requests are outstanding")
        number = self._next_sequence_number()
        self._output.append(encode(pdu, number))
        self._sent[number] = (pdu.command_id, token, now)
        return number

    def answer_deliver(self, sequence_number: int, command_id: int, command_status: int = 0) -> None:
        """ESME: answer a deliver_sm or data_sm (``command_id`` of the request), once, after the commit (R8).

        On a session that has ended nothing happens: the SMSC sends it again on another.
        """
        if not self.ended:
            self._output.append(encode_deliver_sm_resp(sequence_number, command_status, command_id))

    def answer_many(self, answers: Iterable[tuple[int, int, int]]) -> None:
        """ESME: as ``answer_deliver``, many at once: (sequence_number, command_id, command_status) each."""
        if not self.ended:
            self._output += [
                _pack_empty_id_resp(_HEADER_BYTES + 1, command_id | RESPONSE_BIT, command_status, number)
                for number, command_id, command_status in answers
            ]

    def unbind(self, now: float) -> None:
        """End the session in good order: ``Unbound`` or ``LinkDead`` follows. Raises: NotAllowed unless bound."""
        if self._state is State.UNBINDING:
            return
        self._check_mine(CommandId.UNBIND)
        self._send_control(CommandId.UNBIND)
        self._answer_due = now + self.timers.enquire_answer_s
        self._move(State.UNBINDING)

    def enquire_link(self, now: float) -> None:
        """Ask the peer at once whether it lives: ``EnquireAnswered`` follows, or ``LinkDead``. Raises: NotAllowed."""
        self._check_mine(CommandId.ENQUIRE_LINK)
        self._enquired_at = now
        self._send_control(CommandId.ENQUIRE_LINK)
        self._asked = self._last_sequence_number

    def outbind(self, system_id: str, password: str) -> None:
        """SMSC: ask an ESME that does not bind by itself to do so. Raises: NotAllowed, EncodeError."""
        self._check_mine(CommandId.OUTBIND)
        self._output.append(encode_by_table(Outbind(self._next_sequence_number(), system_id, password)))

    def alert(self, pdu: AlertNotification) -> None:
        """SMSC: tell that a handset may be reached again. Raises: NotAllowed, EncodeError."""
        self._check_mine(CommandId.ALERT_NOTIFICATION)
        self._output.append(encode_by_table(pdu, self._next_sequence_number()))

    def answer_bind(
        self, sequence_number: int, command_status: int, system_id: str, interface_version: int | None = 0x34
    ) -> None:
        """SMSC: accept (0) or refuse a bind. Raises: NotAllowed when none waits."""
        if self._state is not State.BINDING:
            raise NotAllowed(f"no bind waits for its answer in state {self._state.value}")
        response = self._bind_command | RESPONSE_BIT
        tlvs = {} if interface_version is None else {int(Tlv.SC_INTERFACE_VERSION): bytes((interface_version,))}
        self._output.append(encode_by_table(BindResp(response, sequence_number, command_status, system_id, tlvs)))
        self._move(State.OPEN if command_status else STATES[self._state][self.role, response])

    def answer_submit(self, sequence_number: int, command_status: int, message_id: str = "") -> None:
        """SMSC: answer a submit_sm; on a session that has ended nothing happens."""
        if not self.ended:
            self._output.append(encode_submit_sm_resp(sequence_number, command_status, message_id))

    def answer_query(self, pdu: QuerySmResp) -> None:
        """SMSC: answer a query_sm; on a session that has ended nothing happens."""
        if not self.ended:
            self._output.append(encode_by_table(pdu))

    # --- The inner works ---------------------------------------------------------------------------------------------

    def _move(self, state: State) -> None:
        self._state = state
        # Asked for with every message: as plain attributes, since an enum's hash is a call.
        self.ended = state in ENDED
        self._bound = state in BOUND
        self.can_submit = self.role is Role.ESME and state in (State.BOUND_TX, State.BOUND_TRX)
        self._may_send_messages = self._bound and (self.role is Role.SMSC or self.can_submit)
        self._mine = MAY_SEND[state, self.role]
        self._theirs = MAY_SEND[state, self.role.peer]
        self._takes_deliver = CommandId.DELIVER_SM in self._theirs
        self._takes_submit = CommandId.SUBMIT_SM in self._theirs

    def _check_mine(self, command_id: int) -> None:
        if command_id not in self._mine:
            raise NotAllowed(f"{command_name(command_id)} from the {self.role.value} in state {self._state.value}")

    def _next_sequence_number(self) -> int:
        """1 to 0x7FFFFFFF and round again, passing over whatever may still be answered (R59, R7)."""
        number = self._last_sequence_number
        while True:
            number = 1 if number >= MAX_SEQUENCE_NUMBER else number + 1
            if number not in self._sent and number not in self._late and number not in self._control:
                self._last_sequence_number = number
                return number

    def _send_control(self, command_id: int) -> None:
        number = self._next_sequence_number()
        self._control[number] = command_id
        # An enquire_link that a busy peer never answered must not be kept for ever: the last few are enough.
        for old in list(islice(self._control, max(0, len(self._control) - 8))):
            del self._control[old]
        self._output.append(encode_header(command_id, 0, number))

    def _dead(self, reason: str, events: list[Event]) -> list[Event]:
        self._move(State.CLOSED)
        events.append(ev.LinkDead(reason))
        return events

    def _nack(self, sequence_number: int, command_status: int) -> None:
        self._output.append(encode_header(CommandId.GENERIC_NACK, command_status, sequence_number))

    def _settle(self, number: int) -> tuple[_Sent, bool] | None:
        """The outstanding request of this number, and whether its answer is late; None: there is none."""
        entry = self._sent.pop(number, None)
        if entry is not None:
            return entry, False
        entry = self._late.pop(number, None)
        return None if entry is None else (entry, True)

    # --- The hot path: straight from the frame to the event; False when the plain way has to read it ----------------

    def _read_submit_resp(self, frame: bytes, events: list[Event]) -> bool:
        last = len(frame) - 1
        if last < _HEADER_BYTES or frame.find(0, _HEADER_BYTES) != last:
            return False  # No body, no NUL, or TLVs.
        status, number = _status_and_number(frame, 8)
        entry = self._sent.get(number)
        if entry is None or entry[0] != _SUBMIT_SM:
            return False
        del self._sent[number]
        events.append(_new(ev.SubmitAnswered, (entry[1], status, frame[16:last].decode("latin-1"), False)))
        return True

    def _read_deliver(self, frame: bytes, events: list[Event]) -> bool:
        if not self._takes_deliver:
            return False
        pdu = decode_deliver_sm(frame)
        if type(pdu) is not DeliverSm:
            return False
        events.append(_new(ev.DeliverReceived, (pdu,)))
        return True

    def _read_submit(self, frame: bytes, events: list[Event]) -> bool:
        if not self._takes_submit:
            return False
        pdu = decode_submit_sm(frame)
        if type(pdu) is not SubmitSm:
            return False
        events.append(_new(ev.SubmitReceived, (pdu,)))
        return True

    def _read_deliver_resp(self, frame: bytes, events: list[Event]) -> bool:
        if len(frame) != _HEADER_BYTES + 1 or frame[16]:
            return False
        status, number = _status_and_number(frame, 8)
        entry = self._sent.get(number)
        if entry is None or self.role is not Role.SMSC:
            return False
        del self._sent[number]
        events.append(_new(ev.DeliverAnswered, (entry[1], status, number, False)))
        return True

    # --- One method for each PDU that may come -----------------------------------------------------------------------

    def _on_message_resp(self, pdu: SubmitSmResp | DeliverSmResp | DataSmResp, events: list[Event]) -> None:
        number, status = pdu.sequence_number, pdu.command_status
        if not self._answered(number, status, pdu.message_id, events):
            events.append(ev.StrayResponse(pdu.command_id, status, number))

    def _answered(self, number: int, status: int, message_id: str, events: list[Event]) -> bool:
        """Settle one of our messages by its number alone, whatever kind of response came (R5)."""
        found = self._settle(number)
        if found is None:
            return False
        (command_id, token, _), late = found
        if command_id == CommandId.SUBMIT_SM:
            events.append(ev.SubmitAnswered(token, status, message_id, late))
        elif command_id == CommandId.QUERY_SM:
            events.append(ev.QueryAnswered(token, status, message_id, "", None, 0, late))
        else:
            events.append(ev.DeliverAnswered(token, status, number, late))
        return True

    def _on_query_resp(self, pdu: QuerySmResp, events: list[Event]) -> None:
        number, status = pdu.sequence_number, pdu.command_status
        entry = self._sent.get(number) or self._late.get(number)
        if entry is None or entry[0] != CommandId.QUERY_SM:
            if not self._answered(number, status, pdu.message_id, events):
                events.append(ev.StrayResponse(pdu.command_id, status, number))
            return
        late = number in self._late
        self._settle(number)
        state = None if status else pdu.message_state
        events.append(ev.QueryAnswered(entry[1], status, pdu.message_id, pdu.final_date, state, pdu.error_code, late))

    def _on_deliver(self, pdu: DeliverSm | DataSm, events: list[Event]) -> None:
        if pdu.command_id in self._theirs:
            events.append(ev.DeliverReceived(pdu))
        else:
            self._refuse(pdu, events)

    def _on_submit(self, pdu: SubmitSm, events: list[Event]) -> None:
        if CommandId.SUBMIT_SM in self._theirs:
            events.append(ev.SubmitReceived(pdu))
        else:
            self._refuse(pdu, events)

    def _on_query(self, pdu: QuerySm, events: list[Event]) -> None:
        if CommandId.QUERY_SM in self._theirs:
            events.append(ev.QueryReceived(pdu))
        else:
            self._refuse(pdu, events)

    def _refuse(self, pdu: Any, events: list[Event]) -> None:
        """Answer a request that the table does not allow: wrong state, or a command this end never takes."""
        command_id = pdu.command_id
        known = command_id in EVER_FROM[self.role.peer]
        status = CommandStatus.ESME_RINVBNDSTS if known else CommandStatus.ESME_RINVCMDID
        if command_id in (CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM):
            self._output.append(encode_deliver_sm_resp(pdu.sequence_number, status, command_id))
        else:
            self._nack(pdu.sequence_number, status)

    def _on_bind(self, pdu: Bind, events: list[Event]) -> None:
        if pdu.command_id in self._theirs:
            self._bind_command = pdu.command_id
            self._answer_due = None
            self._move(State.BINDING)
            events.append(ev.BindReceived(pdu))
            return
        status = CommandStatus.ESME_RALYBND if self.role is Role.SMSC else CommandStatus.ESME_RINVBNDSTS
        self._output.append(encode_by_table(BindResp(pdu.command_id | RESPONSE_BIT, pdu.sequence_number, status)))

    def _on_bind_resp(self, pdu: BindResp, events: list[Event]) -> None:
        expected = self._control.get(pdu.sequence_number)
        if self._state is not State.BINDING or expected is None or expected | RESPONSE_BIT != pdu.command_id:
            events.append(ev.StrayResponse(pdu.command_id, pdu.command_status, pdu.sequence_number))
            return
        del self._control[pdu.sequence_number]
        version = pdu.tlvs.get(Tlv.SC_INTERFACE_VERSION, b"")
        self._bind_answered(pdu.command_id, pdu.command_status, pdu.system_id, version[0] if version else None, events)

    def _bind_answered(
        self, response: int, command_status: int, system_id: str, version: int | None, events: list[Event]
    ) -> None:
        self._answer_due = None
        self._move(State.OPEN if command_status else STATES[self._state][self.role.peer, response])
        events.append(ev.BindAnswered(command_status, system_id, version))

    def _on_empty(self, pdu: Empty, events: list[Event]) -> None:
        command_id, number = pdu.command_id, pdu.sequence_number
        if command_id == CommandId.ENQUIRE_LINK:
            self._output.append(encode_header(CommandId.ENQUIRE_LINK_RESP, 0, number))
        elif command_id == CommandId.ENQUIRE_LINK_RESP:
            if self._control.pop(number, None) is not None and number == self._asked:
                events.append(ev.EnquireAnswered())
        elif command_id == CommandId.UNBIND:
            self._on_unbind(number, events)
        elif command_id == CommandId.UNBIND_RESP and self._control.get(number) == CommandId.UNBIND:
            self._move(State.UNBOUND)
            events.append(ev.Unbound())
        elif command_id == CommandId.GENERIC_NACK:
            self._on_nack(pdu, events)
        elif not self._answered(number, pdu.command_status, "", events):
            events.append(ev.StrayResponse(command_id, pdu.command_status, number))

    def _on_unbind(self, number: int, events: list[Event]) -> None:
        if CommandId.UNBIND not in self._theirs:
            self._output.append(encode_header(CommandId.UNBIND_RESP, CommandStatus.ESME_RINVBNDSTS, number))
            return
        self._output.append(encode_header(CommandId.UNBIND_RESP, 0, number))
        self._move(State.UNBOUND)
        events.append(ev.PeerUnbound())

    def _on_nack(self, pdu: Empty, events: list[Event]) -> None:
        # A nack is an error even when its status says OK; to take that for success would invent a delivery (R4).
        number, status = pdu.sequence_number, pdu.command_status or CommandStatus.ESME_RUNKNOWNERR
        if self._answered(number, status, "", events):
            return
        command_id = self._control.pop(number, None)
        if command_id is None:
            events.append(ev.NackReceived(pdu.command_status, number))
        elif command_id == CommandId.UNBIND:
            self._move(State.UNBOUND)
            events.append(ev.Unbound())
        elif command_id != CommandId.ENQUIRE_LINK:  # To refuse an enquire_link is a sign of life.
            self._bind_answered(command_id | RESPONSE_BIT, status, "", None, events)

    def _on_outbind(self, pdu: Outbind, events: list[Event]) -> None:
        if CommandId.OUTBIND in self._theirs:
            events.append(ev.OutbindReceived(pdu.system_id, pdu.password))
        else:
            self._refuse(pdu, events)

    def _on_alert(self, pdu: AlertNotification, events: list[Event]) -> None:
        if CommandId.ALERT_NOTIFICATION in self._theirs:
            events.append(ev.AlertReceived(pdu))
        else:
            self._refuse(pdu, events)

    def _on_broken(self, pdu: BrokenPdu, events: list[Event]) -> None:
        """A broken body (R10). A broken response is never nacked: the number would name a request of the peer's."""
        events.append(ev.BrokenReceived(pdu))
        number = pdu.sequence_number
        if pdu.command_id in (CommandId.DELIVER_SM, CommandId.DATA_SM):
            self._output.append(encode_deliver_sm_resp(number, CommandStatus.ESME_RSYSERR, pdu.command_id))
        elif not pdu.command_id & RESPONSE_BIT:
            self._nack(number, CommandStatus.ESME_RINVCMDLEN)
        else:
            self._answered(number, pdu.command_status or CommandStatus.ESME_RUNKNOWNERR, "", events)

    def _on_unknown(self, pdu: UnknownPdu, events: list[Event]) -> None:
        events.append(ev.UnknownReceived(pdu))
        if not pdu.command_id & RESPONSE_BIT:
            self._nack(pdu.sequence_number, CommandStatus.ESME_RINVCMDID)


def _octets(command_id: int) -> bytes:
    """As a frame's octets 4 to 8 name it."""
    return command_id.to_bytes(4)
