"""A message in the hands of a verb: read with its batch and its parts, and locked until the transaction ends.

A row becomes a ``Loaded``: the status record that ``core.status.apply`` takes, and what callbacks tell beside it. What
a message has of its own is laid over its batch's (ADR 0014); a lone part's record is derived from its message's
(ADR 0007). Must not know: what is to become of it. Next: ``changes`` beside this file, which writes what did.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, case, func, select

from kvitto.core.ids import batch_of
from kvitto.core.model import MessageView, Notify
from kvitto.core.status import ErrorSource, Message, Note, PartRecord, Reason, Status
from kvitto.store import schema as t
from kvitto.store.statements import Statement, Str, Tx
from kvitto.store.verbs.columns import KIND, NOTIFY, PART_STATE, REASON, STATUS, batch_key, read_error
from kvitto.store.verbs.texts import read_extra, read_own

__all__ = [
    "MESSAGES_BY_ID",
    "PARTS_OF",
    "Loaded",
    "join_batch",
    "load_parts",
    "lone_part",
    "message_of",
    "select_loaded",
]

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
        self.record = _record_of(row)
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


def _record_of(row: Sequence[Any]) -> Message:
    """Read the status record of a message, parts left out."""
    return Message(
        STATUS[row[3]], REASON[row[4]], row[5], (), row[6], read_error(row, 7), Note(row[12]) if row[12] else Note.NONE
    )


def _read_part(row: Sequence[Any], at: int = 0) -> PartRecord:
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
        by_id.setdefault(row[0], []).append(_read_part(row))
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
