"""The status machine: what an event makes of a recipient (docs/status.md; P4).

Events are facts and are all kept; the status is derived. A message is one text to one recipient and is sent as one or
more parts. An event first changes one part (or withdraws the message); the parts then say what the recipient's status
should be (R38); and ``MOVES`` says whether the recipient may go there. Nothing else in the house decides a status.

    event -> part -> proposal (from all parts) -> MOVES -> record

Must not know: dialects, links, the store. Everything here is a value or a pure function. Next: ``kvitto.core.model``.
"""

from collections.abc import Iterable, Mapping
from enum import IntFlag, StrEnum
from typing import Final, NamedTuple

__all__ = [
    "FINAL",
    "MOVES",
    "NO_ERROR",
    "REASONS_OF",
    "Answered",
    "ErrorSource",
    "Event",
    "InDoubt",
    "Message",
    "Move",
    "MoveKind",
    "Note",
    "Outcome",
    "PartRecord",
    "PartState",
    "PartsSettled",
    "Reason",
    "ReceiptRead",
    "Refused",
    "Status",
    "StatusError",
    "WaitOver",
    "Withdrawn",
    "apply",
]


class Status(StrEnum):
    """The ten canonical statuses (docs/status.md section 1)."""

    QUEUED = "QUEUED"
    DISPATCHED = "DISPATCHED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    DELETED = "DELETED"
    CANCELLED = "CANCELLED"
    ABORTED = "ABORTED"
    UNKNOWN = "UNKNOWN"


FINAL: Final = frozenset(Status) - {Status.QUEUED, Status.DISPATCHED}
_FAILING: Final = frozenset({Status.REJECTED, Status.FAILED, Status.EXPIRED, Status.DELETED})


