"""What every change of a status writes, in the transaction that causes it: parts, messages, events (P4, P9).

A verb reads the messages it is about (``loading``), lets ``core.status.apply`` decide, and gives what changed to a
``Changes``, which writes it all at once: one statement a table, whatever the number of messages. What a change causes
to be told it leaves to ``telling``, what enters the one-time feed to ``unread``, counts by the minute to ``tallies``.

Must not know: why something changed. Next: ``telling`` beside this file, then ``dispatch``, ``receipts``, ``overdue``.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import insert, select, update

from kvitto.core.ids import batch_of
from kvitto.core.model import MessageView, Notify
from kvitto.core.status import (
    FINAL,
    NO_ERROR,
    Event,
    Message,
    MoveKind,
    Note,
    Outcome,
    PartRecord,
    Reason,
    Status,
    apply,
)
from kvitto.store import schema as t
from kvitto.store.commitorder import CurrentTx
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs import telling, unread
from kvitto.store.verbs.loading import Loaded
from kvitto.store.verbs.tallies import tally_change
from kvitto.store.verbs.telling import TELLS_MESSAGE, Telling, Told
from kvitto.store.verbs.underway import Underway, write_underway

__all__ = ["SET_STATES", "Changes"]

_PER_BATCH: Final = (Notify.BATCH_SUMMARY, Notify.BATCH_FULL)

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


EventRow = tuple[str, str, Status, Reason, int, int | None, Any, str | None, int | None, int | None, int | None]
"""An event without its number: account, message, status, reason, since when, done at, and the error's five fields."""


def _event_row(view: MessageView) -> EventRow:
    return (view.account_id, view.id, view.status, view.reason, view.since_at, view.done_at, *view.error)


class Changes:
    """Collects what a verb changed, and writes it: call ``apply`` for each event, ``write`` once."""

    def __init__(self, tx: Tx, scope: Scope, now: int) -> None:
        self._tx = tx
        self.scope = scope
        self._now = now
        self._parts: dict[tuple[str, int], PartRecord] = {}
        self._states: dict[tuple[str, int], PartRecord] = {}
        self._messages: dict[str, tuple[Loaded, int | None, int | None]] = {}
        self._events: list[tuple[Told, EventRow, MessageView | None, bool]] = []
        self._firsts: dict[str, Message] = {}
        self._keen: frozenset[str] = frozenset()
        self._ended: dict[str, tuple[int, Told]] = {}
        self._underway: list[Underway] = []
        self._noted: set[str] = set()

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
            self._firsts[loaded.id] = before
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
        self._events.append((loaded, _event_row(view), None, False))
        self._noted.add(loaded.id)

    def list_underway(self, found: Sequence[Underway]) -> None:
        """Messages that got on their way, of which nothing else is to be written here."""
        self._underway.extend(found)

    def _note_change(self, loaded: Loaded, *, late: bool) -> None:
        final = loaded.record.status in FINAL
        notify = loaded.notify
        # Whether a late correction is shown, the dialect that tells it decides (docs/status.md 7).
        asked = (final and notify is Notify.FINAL) or notify is Notify.CHANGES or notify is Notify.ATTEMPTS
        tell = asked and loaded.callback_url is not None
        record = loaded.record
        plain = record.reason is Reason.ACCEPTED and record.error == NO_ERROR and loaded.id not in self._noted
        if plain and not asked:
            self._underway.append((loaded.account_id, loaded.id, record.since_at))
        else:
            view = loaded.view()
            self._events.append((loaded, _event_row(view), view if tell else None, Note.LATE in view.notes))
        if final and not late and notify in _PER_BATCH:
            self._count_end(loaded)

    def end(self, told: Told, event: "EventRow", view: MessageView | None) -> None:
        """A message came to its first end, and its row is written by the caller: event and callbacks.

        ``view``: what is told of it, None when nobody is to be told (``telling.is_told``).
        """
        self._events.append((told, event, view, False))
        if told.notify in _PER_BATCH:
            self._count_end(told)

    def _count_end(self, told: Told) -> None:
        batch_id = batch_of(told.id)
        count, _ = self._ended.get(batch_id, (0, told))
        self._ended[batch_id] = (count + 1, told)

    def _note_attempt(self, loaded: Loaded, before: Message, at: int) -> None:
        """The SMSC says that an attempt failed and it goes on trying: told to those who asked for that."""
        if before.reason is not Reason.RETRYING_SMSC:
            view = loaded.view()._replace(since_at=at)
            tell = loaded.notify is Notify.ATTEMPTS and loaded.callback_url is not None
            self._events.append((loaded, _event_row(view), view if tell else None, False))

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
            self._write_firsts()
        if self._underway:  # their numbers come first: what follows on their way may be in the same transaction
            write_underway(tx, self._underway)
        if self._events:
            self._write_events()
        if self._ended:
            telling.end_batches(tx, self.scope, self._now, self._ended)

    def _write_firsts(self) -> None:
        """Keep the ends that are corrected. Where corrections are wanted they take the place of these in the feed."""
        tx, owners = self._tx, {one: self._messages[one][0].account_id for one in self._firsts}
        self._keen = unread.who_wants_corrections(tx, set(owners.values()))
        rows = [(one, *_first_final(record, owners[one] in self._keen)) for one, record in self._firsts.items()]
        tx.run(_KEEP_FIRST_FINAL, rows)
        replaced = [one for one, account_id in owners.items() if account_id in self._keen]
        if replaced:
            unread.forget(tx, replaced)

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
        due: list[Telling] = []
        for seq, (loaded, event, view, late) in zip(self._tx.new_ids(len(self._events)), self._events, strict=True):
            if loaded.decided_by:
                of_parts.append((seq, *event, loaded.decided_by))
            else:
                rows.append((seq, *event))
            if event[2] in FINAL and (loaded.feed, view is not None) in unread.ENTERS and self._is_read(event, late):
                ends.append((event[0], seq, event[1]))
            if view is not None:
                due.append((seq, view, loaded, TELLS_MESSAGE))
        if rows:
            self._tx.run(_INSERT_EVENTS, rows)
        if of_parts:
            self._tx.run(_INSERT_PART_EVENTS, of_parts)
        if ends:
            unread.enter(self._tx, ends)
        if due:
            telling.write_callbacks(self._tx, self.scope, self._now, due)

    def _is_read(self, event: EventRow, late: bool) -> bool:
        """Of an end and its correction one is read, also where one transaction brought both."""
        return event[1] not in self._firsts or late is (event[0] in self._keen)


def _first_final(record: Message, replaced: bool) -> tuple[str, str]:
    """What is kept of an end that a late receipt corrects; apart, so that the first groups with its like."""
    end = msgspec.json.encode((record.status, record.reason, *record.error)).decode()
    times = (record.since_at, record.done_at, True) if replaced else (record.since_at, record.done_at)
    return end, msgspec.json.encode(times).decode()
