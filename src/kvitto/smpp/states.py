"""The states of one SMPP connection, as one table for both ends (docs/smpp.md 1.2, 1.10; docs/rules.md R4, R13).

After h11: both ends of a connection walk through the same states, so there is one table, ``STATES``: state ->
{(who sends, which command): next state}. What is not in it for the present state may not be sent, and is refused with
ESME_RINVBNDSTS when the peer sends it. Responses to submit_sm, query_sm, deliver_sm and data_sm are not in it: they
move no state and are matched by sequence number alone, in whatever state they come (R5).

Read next: ``control.py``, which walks the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kvitto.core.errors import LocalError
from kvitto.smpp.spec import RESPONSE_BIT, CommandId

__all__ = [
    "BOUND",
    "ENDED",
    "EVER_FROM",
    "MAY_SEND",
    "STATES",
    "NotAllowed",
    "NotBound",
    "Role",
    "State",
    "Timers",
    "WindowFull",
]


class NotAllowed(LocalError):
    """What was asked may not be sent in the present state."""


class NotBound(NotAllowed):
    """A message was to be sent on a session that is not, or no longer, bound for it."""


class WindowFull(LocalError):
    """As many requests are outstanding as the window allows (R59): look at ``free_window`` first."""


class Role(Enum):
    """Which end of the connection a session plays."""

    ESME = "esme"
    SMSC = "smsc"

    @property
    def peer(self) -> "Role":
        """The other end."""
        return Role.SMSC if self is Role.ESME else Role.ESME


class State(Enum):
    """Where the connection stands (docs/smpp.md 1.2, with the two steps in between made visible)."""

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    UNBOUND = "unbound"
    CLOSED = "closed"


_Moves = Mapping[tuple[Role, int], State]


def _states() -> dict[State, _Moves]:
    esme, smsc, c = Role.ESME, Role.SMSC, CommandId
    binds: dict[int, State] = {
        c.BIND_TRANSMITTER: State.BOUND_TX,
        c.BIND_RECEIVER: State.BOUND_RX,
        c.BIND_TRANSCEIVER: State.BOUND_TRX,
    }
    # An outbind that crosses our own bind asks for what is on its way already: it has no response PDU to refuse it by.
    down = [(smsc, c.DELIVER_SM), (smsc, c.DATA_SM), (smsc, c.ALERT_NOTIFICATION), (smsc, c.OUTBIND)]
    up = [(esme, c.SUBMIT_SM), (esme, c.QUERY_SM)]
    unbind: dict[tuple[Role, int], State] = {(role, c.UNBIND): State.UNBINDING for role in Role}

    def stay(state: State, *requests: tuple[Role, int]) -> dict[tuple[Role, int], State]:
        upkeep = [(role, command) for role in Role for command in (c.ENQUIRE_LINK, c.ENQUIRE_LINK_RESP, c.GENERIC_NACK)]
        return dict.fromkeys([*requests, *upkeep], state)

    return {
        State.OPEN: {**stay(State.OPEN, (smsc, c.OUTBIND)), **{(esme, bind): State.BINDING for bind in binds}},
        # A bind_resp with an error leads back to OPEN.
        State.BINDING: {
            **stay(State.BINDING, (smsc, c.OUTBIND)),
            **{(smsc, bind | RESPONSE_BIT): state for bind, state in binds.items()},
        },
        # Receipts are taken on a transmitter too: SMSCs send them there (R13).
        State.BOUND_TX: {**stay(State.BOUND_TX, *up, *down), **unbind},
        State.BOUND_RX: {**stay(State.BOUND_RX, *down), **unbind},
        State.BOUND_TRX: {**stay(State.BOUND_TRX, *up, *down), **unbind},
        # What the peer sent before it saw our unbind is still good.
        State.UNBINDING: {
            **stay(State.UNBINDING, *up, *down),
            **unbind,
            **{(role, c.UNBIND_RESP): State.UNBOUND for role in Role},
        },
        State.UNBOUND: {},
        State.CLOSED: {},
    }


STATES: Final[Mapping[State, _Moves]] = _states()
"""state -> {(sender, command id): next state}. Absent: not allowed."""

MAY_SEND: Final[Mapping[tuple[State, Role], frozenset[int]]] = {
    (state, role): frozenset(command for sender, command in moves if sender is role)
    for state, moves in STATES.items()
    for role in Role
}
EVER_FROM: Final[Mapping[Role, frozenset[int]]] = {
    role: frozenset().union(*(MAY_SEND[state, role] for state in State)) for role in Role
}
BOUND: Final = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})
ENDED: Final = frozenset({State.UNBOUND, State.CLOSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """How long to wait for the peer, in seconds (docs/smpp.md 1.10)."""

    bind_s: float = 10.0
    """For the answer to our bind; at the SMSC's end, for the bind of whoever connected."""
    enquire_link_s: float = 30.0
    """Silence of the peer after which we ask whether it lives (R9)."""
    enquire_answer_s: float = 10.0
    """For its answer, or any other sign of life; also for the answer to our unbind."""
    response_s: float = 60.0
    """For the answer to a submit_sm, query_sm, deliver_sm or data_sm; then it counts as unanswered (R12)."""
    read_pdu_s: float = 30.0
    """For the rest of a PDU that has begun to come."""

    @property
    def shortest_s(self) -> float:
        """The shortest of them: what begins now asks for attention no earlier than after this."""
        return min(self.bind_s, self.enquire_link_s, self.enquire_answer_s, self.response_s, self.read_pdu_s)
