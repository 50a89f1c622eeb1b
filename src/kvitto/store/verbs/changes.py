"""What every change of a status writes, in the transaction that causes it: part, message, event, callback (P4, P9).

A verb loads the messages it is about (``Loaded``), lets ``core.status.apply`` decide, and gives what changed to a
``Changes``, which writes it all at once: one statement a table, whatever the number of messages.

Must not know: why something changed. Next: ``dispatch``, ``receipts``, ``overdue`` beside this file.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Select, bindparam, case, func, insert, literal, select, update

from kvitto.core.endpoint import endpoint_number
from kvitto.core.ids import batch_of, message_range
from kvitto.core.model import (
    BatchReport,
    CallbackDue,
    CallbackState,
    ContentKind,
    Feed,
    MessageView,
    Notify,
    StatusCount,
)
from kvitto.core.status import (
    FINAL,
    NO_ERROR,
    ErrorSource,
    Event,
    Message,
    MoveKind,
    Note,
    Outcome,
    PartRecord,
    PartState,
    Reason,
    Status,
    StatusError,
    apply,
)
from kvitto.store import schema as t
from kvitto.store.commitorder import CurrentTx
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs import unread
from kvitto.store.verbs.tallies import tally_change
from kvitto.store.verbs.texts import read_extra, read_own

__all__ = [
    "LEASE_MS",
    "SET_STATES",
    "TELLS_FULL",
    "TELLS_MESSAGE",
    "TELLS_SUMMARY",
    "Changes",
    "Loaded",
    "batch_key",
    "count_by_status",
    "count_ends",
    "join_batch",
    "load_parts",
    "lone_part",
    "message_of",
    "read_error",
    "read_view",
    "record_of",
    "select_loaded",
    "view_columns",
    "view_source",
]

LEASE_MS: Final = 120_000
"""How long a node may keep a callback to itself before others may post it: well above the longest attempt."""

STATUS: Final = {str(status): status for status in Status}
REASON: Final = {str(reason): reason for reason in Reason}
PART_STATE: Final = {str(state): state for state in PartState}
SOURCE: Final = {str(source): source for source in ErrorSource}
KIND: Final = {str(kind): kind for kind in ContentKind}
NOTIFY: Final = {str(notify): notify for notify in Notify}
FEED: Final = {str(feed): feed for feed in Feed}
_PER_BATCH: Final = (Notify.BATCH_SUMMARY, Notify.BATCH_FULL)


def batch_key(message_id: Any) -> Any:
    """The SQL for the batch's id in a message's id (``kvitto.core.ids``)."""
    return func.substr(message_id, 1, 22).concat("0000")


# --- loading ----------------------------------------------------------------------------------------------------------

_MESSAGE_COLUMNS: Final = (
    t.message.c.id,
    t.message.c.account_id,
    t.message.c.recipient,
    t.message.c.status,
    t.message.c.reason,
    t.message.c.since_at,
    t.message.c.done_at,
    t.message.c.error_source,
    t.message.c.error_text,
    t.message.c.error_net_type,
    t.message.c.error_net_code,
    t.message.c.error_command_status,
    t.message.c.notes,
    t.message.c.parts,
    t.message.c.created_at,
    t.message.c.attempts,
    t.message.c.deadline_at,
    t.message.c.abort,
    t.batch.c.notify,
    func.coalesce(t.batch.c.callback_dialect, t.batch.c.dialect),
    func.coalesce(t.batch.c.callback_url, t.account.c.callback_url),
    t.batch.c.client_reference,
    t.batch.c.kind,
    t.batch.c.max_parts,
    t.batch.c.expire_at,
    t.message.c.due_at,
    t.batch.c.cancelled_at,
    t.batch.c.dialect,
    t.batch.c.sender,
    t.message.c.client_id,
    t.batch.c.client_id,
    t.message.c.send_at,
    t.batch.c.extra,
    t.message.c.own,
    t.batch.c.feed,
    t.account.c.callback_url,
)

_PART_COLUMNS: Final = (
    t.part.c.message_id,
    t.part.c.part_no,
    t.part.c.state,
    t.part.c.status,
    t.part.c.reason,
    t.part.c.since_at,
    t.part.c.done_at,
    t.part.c.error_source,
    t.part.c.error_text,
    t.part.c.error_net_type,
    t.part.c.error_net_code,
    t.part.c.error_command_status,
    t.part.c.link,
    t.part.c.grp,
    t.part.c.smsc_message_id,
    t.part.c.written_at,
)


def select_loaded(first: Sequence[Any], source: Any) -> Select[Any]:
    """Select ``first`` and then a message's columns, from ``source`` (which has ``message``) and what belongs to it."""
    joined = join_batch(source)
    return select(*first, *_MESSAGE_COLUMNS).select_from(joined).with_for_update(of=t.message)