class Reason(StrEnum):
    """Why a message has its status (docs/status.md section 3)."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    WAITING_LINK = "waiting_link"
    RETRYING = "retrying"
    IN_FLIGHT = "in_flight"
    ACCEPTED = "accepted"
    SCHEDULED_SMSC = "scheduled_smsc"
    ENROUTE = "enroute"
    OPERATOR_ACCEPTED = "operator_accepted"
    RETRYING_SMSC = "retrying_smsc"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    SKIPPED = "skipped"
    VALIDITY_SMSC = "validity_smsc"
    DELETED_SMSC = "deleted_smsc"
    REJECTED_SMSC = "rejected_smsc"
    SUBMIT_REFUSED = "submit_refused"
    SMSC_UNKNOWN = "smsc_unknown"
    UNREADABLE = "unreadable"
    NO_RECEIPT = "no_receipt"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    VALIDITY_LOCAL = "validity_local"
    CANCELLED = "cancelled"
    NO_ROUTE = "no_route"
    BLOCKED_DESTINATION = "blocked_destination"
    BLOCKED_SENDER = "blocked_sender"
    NO_SENDER = "no_sender"
    UNMATCHED_PARAMETER = "unmatched_parameter"
    TOO_MANY_PARTS = "too_many_parts"
    UNPROVISIONED = "unprovisioned"
    ACCOUNT_BLOCKED = "account_blocked"
    FLOODING = "flooding"
    INTERNAL = "internal"


REASONS_OF: Final[Mapping[Status, tuple[Reason, ...]]] = {
    Status.QUEUED: (Reason.QUEUED, Reason.SCHEDULED, Reason.WAITING_LINK, Reason.RETRYING, Reason.IN_FLIGHT),
    Status.DISPATCHED: (
        Reason.ACCEPTED,
        Reason.SCHEDULED_SMSC,
        Reason.ENROUTE,
        Reason.OPERATOR_ACCEPTED,
        Reason.RETRYING_SMSC,
    ),
    Status.DELIVERED: (Reason.DELIVERED,),
    Status.FAILED: (Reason.UNDELIVERABLE, Reason.SKIPPED),
    Status.EXPIRED: (Reason.VALIDITY_SMSC, Reason.VALIDITY_LOCAL),
    Status.DELETED: (Reason.DELETED_SMSC,),
    Status.REJECTED: (Reason.REJECTED_SMSC, Reason.SUBMIT_REFUSED),
    Status.UNKNOWN: (Reason.SMSC_UNKNOWN, Reason.UNREADABLE, Reason.NO_RECEIPT, Reason.NOT_ACKNOWLEDGED),
    Status.CANCELLED: (Reason.CANCELLED,),
    Status.ABORTED: (
        Reason.NO_ROUTE,
        Reason.BLOCKED_DESTINATION,
        Reason.BLOCKED_SENDER,
        Reason.NO_SENDER,
        Reason.UNMATCHED_PARAMETER,
        Reason.TOO_MANY_PARTS,
        Reason.UNPROVISIONED,
        Reason.ACCOUNT_BLOCKED,
        Reason.FLOODING,
        Reason.INTERNAL,
    ),
}
"""Every (status, reason) pair that can exist: docs/status.md section 3, row by row."""


class Note(IntFlag):
    """What a reader of the record should know beside its status (docs/status.md section 1)."""

    NONE = 0
    PARTS_UNCONFIRMED = 1
    ACCEPTED_ONLY = 2
    ADOPTED = 4
    CONFLICT = 8
    LATE = 16


class ErrorSource(StrEnum):
    """Who spoke of an error: nobody, a receipt, a command_status, or ourselves."""

    NONE = "none"
    NETWORK = "network"
    SUBMIT = "submit"
    LOCAL = "local"


class StatusError(NamedTuple):
    """The error of a status, as it was told (docs/status.md sections 1, 4, 5)."""

    source: ErrorSource = ErrorSource.NONE
    text: str | None = None
    net_type: int | None = None
    net_code: int | None = None
    command_status: int | None = None


NO_ERROR: Final = StatusError()
_LOCAL_ERROR: Final = StatusError(ErrorSource.LOCAL)


class PartState(StrEnum):
    """Where one part (one ``submit_sm``) stands between us and the SMSC."""

    WAITING = "waiting"  # not written to any link yet, or refused for now and to be written again
    WRITTEN = "written"  # written, or claimed to be written at once; no answer yet
    IN_DOUBT = "in_doubt"  # written or about to be when its link or process died (R12)
    ACCEPTED = "accepted"  # the SMSC has it: a submit_sm_resp 0, or a receipt, which proves the same
    REFUSED = "refused"  # refused for good


class PartRecord(NamedTuple):
    """One part: ``state`` towards the SMSC, and what receipts said of it."""

    part_no: int
    state: PartState
    status: Status = Status.QUEUED
    reason: Reason = Reason.QUEUED
    since_at: int = 0
    done_at: int | None = None
    error: StatusError = NO_ERROR


class Message(NamedTuple):
    """The status record of one recipient's message; ``since_at``, ``done_at`` in ms UTC.

    ``decided_by``: the part that brought it to its final status (R38); 0 when no part did, or it is not final.
    """

    status: Status
    reason: Reason
    since_at: int
    parts: tuple[PartRecord, ...]
    done_at: int | None = None
    error: StatusError = NO_ERROR
    notes: Note = Note.NONE
    decided_by: int = 0


# --- events -------------------------------------------------------------------------------------------------------


class Answered(NamedTuple):
    """A ``submit_sm_resp`` with status 0 for one part (R37)."""

    part_no: int
    at: int


class Refused(NamedTuple):
    """A ``submit_sm_resp`` with another status; ``temporary`` ones are tried again (R11)."""

    part_no: int
    at: int
    command_status: int
    temporary: bool


class InDoubt(NamedTuple):
    """The link or the process died with this part written and unanswered (R12)."""

    part_no: int
    at: int


class ReceiptRead(NamedTuple):
    """A receipt for one part, as read (docs/smpp.md 2.3); ``status`` DISPATCHED when intermediate.

    ``whole``: this SMSC sends one receipt for all parts, so what it says is said of the message (R39).
    """

    part_no: int
    at: int
    status: Status
    reason: Reason
    done_at: int | None = None
    err: str | None = None
    net_type: int | None = None
    net_code: int | None = None
    adopted: bool = False
    whole: bool = False


class Withdrawn(NamedTuple):
    """We end it before the SMSC has it: a cancel, an abort, or validity over in our queue."""

    at: int
    status: Status
    reason: Reason


class WaitOver(NamedTuple):
    """Validity and receipt wait are over (R44)."""

    at: int
    accepted_is_final: bool = False


class PartsSettled(NamedTuple):
    """No receipt has come for a while for a text of several parts (R39).

    ``whole``: the SMSC is known to send one for all parts; else that is only what it looks like.
    """

    at: int
    whole: bool = False


Event = Answered | Refused | InDoubt | ReceiptRead | Withdrawn | WaitOver | PartsSettled


# --- moves ---------------------------------------------------------------------------------------------------------


class MoveKind(StrEnum):
    """What the table says of going from one status to another."""

    ENTER = "enter"  # the status changes
    REFINE = "refine"  # same status; the reason may change, no callback
    CORRECT = "correct"  # a late, readable end replaces one that only we had set (R45)
    KEEP = "keep"  # nothing changes
    CONFLICT = "conflict"  # nothing changes, and the record says that somebody disagreed (R42)


_FROM_SMSC: Final = (
    Status.DELIVERED,
    Status.FAILED,
    Status.EXPIRED,
    Status.REJECTED,
    Status.DELETED,
    Status.UNKNOWN,
)


def _moves() -> dict[tuple[Status, Status], MoveKind]:
    table: dict[tuple[Status, Status], MoveKind] = {}
    for old in Status:
        for new in Status:
            table[old, new] = MoveKind.KEEP if new not in FINAL or old == new else MoveKind.CONFLICT
    for new in Status:
        table[Status.QUEUED, new] = MoveKind.ENTER
    table[Status.QUEUED, Status.QUEUED] = MoveKind.REFINE
    table[Status.DISPATCHED, Status.DISPATCHED] = MoveKind.REFINE
    for new in _FROM_SMSC:
        table[Status.DISPATCHED, new] = MoveKind.ENTER
        table[Status.UNKNOWN, new] = MoveKind.CORRECT
    table[Status.UNKNOWN, Status.UNKNOWN] = MoveKind.KEEP
    for new in (Status.CANCELLED, Status.ABORTED):
        for old in Status:
            if old is not Status.QUEUED:
                table[old, new] = MoveKind.KEEP
    return table


MOVES: Final[Mapping[tuple[Status, Status], MoveKind]] = _moves()
"""(from, to) -> what happens. One exception lives in ``_move``: EXPIRED by us on a part in doubt may be corrected
(R45).
"""


class Move(NamedTuple):
    """Where the parts say the recipient should be; ``part_no``: the part that says so, 0 for none alone."""

    status: Status
    reason: Reason
    done_at: int | None
    error: StatusError
    part_no: int = 0


class Outcome(NamedTuple):
    """What an event did. ``kind`` ENTER or CORRECT: the status changed, and callbacks are due."""

    message: Message
    kind: MoveKind
    part: PartRecord | None

    @property
    def changed(self) -> bool:
        """Whether the recipient's status is another one than before."""
        return self.kind is MoveKind.ENTER or self.kind is MoveKind.CORRECT


