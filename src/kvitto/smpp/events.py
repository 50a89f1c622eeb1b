"""What a session tells its owner: one small NamedTuple for each kind of news (``session.py`` makes them).

``token`` is whatever object the owner gave with the request; the session never looks at it. ``late`` marks an answer
that came after the response timer, for a request already reported as ``RequestTimedOut`` (R7).
"""

from typing import NamedTuple

from kvitto.smpp.pdus import AlertNotification, Bind, BrokenPdu, DataSm, DeliverSm, QuerySm, SubmitSm, UnknownPdu

__all__ = [
    "AlertReceived",
    "BindAnswered",
    "BindReceived",
    "BrokenReceived",
    "DeliverAnswered",
    "DeliverReceived",
    "EnquireAnswered",
    "Event",
    "FramingLost",
    "LinkDead",
    "NackReceived",
    "OutbindReceived",
    "PeerUnbound",
    "QueryAnswered",
    "QueryReceived",
    "RequestTimedOut",
    "StrayResponse",
    "SubmitAnswered",
    "SubmitReceived",
    "Unbound",
    "UnknownReceived",
]


class BindAnswered(NamedTuple):
    """ESME. ``command_status`` 0: bound. Else the session is open again and may bind once more, or be closed.

    ``interface_version``: from the TLV sc_interface_version (0x33, 0x34, 0x50), None when the peer did not tell.
    """

    command_status: int
    system_id: str
    interface_version: int | None


class SubmitAnswered(NamedTuple):
    """ESME: a submit_sm was answered, by its response or by a generic_nack. ``message_id`` may be empty."""

    token: object
    command_status: int
    message_id: str
    late: bool


class QueryAnswered(NamedTuple):
    """ESME: a query_sm was answered. The last three fields mean something only when ``command_status`` is 0.

    ``message_state``: None when the answer carried none. ``final_date``: SMPP time text or empty.
    """

    token: object
    command_status: int
    message_id: str
    final_date: str
    message_state: int | None
    error_code: int
    late: bool


class DeliverAnswered(NamedTuple):
    """SMSC: a deliver_sm or data_sm of ours was answered."""

    token: object
    command_status: int
    sequence_number: int
    late: bool


class RequestTimedOut(NamedTuple):
    """A request got no answer within ``response_s``. Its window slot is free again; a late answer still comes (R7)."""

    token: object
    sequence_number: int


class DeliverReceived(NamedTuple):
    """ESME: a receipt or an incoming message. Not answered yet: ``answer_deliver`` after the commit (R8)."""

    pdu: DeliverSm | DataSm


class SubmitReceived(NamedTuple):
    """SMSC: answer it with ``answer_submit``."""

    pdu: SubmitSm


class QueryReceived(NamedTuple):
    """SMSC: answer it with ``answer_query``."""

    pdu: QuerySm


class BindReceived(NamedTuple):
    """SMSC: answer it with ``answer_bind``."""

    pdu: Bind


class OutbindReceived(NamedTuple):
    """ESME: the SMSC asks to be bound to (R13). ``system_id`` is the SMSC's."""

    system_id: str
    password: str

    def __repr__(self) -> str:
        """Without the password: an event may end in a log line."""
        return f"OutbindReceived(system_id={self.system_id!r})"


class AlertReceived(NamedTuple):
    """ESME: an alert_notification; to be logged, never answered."""

    pdu: AlertNotification


class NackReceived(NamedTuple):
    """A generic_nack that settles no request of ours; those that do come as the answer of their request (R4)."""

    command_status: int
    sequence_number: int


class StrayResponse(NamedTuple):
    """A response to nothing that is or lately was outstanding: a number made up, or answered twice."""

    command_id: int
    command_status: int
    sequence_number: int


class BrokenReceived(NamedTuple):
    """A broken body in a good frame, already answered with an error (R10). To be logged raw."""

    pdu: BrokenPdu


class UnknownReceived(NamedTuple):
    """An unknown command, already answered generic_nack 0x03 if it was a request (R4)."""

    pdu: UnknownPdu


class Unbound(NamedTuple):
    """Our unbind was answered: close the connection."""


class PeerUnbound(NamedTuple):
    """The peer's unbind came and has been answered: write what waits, then close (R13)."""


class EnquireAnswered(NamedTuple):
    """The answer to an enquire_link that the owner had asked for (``Session.enquire_link``)."""


class LinkDead(NamedTuple):
    """The peer did not answer an enquire_link, a bind or an unbind, or left a PDU half sent: close (R9)."""

    reason: str


class FramingLost(NamedTuple):
    """An impossible length; a generic_nack 0x02 waits to be written, then close (R4)."""

    reason: str


Event = (
    AlertReceived
    | BindAnswered
    | BindReceived
    | BrokenReceived
    | DeliverAnswered
    | DeliverReceived
    | EnquireAnswered
    | FramingLost
    | LinkDead
    | NackReceived
    | OutbindReceived
    | PeerUnbound
    | QueryAnswered
    | QueryReceived
    | RequestTimedOut
    | StrayResponse
    | SubmitAnswered
    | SubmitReceived
    | Unbound
    | UnknownReceived
)