def join_batch(source: Any) -> Any:
    """Join ``source`` (which has ``message``) with the batch, and with the account where that must say the URL."""
    silent = t.batch.c.callback_url.is_(None) | t.message.c.own.is_not(None)
    asked = case((silent, t.message.c.account_id))  # NULL is not even looked up
    return source.join(t.batch, t.batch.c.id == batch_key(t.message.c.id)).outerjoin(t.account, t.account.c.id == asked)


class Loaded:
    """A message in the hands of a verb: its record, and what its callbacks need to know."""

    __slots__ = (
        "_hushed",
        "account_id",
        "created_at",
        "groups",
        "id",
        "links",
        "parts",
        "record",
        "recipient",
        "row",
        "smsc_ids",
        "was",
        "written_at",
    )

    def __init__(self, row: Sequence[Any]) -> None:
        self.row = row if row[33] is None else _with_own(row)
        self.id: str = row[0]
        self.account_id: str = row[1]
        self.recipient: str = row[2]
        self.parts: int = row[13]
        self.created_at: int = row[14]
        self.record = record_of(row)
        self.was = self.record
        self.links: dict[int, str] = {}
        self.smsc_ids: dict[int, str | None] = {}
        self.groups: frozenset[str] = frozenset()
        self.written_at: int | None = None
        self._hushed = False

    def hush(self) -> None:
        """Nobody is called back about it: a batch withdrawn before ``send_at`` has no messages (docs/dialects/sinch.md
        10).
        """
        self._hushed = True

    @property
    def attempts(self) -> int:
        """How many times a link has claimed it."""
        attempts: int = self.row[15]
        return attempts

    @property
    def deadline_at(self) -> int | None:
        """When time alone decides next."""
        deadline: int | None = self.row[16]
        return deadline

    @property
    def abort(self) -> Reason | None:
        """Why it will not be sent, if so."""
        return REASON[self.row[17]] if self.row[17] else None

    @property
    def notify(self) -> Notify:
        """Which changes are called back."""
        return Notify.NONE if self._hushed else NOTIFY[self.row[18]]

    @property
    def dialect(self) -> str:
        """In whose words it is told."""
        dialect: str = self.row[19]
        return dialect

    @property
    def callback_url(self) -> str | None:
        """The batch's URL, else the account's."""
        url: str | None = self.row[20]
        return url

    @property
    def client_reference(self) -> str | None:
        """The batch's."""
        reference: str | None = self.row[21]
        return reference

    @property
    def kind_word(self) -> str:
        """The batch's content's kind, as stored."""
        kind: str = self.row[22]
        return kind

    @property
    def expire_at(self) -> int:
        """When its validity ends."""
        expire_at: int = self.row[24]
        return expire_at

    @property
    def due_at(self) -> int | None:
        """When a link may claim it; None when it is not in the queue."""
        due_at: int | None = self.row[25]
        return due_at

    @property
    def cancelled(self) -> bool:
        """Whether the customer has cancelled its batch."""
        return self.row[26] is not None

    @property
    def feed(self) -> str:
        """How it stands to the one-time feed."""
        feed: str = self.row[34]
        return feed

    @property
    def decided_by(self) -> int:
        """The part that decided its end, of several; else 0."""
        return self.record.decided_by if self.parts > 1 else 0

    def set_parts(self, parts: tuple[PartRecord, ...]) -> None:
        """Give the parts that were loaded for it."""
        self.record = self.was = self.record._replace(parts=parts)

    def view(self) -> MessageView:
        """What a callback tells, frozen now."""
        row, record = self.row, self.record
        part_no = record.decided_by or 1
        send_at = row[31]
        return MessageView(
            self.id,
            batch_of(self.id),
            self.account_id,
            self.recipient,
            record.status,
            record.reason,
            record.since_at,
            record.done_at,
            record.error,
            self.parts,
            record.notes,
            self.created_at,
            row[21],
            KIND[row[22]],
            row[23],
            row[27],
            row[28],
            row[29],
            row[30],
            self.created_at if send_at is None else send_at,
            self.smsc_ids.get(part_no) or "",
            self.links.get(part_no, ""),
            None,
            read_extra(row[32]) if type(row[32]) is str else row[32],
        )