def apply(message: Message, event: Event) -> Outcome:
    """Return what the event makes of the message (docs/status.md section 2; R38, R40, R42, R45, R46).

    Total: every event is legal in every state; what changes nothing gives KEEP, what contradicts a final status
    CONFLICT.
    """
    if isinstance(event, Withdrawn):
        return _withdraw(message, event)
    if isinstance(event, WaitOver):
        return _end_wait(message, event)
    if isinstance(event, PartsSettled):
        return _settle(message, event)
    old = message.parts[event.part_no - 1]
    part = _change_part(old, event)
    if part is None:  # the same again, an older one, or one that contradicts this part's end
        conflicts = isinstance(event, ReceiptRead) and event.status in FINAL and event.status is not old.status
        if not conflicts:
            return Outcome(message, MoveKind.KEEP, None)
        return Outcome(message._replace(notes=message.notes | Note.CONFLICT), MoveKind.CONFLICT, None)
    if len(message.parts) == 1:
        parts: tuple[PartRecord, ...] = (part,)
    else:
        parts = (*message.parts[: event.part_no - 1], part, *message.parts[event.part_no :])
    speaks_for_all = isinstance(event, ReceiptRead) and event.whole and event.status in FINAL
    if speaks_for_all and all(one.state is not PartState.WAITING for one in parts):
        to = _as_move(part)
    else:
        to = _proposal(message.status, parts, part)
    outcome = _move(message, parts, to, event.at, part)
    if isinstance(event, ReceiptRead) and event.adopted:
        noted = outcome.message._replace(notes=outcome.message.notes | Note.ADOPTED)
        return outcome._replace(message=noted)
    return outcome


