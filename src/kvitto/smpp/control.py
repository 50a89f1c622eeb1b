"""The half of an SMPP session that carries no messages: binding, unbinding, signs of life, and what time asks for.

``states.STATES`` says who may send what in which state (docs/smpp.md 1.2, 1.10; docs/rules.md R9, R13, R59);
``Control`` walks that one table as ``Role.ESME`` or ``Role.SMSC``. It keeps the numbers of what was sent, of messages
too, since they share one row of sequence numbers and one clock; messages themselves it only refuses.

Must not know: octets that come in, what a message says. Read next: ``session.py``, which adds them.
"""

from itertools import islice
from typing import Any

from kvitto.smpp import events as ev
from kvitto.smpp.codec import encode_by_table, encode_deliver_sm_resp, encode_header
from kvitto.smpp.events import Event
from kvitto.smpp.pdus import Bind, BindResp, Outbind
from kvitto.smpp.spec import MAX_SEQUENCE_NUMBER, RESPONSE_BIT, BindMode, CommandId, CommandStatus, Tlv, command_name
from kvitto.smpp.states import BOUND, ENDED, EVER_FROM, MAY_SEND, STATES, NotAllowed, Role, State, Timers

__all__ = ["Control", "Sent"]

Sent = tuple[int, object, float]
"""One outstanding request: its command, the owner's token, when it was sent."""


class Control:
    """One bind without its messages, seen from ``role``. Times given as ``now`` never go backwards."""

    def __init__(
        self,
        *,
        role: Role,
        now: float,
        window: int,
        timers: Timers | None,
        late_response_s: float,
        first_sequence_number: int,
    ) -> None:
        self.role = role
        self.window = window
        self.timers = timers or Timers()
        self._late_response_s = max(late_response_s, self.timers.response_s)
        self._last_sequence_number = first_sequence_number - 1
        self._output: list[bytes] = []
        # Both in the order of sending, so the first entry is the one whose time comes first.
        self._sent: dict[int, Sent] = {}
        self._late: dict[int, Sent] = {}
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

    # --- What the owner may look at -----------------------------------------------------------------------------------

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

    # --- Time ---------------------------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The connection stands: timers count from here."""
        self._last_heard = now
        if self.role is Role.SMSC and self._state is State.OPEN:
            self._answer_due = now + self.timers.bind_s

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

    # --- Out ----------------------------------------------------------------------------------------------------------

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

    # --- In: one method for each PDU that may come --------------------------------------------------------------------

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

    def _on_unbind(self, number: int, events: list[Event]) -> None:
        if CommandId.UNBIND not in self._theirs:
            self._output.append(encode_header(CommandId.UNBIND_RESP, CommandStatus.ESME_RINVBNDSTS, number))
            return
        self._output.append(encode_header(CommandId.UNBIND_RESP, 0, number))
        self._move(State.UNBOUND)
        events.append(ev.PeerUnbound())

    def _on_outbind(self, pdu: Outbind, events: list[Event]) -> None:
        if CommandId.OUTBIND in self._theirs:
            events.append(ev.OutbindReceived(pdu.system_id, pdu.password))
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

    # --- The inner works ----------------------------------------------------------------------------------------------

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