def _with_own(row: Sequence[Any]) -> Sequence[Any]:
    """The same row with what the message has of its own in the place of its batch's."""
    own, changed = read_own(row[33]), list(row)
    changed[18], changed[20], changed[21] = own.notify, own.callback_url or row[35], own.client_reference
    changed[22], changed[23], changed[24] = own.content.kind, own.content.max_parts, own.expire_at
    changed[28], changed[32], changed[34] = own.sender, own.extra, own.feed
    return changed


def read_error(row: Sequence[Any], at: int) -> StatusError:
    """Read the five error columns that begin at ``row[at]``."""
    source = row[at]
    if source == "none":
        return NO_ERROR
    return StatusError(SOURCE[source], row[at + 1], row[at + 2], row[at + 3], row[at + 4])


def record_of(row: Sequence[Any]) -> Message:
    """Read the status record of a message, parts left out."""
    return Message(
        STATUS[row[3]], REASON[row[4]], row[5], (), row[6], read_error(row, 7), Note(row[12]) if row[12] else Note.NONE
    )


def read_part(row: Sequence[Any], at: int = 0) -> PartRecord:
    """Read a part whose columns begin at ``row[at]``."""
    return PartRecord(
        row[at + 1],
        PART_STATE[row[at + 2]],
        STATUS[row[at + 3]],
        REASON[row[at + 4]],
        row[at + 5],
        row[at + 6],
        read_error(row, at + 7),
    )


PARTS_OF: Final = Statement(
    lambda r: (
        select(*_PART_COLUMNS)
        .select_from(r.join(t.part, t.part.c.message_id == r.c.id))
        .order_by(t.part.c.message_id, t.part.c.part_no)
    ),
    id=Str,
)
MESSAGES_BY_ID: Final = Statement(lambda r: select_loaded((), r.join(t.message, t.message.c.id == r.c.id)), id=Str)


def lone_part(part_no: int, state: str, record: Message) -> PartRecord:
    """The record of a message's only part: its status is the message's, unless only we have ended it.

    So the status columns of a lone part are never written, and a receipt costs one row less.
    """
    if record.error.source is ErrorSource.LOCAL:  # withdrawn, or given up: the SMSC has said nothing of the kind
        taken = state == "accepted"
        status = Status.DISPATCHED if taken else Status.QUEUED
        return PartRecord(part_no, PART_STATE[state], status, Reason.ACCEPTED if taken else Reason.QUEUED)
    return PartRecord(
        part_no, PART_STATE[state], record.status, record.reason, record.since_at, record.done_at, record.error
    )


def load_parts(tx: Tx, loaded: Sequence[Loaded]) -> None:
    """Load all parts of these messages."""
    if not loaded:
        return
    by_id: dict[str, list[PartRecord]] = {}
    links: dict[str, dict[int, str]] = {}
    smsc_ids: dict[str, dict[int, str | None]] = {}
    groups: dict[str, set[str]] = {}
    written: dict[str, int] = {}
    for row in tx.run(PARTS_OF, [(one.id,) for one in loaded]):
        by_id.setdefault(row[0], []).append(read_part(row))
        links.setdefault(row[0], {})[row[1]] = row[12]
        smsc_ids.setdefault(row[0], {})[row[1]] = row[14]
        groups.setdefault(row[0], set()).add(row[13])
        written[row[0]] = row[15] if row[0] not in written else min(written[row[0]], row[15])
    for one in loaded:
        parts = by_id.get(one.id, [])
        if one.parts == 1:
            parts = [lone_part(part.part_no, part.state, one.record) for part in parts]
        one.set_parts(tuple(parts))
        one.links = links.get(one.id, {})
        one.smsc_ids = smsc_ids.get(one.id, {})
        one.groups = frozenset(groups.get(one.id, ()))
        one.written_at = written.get(one.id)