def _change_part(part: PartRecord, event: Answered | Refused | InDoubt | ReceiptRead) -> PartRecord | None:
    """Return the part after the event, None when the event tells nothing new of it."""
    if isinstance(event, Answered):
        if part.state in (PartState.ACCEPTED, PartState.REFUSED):
            return None
        return part._replace(
            state=PartState.ACCEPTED,
            status=Status.DISPATCHED,
            reason=Reason.ACCEPTED,
            since_at=event.at,
            error=NO_ERROR,
        )
    if isinstance(event, Refused):
        if part.state in (PartState.ACCEPTED, PartState.REFUSED):
            return None
        error = StatusError(ErrorSource.SUBMIT, command_status=event.command_status)
        if event.temporary:
            return part._replace(state=PartState.WAITING, reason=Reason.RETRYING, since_at=event.at, error=error)
        return part._replace(
            state=PartState.REFUSED,
            status=Status.REJECTED,
            reason=Reason.SUBMIT_REFUSED,
            since_at=event.at,
            error=error,
        )
    if isinstance(event, InDoubt):
        if part.state is not PartState.WRITTEN:
            return None
        return part._replace(state=PartState.IN_DOUBT)
    return _receipt_on_part(part, event)


def _receipt_on_part(part: PartRecord, event: ReceiptRead) -> PartRecord | None:
    if part.status in FINAL and not (part.status is Status.UNKNOWN and event.status in FINAL - {Status.UNKNOWN}):
        return None  # R42, R46; an unreadable end is replaced by a readable one (R23, R45)
    if part.status is event.status and part.reason is event.reason and part.state is PartState.ACCEPTED:
        return None  # R41
    error = (
        StatusError(ErrorSource.NETWORK, event.err, event.net_type, event.net_code)
        if event.err is not None or event.net_code is not None
        else NO_ERROR
    )
    return PartRecord(part.part_no, PartState.ACCEPTED, event.status, event.reason, event.at, event.done_at, error)


def _proposal(status: Status, parts: tuple[PartRecord, ...], latest: PartRecord) -> Move:
    """Say where the parts put the recipient (R38), which is at ``status``; ``latest`` is the part that just changed."""
    if len(parts) == 1:
        return _as_move(latest)
    failing = [part for part in parts if part.status in _FAILING]
    if failing:
        # The part that decided goes on deciding: of several that failed in one millisecond no clock knows the first.
        decided = [part for part in failing if part.status is status and part is not latest]
        return _as_move(min(decided or failing, key=lambda part: (part.since_at, part.part_no)))
    if all(part.status is Status.DELIVERED for part in parts):
        last = max(parts, key=lambda part: (part.done_at or part.since_at, part.part_no))
        return Move(Status.DELIVERED, Reason.DELIVERED, last.done_at, last.error, last.part_no)
    if all(part.status in FINAL for part in parts):
        return _as_move(max((p for p in parts if p.status is Status.UNKNOWN), key=lambda part: part.since_at))
    if all(part.state is PartState.ACCEPTED for part in parts):
        return _dispatched(parts, latest)
    return _queued(parts, latest)


def _as_move(part: PartRecord) -> Move:
    if part.status is not Status.QUEUED:
        if part.status in FINAL:
            return Move(part.status, part.reason, part.done_at, part.error, part.part_no)
        return Move(part.status, part.reason, None, part.error)
    return _queued((part,), part)


def _dispatched(parts: Iterable[PartRecord], latest: PartRecord) -> Move:
    if latest.status is Status.DISPATCHED:
        return Move(Status.DISPATCHED, latest.reason, None, latest.error)
    open_part = next(part for part in parts if part.status not in FINAL)
    return Move(Status.DISPATCHED, open_part.reason, None, open_part.error)


