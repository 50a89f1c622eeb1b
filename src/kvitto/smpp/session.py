"""One SMPP bind as a state machine, either end of it (docs/smpp.md 1.2, 1.10; docs/rules.md R1-R13, R59).

A session plays ``Role.ESME`` or ``Role.SMSC``, so tests and the simulator join two of them. Who may send what in which
state, binds, signs of life and timers are its base's, ``control.Control``; here are octets and messages. Responses to
messages are matched by sequence number alone, in any order (R5); each side numbers its own requests.

The session knows no socket and no clock. Its owner feeds it octets (``receive``) and the time (``poll``, at
``next_timer``), gets events back, and writes what ``take_output`` gives. It answers by itself what needs no thought:
enquire_link, unbind, unknown commands, broken bodies. A deliver_sm it never answers by itself: that follows the commit
(R8), by ``answer_deliver``. All times are seconds on one monotonic clock, as ``float``.

Must not know: receipts, links, storage. Read next: ``dispatch/transport.py``, the socket around it.
"""

import struct
from collections.abc import Callable, Iterable
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
from kvitto.smpp.control import Control, Sent
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
from kvitto.smpp.spec import MAX_SEQUENCE_NUMBER, RESPONSE_BIT, CommandId, CommandStatus, command_name
from kvitto.smpp.states import (
    ENDED,
    NotAllowed,
    NotBound,
    Role,
    State,
    Timers,
    WindowFull,
)

__all__ = ["NotAllowed", "NotBound", "Role", "Session", "State", "Timers", "WindowFull"]

# The hot path compares plain numbers: to fetch a member of an enum is a call.
_SUBMIT_SM: Final = CommandId.SUBMIT_SM.value
_HEADER_BYTES: Final = 16
_pack_header: Final = struct.Struct(">IIII").pack
_pack_empty_id_resp: Final = struct.Struct(">IIIIx").pack
_status_and_number: Final = struct.Struct(">II").unpack_from
# A NamedTuple's own __new__ is a Python function; this one is not. It counts no fields: for this package's tuples only.
_new: Final = tuple.__new__


class Session(Control):
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
        super().__init__(
            role=role,
            now=now,
            window=window,
            timers=timers,
            late_response_s=late_response_s,
            first_sequence_number=first_sequence_number,
        )
        self._buffer = PduBuffer()
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
    def free_window(self) -> int:
        """How many more messages may be sent now; 0 when the state allows none."""
        return max(0, self.window - len(self._sent)) if self._may_send_messages else 0

    @property
    def outstanding(self) -> int:
        """How many messages wait for their answers, within the response timer."""
        return len(self._sent)

    # --- In: octets --------------------------------------------------------------------------------------------------

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

    def alert(self, pdu: AlertNotification) -> None:
        """SMSC: tell that a handset may be reached again. Raises: NotAllowed, EncodeError."""
        self._check_mine(CommandId.ALERT_NOTIFICATION)
        self._output.append(encode_by_table(pdu, self._next_sequence_number()))

    def answer_submit(self, sequence_number: int, command_status: int, message_id: str = "") -> None:
        """SMSC: answer a submit_sm; on a session that has ended nothing happens."""
        if not self.ended:
            self._output.append(encode_submit_sm_resp(sequence_number, command_status, message_id))

    def answer_query(self, pdu: QuerySmResp) -> None:
        """SMSC: answer a query_sm; on a session that has ended nothing happens."""
        if not self.ended:
            self._output.append(encode_by_table(pdu))

    # --- The inner works ---------------------------------------------------------------------------------------------

    def _settle(self, number: int) -> tuple[Sent, bool] | None:
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