def message_of(tx: Tx, ids: Sequence[str]) -> dict[str, Loaded]:
    """Load messages with their parts, locked until the transaction ends."""
    loaded = [Loaded(row) for row in tx.run(MESSAGES_BY_ID, [(one,) for one in sorted(set(ids))])]
    load_parts(tx, loaded)
    return {one.id: one for one in loaded}


# --- writing ----------------------------------------------------------------------------------------------------------

_RECORD: Final[dict[str, Kind]] = {
    "status": Str,
    "reason": Str,
    "since_at": Int,
    "done_at": Int,
    "error_source": Str,
    "error_text": Str,
    "error_net_type": Int,
    "error_net_code": Int,
    "error_command_status": Int,
}

_UPDATE_PARTS: Final = Statement(
    lambda r: (
        update(t.part)
        .values(state=r.c.state, **{name: r.c[name] for name in _RECORD})
        .where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no)
    ),
    id=Str,
    no=Int,
    state=Str,
    **_RECORD,
)
SET_STATES: Final = Statement(
    lambda r: update(t.part).values(state=r.c.state).where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no),
    id=Str,
    no=Int,
    state=Str,
)
_UPDATE_MESSAGES: Final = Statement(
    lambda r: (
        update(t.message)
        .values(
            notes=r.c.notes,
            due_at=r.c.due_at,
            deadline_at=r.c.deadline_at,
            **{name: r.c[name] for name in _RECORD},
        )
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
    notes=Int,
    due_at=Int,
    deadline_at=Int,
    **_RECORD,
)
_REFRESH_MESSAGES: Final = Statement(
    lambda r: (
        update(t.message)
        .values(notes=r.c.notes, **{name: r.c[name] for name in _RECORD})
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
    notes=Int,
    **_RECORD,
)
"""As ``_UPDATE_MESSAGES``, for messages that keep their place and deadline: leaves two indexes alone."""
_DISPATCH_MESSAGES: Final = Statement(
    lambda r: (
        update(t.message)
        .values(notes=r.c.notes, status=str(Status.DISPATCHED), reason=r.c.reason, since_at=r.c.since_at)
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
    notes=Int,
    reason=Str,
    since_at=Int,
)
"""As ``_REFRESH_MESSAGES``, for the most frequent change of all, where there is and was no error to write."""
_KEEP_FIRST_FINAL: Final = Statement(
    lambda r: (
        update(t.message)
        .values(first_final=r.c.first, first_times=r.c.times)
        .where(t.message.c.id == r.c.id, t.message.c.first_final.is_(None))
    ),
    id=Str,
    first=Str,
    times=Str,
)
_INSERT_EVENTS: Final = Statement(
    lambda r: insert(t.event).from_select(
        ["seq", "account_id", "message_id", "at", "tx", *list(_RECORD)[:2], *list(_RECORD)[3:]],
        select(
            r.c.seq,
            r.c.account_id,
            r.c.id,
            r.c.since_at,
            CurrentTx(),
            *[r.c[name] for name in _RECORD if name != "since_at"],
        ),
    ),
    seq=Int,
    account_id=Str,
    id=Str,
    **_RECORD,
)
_INSERT_PART_EVENTS: Final = Statement(
    lambda r: insert(t.event).from_select(
        ["seq", "account_id", "message_id", "at", "tx", *list(_RECORD)[:2], *list(_RECORD)[3:], "part_no"],
        select(
            r.c.seq,
            r.c.account_id,
            r.c.id,
            r.c.since_at,
            CurrentTx(),
            *[r.c[name] for name in _RECORD if name != "since_at"],
            r.c.part_no,
        ),
    ),
    seq=Int,
    account_id=Str,
    id=Str,
    **_RECORD,
    part_no=Int,
)
"""As ``_INSERT_EVENTS``, for ends that one of several parts decided."""
_DECIDE: Final = Statement(
    lambda r: update(t.message).values(decided_by=r.c.part_no).where(t.message.c.id == r.c.id), id=Str, part_no=Int
)
_CALLBACK_FIELDS: Final[dict[str, Kind]] = {
    "id": Int,
    "account_id": Str,
    "batch_id": Str,
    "tells": Str,
    "dialect": Str,
    "url": Str,
    "created_at": Int,
    "leased_by": Str,
    "next_attempt_at": Int,
    "endpoint": Int,
}
_INSERT_CALLBACKS: Final = Statement(
    lambda r: insert(t.callback).from_select(
        [*_CALLBACK_FIELDS, "leased_until", "state", "attempts"],
        select(
            *[r.c[name] for name in _CALLBACK_FIELDS],
            r.c.next_attempt_at,
            literal(str(CallbackState.PENDING), Str),
            literal(0, Int),
        ),
    ),
    **_CALLBACK_FIELDS,
)
_COUNT_DOWN: Final = Statement(
    lambda r: (
        update(t.batch)
        .values(pending=t.batch.c.pending - r.c.n)
        .where(t.batch.c.id == r.c.id)
        .returning(t.batch.c.id, t.batch.c.pending)
    ),
    id=Str,
    n=Int,
)
_COUNT_BY_STATUS: Final = Statement(
    lambda _: (
        select(
            t.message.c.status,
            t.message.c.reason,
            t.message.c.error_source,
            t.message.c.error_text,
            t.message.c.error_net_type,
            t.message.c.error_net_code,
            t.message.c.error_command_status,
            t.message.c.recipient,
            t.message.c.first_final,
        )
        .where(t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str)))
        .order_by(t.message.c.id)
    )
)


def _record_values(record: Message | PartRecord) -> tuple[Any, ...]:
    error = record.error
    return (
        record.status,
        record.reason,
        record.since_at,
        record.done_at,
        error.source,
        error.text,
        error.net_type,
        error.net_code,
        error.command_status,
    )


TELLS_MESSAGE, TELLS_SUMMARY, TELLS_FULL = "message", "summary", "full"
"""What a callback tells of: one message's change (the event of the same number), or a batch's end."""


class Told(Protocol):
    """Who is to be told of a message, and what its batch's report needs."""

    @property
    def feed(self) -> str:
        """How it stands to the one-time feed."""

    @property
    def decided_by(self) -> int:
        """The part that decided its end, of several; else 0."""

    @property
    def id(self) -> str:
        """The message's."""

    @property
    def account_id(self) -> str:
        """Whose it is."""

    @property
    def dialect(self) -> str:
        """In whose words."""

    @property
    def callback_url(self) -> str | None:
        """Where to."""

    @property
    def notify(self) -> Notify:
        """Which changes are called back."""

    @property
    def client_reference(self) -> str | None:
        """The batch's."""

    @property
    def kind_word(self) -> str:
        """The batch's content's kind, as stored."""


_Telling = tuple[int, MessageView | BatchReport, Told, str]
"""A callback to write: its number, its facts, the message that caused it, and one of the three words above."""


class Changes:
    """Collects what a verb changed, and writes it: call ``apply`` for each event, ``write`` once."""

    def __init__(self, tx: Tx, scope: Scope, now: int) -> None:
        self._tx = tx
        self.scope = scope
        self._now = now
        self._parts: dict[tuple[str, int], PartRecord] = {}
        self._states: dict[tuple[str, int], PartRecord] = {}
        self._messages: dict[str, tuple[Loaded, int | None, int | None]] = {}
        self._events: list[tuple[Told, MessageView, bool]] = []
        self._firsts: dict[str, tuple[str, str]] = {}
        self._ended: dict[str, tuple[int, Told]] = {}

    def apply(
        self, loaded: Loaded, event: Event, *, due_at: int | None = None, deadline_at: int | None = None
    ) -> Outcome:
        """Let the event change the message. ``due_at``: back in the queue then. ``deadline_at``: moves the deadline.

        Left alone, both stay; a message that is not QUEUED any more leaves the queue, a final one has no deadline.
        """
        before = loaded.record
        outcome = apply(before, event)
        loaded.record = outcome.message
        part = outcome.part
        if part is not None:
            if loaded.parts > 1:
                self._parts[loaded.id, part.part_no] = part
            elif part.state is not before.parts[0].state:
                self._states[loaded.id, part.part_no] = part
        if outcome.changed or outcome.message != before or due_at is not None or deadline_at is not None:
            self.touch(loaded, due_at=due_at, deadline_at=deadline_at)
        if outcome.kind is MoveKind.CORRECT:
            self._firsts[loaded.id] = _first_final(before)
        if outcome.changed:
            tally_change(self.scope, loaded.account_id, before, outcome.message, self._now, loaded.written_at)
            self._note_change(loaded, late=outcome.kind is MoveKind.CORRECT)
        elif part is not None and outcome.kind is MoveKind.REFINE and loaded.record.reason is Reason.RETRYING_SMSC:
            self._note_attempt(loaded, before, event.at)
        return outcome

    def touch(self, loaded: Loaded, *, due_at: int | None = None, deadline_at: int | None = None) -> None:
        """Write the message again; ``due_at`` and ``deadline_at`` as for ``apply``."""
        known = self._messages.get(loaded.id)
        status = loaded.record.status
        if status is not Status.QUEUED:
            due_at = None
        elif due_at is None:
            due_at = known[1] if known else loaded.due_at
        if status in FINAL:
            deadline_at = None
        elif deadline_at is None:
            deadline_at = known[2] if known else loaded.deadline_at
        self._messages[loaded.id] = (loaded, due_at, deadline_at)

    def give_lone_part(self, key: tuple[str, int]) -> bool:
        """Take over the writing of a lone part that changed its state; False if it did not, or has siblings."""
        return self._states.pop(key, None) is not None

    def count(self, link: str, group: str, name: str) -> None:
        """Add one to a link's counter (R54)."""
        self.scope.count(link, group, name)

    def born(self, loaded: Loaded) -> None:
        """A message that was stored with its end already (an abort at admission): event and callbacks."""
        self._note_change(loaded, late=False)

    def note(self, loaded: Loaded, part: PartRecord) -> None:
        """Keep what befell a part and left its message's status alone, for the story; nobody is called back."""
        view = loaded.view()._replace(status=part.status, reason=part.reason, since_at=part.since_at, error=part.error)
        self._events.append((loaded, view, False))

    def _note_change(self, loaded: Loaded, *, late: bool) -> None:
        final = loaded.record.status in FINAL
        notify = loaded.notify
        # Whether a late correction is shown, the dialect that tells it decides (docs/status.md 7).
        asked = (final and notify is Notify.FINAL) or notify is Notify.CHANGES or notify is Notify.ATTEMPTS
        tell = asked and loaded.callback_url is not None
        # That the SMSC took it, and when, stands with its parts already; who asked to be told reads it here (ADR 0017).
        if final or asked:
            self._events.append((loaded, loaded.view(), tell))
        if final and not late and notify in _PER_BATCH:
            self._count_end(loaded)

    def end(self, told: Told, view: MessageView) -> None:
        """A message came to its first end, and its row is written by the caller: event and callbacks."""
        notify = told.notify
        tell = notify is Notify.FINAL or notify is Notify.CHANGES or notify is Notify.ATTEMPTS
        tell = tell and told.callback_url is not None
        self._events.append((told, view, tell))
        if notify in _PER_BATCH:
            self._count_end(told)

    def _count_end(self, told: Told) -> None:
        batch_id = batch_of(told.id)
        count, _ = self._ended.get(batch_id, (0, told))
        self._ended[batch_id] = (count + 1, told)

    def _note_attempt(self, loaded: Loaded, before: Message, at: int) -> None:
        """The SMSC says that an attempt failed and it goes on trying: told to those who asked for that."""
        if before.reason is Reason.RETRYING_SMSC or loaded.notify is not Notify.ATTEMPTS:
            return
        if loaded.callback_url is not None:
            self._events.append((loaded, loaded.view()._replace(since_at=at), True))

    def write(self) -> None:
        """Write everything that was collected."""
        tx = self._tx
        if self._parts:
            rows = [(key[0], key[1], part.state, *_record_values(part)) for key, part in self._parts.items()]
            tx.run(_UPDATE_PARTS, rows)
        if self._states:
            tx.run(SET_STATES, [(*key, part.state) for key, part in self._states.items()])
        if self._messages:
            self._write_messages()
        if self._firsts:
            tx.run(_KEEP_FIRST_FINAL, [(key, *first) for key, first in self._firsts.items()])
            unread.forget(tx, list(self._firsts))
        if self._events:
            self._write_events()
        if self._ended:
            self._end_batches()

    def _write_messages(self) -> None:
        moved, kept, dispatched, decided = [], [], [], []
        for one, due_at, deadline_at in self._messages.values():
            record = one.record
            if one.parts > 1 and record.decided_by:
                decided.append((one.id, record.decided_by))
            if due_at != one.due_at or deadline_at != one.deadline_at:
                moved.append((one.id, int(record.notes), due_at, deadline_at, *_record_values(record)))
            elif record.status is Status.DISPATCHED and record.error is NO_ERROR and one.was.error is NO_ERROR:
                dispatched.append((one.id, int(record.notes), record.reason, record.since_at))
            else:
                kept.append((one.id, int(record.notes), *_record_values(record)))
        for statement, rows in ((_DISPATCH_MESSAGES, dispatched), (_REFRESH_MESSAGES, kept), (_UPDATE_MESSAGES, moved)):
            if rows:
                self._tx.run(statement, rows)
        if decided:
            self._tx.run(_DECIDE, decided)

    def _write_events(self) -> None:
        rows: list[tuple[Any, ...]] = []
        of_parts: list[tuple[Any, ...]] = []
        ends: list[tuple[str, int, str]] = []
        corrections: list[tuple[str, int, str]] = []
        due: list[_Telling] = []
        for seq, (loaded, view, tell) in zip(self._tx.new_ids(len(self._events)), self._events, strict=True):
            error = view.error
            rows.append(
                (
                    seq,
                    view.account_id,
                    view.id,
                    view.status,
                    view.reason,
                    view.since_at,
                    view.done_at,
                    error.source,
                    error.text,
                    error.net_type,
                    error.net_code,
                    error.command_status,
                )
            )
            if loaded.decided_by:
                of_parts.append((*rows.pop(), loaded.decided_by))
            if view.status in FINAL and (loaded.feed, tell) in unread.ENTERS:
                corrects = view.id in self._firsts and Note.LATE in view.notes
                (corrections if corrects else ends).append((view.account_id, seq, view.id))
            if tell:
                due.append((seq, view, loaded, TELLS_MESSAGE))
        if rows:
            self._tx.run(_INSERT_EVENTS, rows)
        if of_parts:
            self._tx.run(_INSERT_PART_EVENTS, of_parts)
        if ends:
            unread.enter(self._tx, ends)
        if corrections:
            unread.correct(self._tx, corrections)
        if due:
            self._write_callbacks(due)

    def _write_callbacks(self, due: "Sequence[_Telling]") -> None:
        node, now = self.scope.node, self._now
        room, full, handoff = self.scope.room, self.scope.full, self.scope.handoff
        rows = []
        for number, facts, loaded, tells in due:
            url, account_id, dialect = loaded.callback_url or "", loaded.account_id, loaded.dialect
            endpoint = endpoint_number(account_id, url)
            lease: tuple[str | None, int] = (None, now)
            if room > len(handoff) and endpoint not in full:
                lease = (node, now + LEASE_MS)
                whole = tells == TELLS_FULL
                handoff.append(
                    CallbackDue(number, account_id, dialect, url, facts, whole, 0, now, None, False, None, endpoint)
                )
            rows.append((number, account_id, facts.batch_id, tells, dialect, url, now, *lease, endpoint))
        self._tx.run(_INSERT_CALLBACKS, rows)

    def _end_batches(self) -> None:
        rows = [(batch_id, count) for batch_id, (count, _) in self._ended.items()]
        over = [batch_id for batch_id, pending in self._tx.run(_COUNT_DOWN, rows) if pending == 0]
        due: list[_Telling] = []
        for number, batch_id in zip(self._tx.new_ids(len(over)), over, strict=True):
            loaded = self._ended[batch_id][1]
            if loaded.callback_url is not None:
                full = loaded.notify is Notify.BATCH_FULL
                report = report_of(self._tx, batch_id, loaded, full)
                due.append((number, report, loaded, TELLS_FULL if full else TELLS_SUMMARY))
        if due:
            self._write_callbacks(due)


def _first_final(record: Message) -> tuple[str, str]:
    """What is kept of an end that a late receipt corrects; apart, so that the first groups with its like."""
    end = msgspec.json.encode((record.status, record.reason, *record.error)).decode()
    return end, msgspec.json.encode((record.since_at, record.done_at)).decode()


def report_of(tx: Tx, batch_id: str, one: Told, full: bool) -> BatchReport:
    """A batch whose messages are all final."""
    total, counts = count_ends(tx, batch_id, full=full)
    return BatchReport(batch_id, one.account_id, total, one.client_reference, KIND[one.kind_word], True, counts)


def count_ends(tx: Tx, batch_id: str, *, full: bool) -> tuple[int, tuple[StatusCount, ...]]:
    """Count a batch's messages, each at its first end (R45); returns how many they are, too."""
    first, last = message_range(batch_id)
    rows = tx.run(_COUNT_BY_STATUS, first=first, last=last)
    return len(rows), count_by_status(rows, full=full)


def count_by_status(rows: Sequence[Sequence[Any]], *, full: bool) -> tuple[StatusCount, ...]:
    """Group rows (status, reason, five error columns, recipient, first_final) by their first end, in order of
    appearance.
    """
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        if row[8]:
            first = msgspec.json.decode(row[8])
            key = tuple(first)
        else:
            key = tuple(row[:7])
        groups.setdefault(key, []).append(row[7])
    return tuple(
        StatusCount(STATUS[key[0]], REASON[key[1]], read_error(key, 2), len(numbers), tuple(numbers) if full else ())
        for key, numbers in groups.items()
    )


# --- views for readers ------------------------------------------------------------------------------------------------


def view_columns() -> tuple[Any, ...]:
    """The columns that ``read_view`` reads, from ``message`` joined with ``batch``."""
    m, b = t.message.c, t.batch.c
    return (
        m.id,
        m.account_id,
        m.recipient,
        m.status,
        m.reason,
        m.since_at,
        m.done_at,
        m.error_source,
        m.error_text,
        m.error_net_type,
        m.error_net_code,
        m.error_command_status,
        m.notes,
        m.parts,
        m.created_at,
        b.client_reference,
        b.kind,
        b.max_parts,
        m.first_final,
        m.first_times,
        b.dialect,
        b.sender,
        m.client_id,
        b.client_id,
        m.send_at,
        t.part.c.smsc_message_id,
        t.part.c.link,
        b.extra,
        m.own,
    )


def view_source(messages: Any = t.message) -> Any:
    """``messages`` joined with what ``view_columns`` reads: batch, and the part that decided (R38), else the first."""
    part_no = func.coalesce(t.message.c.decided_by, 1)
    return messages.join(t.batch, t.batch.c.id == batch_key(t.message.c.id)).outerjoin(
        t.part, (t.part.c.message_id == t.message.c.id) & (t.part.c.part_no == part_no)
    )


def read_view(row: Sequence[Any], *, first_final: bool) -> MessageView:
    """Read a message as readers see it."""
    status, reason, since_at, done_at, error = row[3], row[4], row[5], row[6], read_error(row, 7)
    if first_final and row[18]:
        status, reason, *told = msgspec.json.decode(row[18])
        since_at, done_at = msgspec.json.decode(row[19])
        error = read_error(told, 0)
    reference, kind, max_parts, sender, extra = row[15], row[16], row[17], row[21], row[27]
    if row[28] is None:
        extra = read_extra(extra)
    else:
        own = read_own(row[28])
        reference, kind, max_parts = own.client_reference, own.content.kind, own.content.max_parts
        sender, extra = own.sender, own.extra
    return MessageView(
        row[0],
        batch_of(row[0]),
        row[1],
        row[2],
        STATUS[status],
        REASON[reason],
        since_at,
        done_at,
        error,
        row[13],
        Note(row[12]) if row[12] else Note.NONE,
        row[14],
        reference,
        KIND[kind],
        max_parts,
        row[20],
        sender,
        row[22],
        row[23],
        row[14] if row[24] is None else row[24],
        row[25] or "",
        row[26] or "",
        None,
        extra,
    )