def _queued(parts: tuple[PartRecord, ...], latest: PartRecord) -> Move:
    if latest.state is PartState.WAITING:
        return Move(Status.QUEUED, latest.reason, None, latest.error)
    if any(part.state is PartState.WAITING and part.reason is Reason.RETRYING for part in parts):
        return Move(Status.QUEUED, Reason.RETRYING, None, NO_ERROR)
    return Move(Status.QUEUED, Reason.IN_FLIGHT, None, NO_ERROR)


def _move(
    message: Message, parts: tuple[PartRecord, ...], to: Move, at: int, part: PartRecord | None, note: Note = Note.NONE
) -> Outcome:
    kind = MOVES[message.status, to.status]
    if (
        kind is MoveKind.CONFLICT
        and message.reason is Reason.VALIDITY_LOCAL
        and to.status in _FROM_SMSC
        and to.status is not Status.UNKNOWN
    ):
        kind = MoveKind.CORRECT  # we gave up on a part in doubt, and the SMSC had it after all (R45)
    if kind is MoveKind.ENTER or kind is MoveKind.CORRECT:
        notes = message.notes
        if note or kind is MoveKind.CORRECT:
            notes |= note | (Note.LATE if kind is MoveKind.CORRECT else Note.NONE)
        return Outcome(Message(to.status, to.reason, at, parts, to.done_at, to.error, notes, to.part_no), kind, part)
    if kind is MoveKind.REFINE:
        return Outcome(message._replace(parts=parts, reason=to.reason, error=to.error), kind, part)
    if kind is MoveKind.CONFLICT:
        return Outcome(message._replace(parts=parts, notes=message.notes | Note.CONFLICT), kind, part)
    return Outcome(message._replace(parts=parts), kind, part)


def _withdraw(message: Message, event: Withdrawn) -> Outcome:
    """Cancel, abort or expire: only while nothing of the message is with the SMSC.

    Validity over ends it too when some part still waits in our queue: the text can no longer arrive whole.
    """
    states = {part.state for part in message.parts}
    if event.reason is Reason.VALIDITY_LOCAL:
        possible = not states or PartState.WAITING in states
    else:
        possible = not states or states == {PartState.WAITING}
    if not possible or message.status is not Status.QUEUED:
        return Outcome(message, MoveKind.KEEP, None)
    return _move(message, message.parts, Move(event.status, event.reason, None, _LOCAL_ERROR), event.at, None)


def _settle(message: Message, event: PartsSettled) -> Outcome:
    """R39: what the receipts of some parts say is taken for the whole, if the SMSC has all and none failed."""
    parts = message.parts
    ends = [part for part in parts if part.status in FINAL]
    if (
        message.status in FINAL
        or any(part.state is not PartState.ACCEPTED or part.status in _FAILING for part in parts)
        or not (event.whole or any(part.status is Status.DELIVERED for part in ends))
        or not ends
    ):
        return Outcome(message, MoveKind.KEEP, None)
    best = [part for part in ends if part.status is Status.DELIVERED] or ends
    last = max(best, key=lambda part: (part.done_at or part.since_at, part.part_no))
    note = Note.NONE if event.whole else Note.PARTS_UNCONFIRMED
    return _move(message, parts, _as_move(last), event.at, None, note)


def _end_wait(message: Message, event: WaitOver) -> Outcome:
    if message.status in FINAL:
        return Outcome(message, MoveKind.KEEP, None)
    doubtful = {PartState.IN_DOUBT, PartState.WRITTEN}
    in_doubt = any(part.state in doubtful for part in message.parts)
    reason = Reason.NOT_ACKNOWLEDGED if in_doubt else Reason.NO_RECEIPT
    note = Note.NONE
    if event.accepted_is_final and any(part.reason is Reason.OPERATOR_ACCEPTED for part in message.parts):
        note = Note.ACCEPTED_ONLY  # R40
    to = Move(Status.UNKNOWN, reason, None, _LOCAL_ERROR)
    return _move(message, message.parts, to, event.at, None, note)
