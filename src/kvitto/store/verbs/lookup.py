"""Finding messages for people: the search, one message with everything known of it, callbacks and batches by page.

No search reads without bound. ``to`` goes through the index on recipients and ``batch`` through the key. Any other
walks back in time, ``WALK_BATCHES`` batches (or, over all accounts, ``WALK_MESSAGES`` messages) a step and ``STEPS``
steps a page, and then says how far it has looked, so that the page may offer to go on.

Pages are cut by key (the last id shown), never by counting: an id rises with time. Must not know: the words of the
search box. Next: ``kvitto.reports.search``.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, func, or_, select

from kvitto.core.ids import batch_of, message_range
from kvitto.core.model import Content
from kvitto.core.status import Note, PartState, Reason, Status, StatusError
from kvitto.store import schema as t
from kvitto.store.statements import Int, Statement, Str, Tx, Whole
from kvitto.store.verbs.columns import PART_STATE, REASON, STATUS, batch_key, read_error
from kvitto.store.verbs.texts import read_content

__all__ = [
    "LAST",
    "BatchRow",
    "CallbackRow",
    "EventRow",
    "Found",
    "FullMessage",
    "Look",
    "PartRow",
    "ReceiptRow",
    "Row",
    "batch_owner",
    "batch_rows",
    "callback_page",
    "full_message",
    "recipients",
    "search",
]

LAST: Final = "~"
"""A cursor after every id: where the first page begins."""
WALK_BATCHES: Final = 200
WALK_MESSAGES: Final = 5000
STEPS: Final = 4


class Look(NamedTuple):
    """What is looked for; None and () for anything. ``account_id`` None: over all accounts.

    ``code``: the network's code or the command_status; ``before``: only ids below this.
    """

    account_id: str | None
    to: str | None = None
    statuses: tuple[Status, ...] = ()
    batch_id: str | None = None
    reference: str | None = None
    code: int | None = None
    link: str | None = None
    since_at: int | None = None
    before: str = LAST
    limit: int = 50


class Row(NamedTuple):
    """One message in a list."""

    id: str
    account_id: str
    recipient: str
    status: Status
    reason: Reason
    since_at: int
    done_at: int | None
    error: StatusError
    notes: Note
    parts: int
    created_at: int
    sender: str | None
    reference: str | None
    dialect: str
    link: str | None

    @property
    def batch_id(self) -> str:
        """The batch it belongs to."""
        return batch_of(self.id)


class Found(NamedTuple):
    """A page. ``next``: the cursor of what follows, None at the end. ``short``: it stopped before the page was full,
    having looked back as far as ``next``.
    """

    rows: list[Row]
    next: str | None
    short: bool = False


class PartRow(NamedTuple):
    """One part's last way to a link."""

    part_no: int
    link: str
    state: PartState
    error: StatusError
    written_at: int
    answered_at: int | None
    smsc_message_id: str | None


class ReceiptRow(NamedTuple):
    """One receipt that was matched to the message; ``raw``: the PDU, hex."""

    id: int
    part_no: int | None
    link: str
    received_at: int
    outcome: str
    level: int | None
    raw: str


class EventRow(NamedTuple):
    """One change of status."""

    at: int
    status: Status
    reason: Reason
    done_at: int | None
    error: StatusError


class CallbackRow(NamedTuple):
    """One callback, with its last attempt. ``message_id`` None: it tells of a batch's end."""

    id: int
    account_id: str
    batch_id: str
    message_id: str | None
    status: str | None
    dialect: str
    url: str
    state: str
    created_at: int
    attempts: int
    next_attempt_at: int | None
    last_at: int | None
    last_status_code: int | None
    last_error: str | None
    last_elapsed_ms: int | None


class BatchRow(NamedTuple):
    """One batch in a list."""

    id: str
    account_id: str
    dialect: str
    sender: str | None
    reference: str | None
    created_at: int
    send_at: int | None
    cancelled_at: int | None
    recipients: int


class FullMessage(NamedTuple):
    """One message with its whole story. ``text``: as sent to this recipient, None when it is no text."""

    row: Row
    content: Content
    text: str | None
    attempts: int
    due_at: int | None
    deadline_at: int | None
    expire_at: int
    send_at: int | None
    callback_url: str | None
    parts: list[PartRow]
    receipts: list[ReceiptRow]
    events: list[EventRow]
    callbacks: list[CallbackRow]


_M: Final = t.message.c
_ROW: Final = (
    _M.id,
    _M.account_id,
    _M.recipient,
    _M.status,
    _M.reason,
    _M.since_at,
    _M.done_at,
    _M.error_source,
    _M.error_text,
    _M.error_net_type,
    _M.error_net_code,
    _M.error_command_status,
    _M.notes,
    _M.parts,
    _M.created_at,
    t.batch.c.sender,
    t.batch.c.client_reference,
    t.batch.c.dialect,
    t.part.c.link,
)


def _read(row: Sequence[Any]) -> Row:
    return Row(
        row[0],
        row[1],
        row[2],
        STATUS[row[3]],
        REASON[row[4]],
        row[5],
        row[6],
        read_error(row, 7),
        Note(row[12]),
        row[13],
        row[14],
        row[15],
        row[16],
        row[17],
        row[18],
    )


def _with_rest(source: Any) -> Any:
    return source.join(t.batch, t.batch.c.id == batch_key(_M.id)).outerjoin(
        t.part, and_(t.part.c.message_id == _M.id, t.part.c.part_no == 1)
    )


def _given(name: str, condition: Any, kind: Any = Str) -> Any:
    return or_(bindparam(name, type_=kind).is_(None), condition)


def _fits() -> Any:
    """What every search asks, whatever way it found its messages."""
    statuses = bindparam("statuses", type_=Str)
    code = bindparam("code", type_=Int)
    return and_(
        _M.id < bindparam("before", type_=Str),
        _given("account", _M.account_id == bindparam("account", type_=Str)),
        or_(statuses.is_(None), func.replace(statuses, "\n" + _M.status + "\n", "") != statuses),
        _given("reference", t.batch.c.client_reference == bindparam("reference", type_=Str)),
        _given("link", t.part.c.link == bindparam("link", type_=Str)),
        or_(
            code.is_(None),
            _M.error_net_code == code,
            _M.error_command_status == code,
            _M.error_text.in_([bindparam("bare", type_=Str), bindparam("padded", type_=Str)]),
        ),
        _given("since", _M.created_at >= bindparam("since", type_=Int), Int),
    )


_BY_NUMBER: Final = Statement(
    lambda _: (
        select(*_ROW)
        .select_from(_with_rest(t.message))
        .where(_M.recipient == bindparam("to", type_=Str), _M.account_id == bindparam("account", type_=Str), _fits())
        .order_by(_M.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_BY_NUMBER_ANYWHERE: Final = Statement(
    lambda _: (
        select(*_ROW)
        .select_from(_with_rest(t.account.join(t.message, _M.account_id == t.account.c.id)))
        .where(_M.recipient == bindparam("to", type_=Str), _fits())
        .order_by(_M.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_IN_BATCH: Final = Statement(
    lambda _: (
        select(*_ROW)
        .select_from(_with_rest(t.message))
        .where(_M.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str)), _fits())
        .order_by(_M.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_BATCHES_BACK: Final = Statement(
    lambda _: (
        select(t.batch.c.id)
        .where(
            t.batch.c.account_id == bindparam("account", type_=Str),
            t.batch.c.id < bindparam("before", type_=Str),
        )
        .order_by(t.batch.c.created_at.desc(), t.batch.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_IN_SPANS: Final = Whole(
    lambda r: (
        select(*_ROW)
        .select_from(_with_rest(r.join(t.message, _M.id.between(r.c.first, r.c.last))))
        .where(_fits())
        .order_by(_M.id.desc())
        .limit(bindparam("n", type_=Int))
    ),
    first=Str,
    last=Str,
)
_BACK: Final = Statement(
    lambda _: (
        select(_M.id)
        .where(_M.id < bindparam("before", type_=Str))
        .order_by(_M.id.desc())
        .limit(1)
        .offset(bindparam("n", type_=Int))
    )
)


def search(tx: Tx, look: Look) -> Found:
    """Find a page of messages; see the top of this file for what it reads."""
    asked: dict[str, Any] = {
        "account": look.account_id,
        "statuses": "\n" + "\n".join(look.statuses) + "\n" if look.statuses else None,
        "reference": look.reference,
        "code": look.code,
        "bare": str(look.code),
        "padded": f"{look.code or 0:03d}",
        "link": look.link,
        "since": look.since_at,
        "before": look.before,
        "n": look.limit + 1,
    }
    if look.batch_id is not None:
        first, last = message_range(look.batch_id)
        rows = tx.run(_IN_BATCH, first=first, last=last, **asked)
        if look.to is not None:
            rows = [row for row in rows if row[2] == look.to]
        return _page(rows, look.limit)
    if look.to is not None:
        return _page(tx.run(_BY_NUMBER if look.account_id else _BY_NUMBER_ANYWHERE, to=look.to, **asked), look.limit)
    return _walk(tx, look, asked)


def _page(rows: Sequence[Sequence[Any]], limit: int) -> Found:
    page = [_read(row) for row in rows[:limit]]
    return Found(page, page[-1].id if len(rows) > limit else None)


def _walk(tx: Tx, look: Look, asked: dict[str, Any]) -> Found:
    """Walk back in time, a bounded way."""
    found: list[Sequence[Any]] = []
    before: str | None = look.before
    for _ in range(STEPS):
        assert before is not None
        rows, before = _step(tx, look, {**asked, "before": before, "n": look.limit + 1 - len(found)})
        found.extend(rows)
        if len(found) > look.limit or before is None:
            return _page(found, look.limit)
        if look.since_at is not None and _made_at(before) < look.since_at:
            return _page(found, look.limit)
    return Found([_read(row) for row in found], before, short=True)


def _step(tx: Tx, look: Look, asked: dict[str, Any]) -> tuple[list[Any], str | None]:
    """One step back: what it found, and where the next begins (None at the end)."""
    before = asked["before"]
    if look.account_id is None:
        lowest = tx.run(_BACK, before=before, n=WALK_MESSAGES)
        first = lowest[0][0] if lowest else ""
        return tx.run(_IN_BATCH, first=first, last=before, **asked), first or None
    ids = [row[0] for row in tx.run(_BATCHES_BACK, account=look.account_id, before=before, n=WALK_BATCHES)]
    if not ids:
        return [], None
    rows = tx.run(_IN_SPANS, [message_range(one) for one in ids], **asked)
    return rows, ids[-1] if len(ids) == WALK_BATCHES else None


_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _made_at(id: str) -> int:
    """The instant in an id (``kvitto.core.ids``), ms UTC."""
    at = 0
    for char in id[:10]:
        at = at * 32 + max(0, _CROCKFORD.find(char))
    return at


# --- one message ------------------------------------------------------------------------------------------------------

_ONE: Final = Statement(
    lambda _: (
        select(
            *_ROW,
            t.batch.c.content,
            _M.text,
            _M.attempts,
            _M.due_at,
            _M.deadline_at,
            t.batch.c.expire_at,
            t.batch.c.send_at,
            func.coalesce(t.batch.c.callback_url, t.account.c.callback_url),
        )
        .select_from(_with_rest(t.message).outerjoin(t.account, t.account.c.id == _M.account_id))
        .where(_M.id == bindparam("id", type_=Str), _given("account", _M.account_id == bindparam("account", type_=Str)))
    )
)
_PARTS: Final = Statement(
    lambda _: (
        select(
            t.part.c.part_no,
            t.part.c.link,
            t.part.c.state,
            t.part.c.error_source,
            t.part.c.error_text,
            t.part.c.error_net_type,
            t.part.c.error_net_code,
            t.part.c.error_command_status,
            t.part.c.written_at,
            t.part.c.answered_at,
            t.part.c.smsc_message_id,
        )
        .where(t.part.c.message_id == bindparam("id", type_=Str))
        .order_by(t.part.c.part_no)
    )
)
_RECEIPTS: Final = Statement(
    lambda _: (
        select(
            t.receipt.c.id,
            t.receipt.c.part_no,
            t.receipt.c.link,
            t.receipt.c.received_at,
            t.receipt.c.outcome,
            t.receipt.c.level,
            t.receipt.c.raw,
        )
        .where(t.receipt.c.message_id == bindparam("id", type_=Str))
        .order_by(t.receipt.c.id)
    )
)
_EVENTS: Final = Statement(
    lambda _: (
        select(
            t.event.c.at,
            t.event.c.status,
            t.event.c.reason,
            t.event.c.done_at,
            t.event.c.error_source,
            t.event.c.error_text,
            t.event.c.error_net_type,
            t.event.c.error_net_code,
            t.event.c.error_command_status,
        )
        .where(t.event.c.message_id == bindparam("id", type_=Str))
        .order_by(t.event.c.seq)
    )
)
_CALLBACK: Final = (
    t.callback.c.id,
    t.callback.c.account_id,
    t.callback.c.batch_id,
    t.event.c.message_id,
    t.event.c.status,
    t.callback.c.dialect,
    t.callback.c.url,
    t.callback.c.state,
    t.callback.c.created_at,
    t.callback.c.attempts,
    t.callback.c.next_attempt_at,
    t.callback.c.last_at,
    t.callback.c.last_status_code,
    t.callback.c.last_error,
    t.callback.c.last_elapsed_ms,
)
_CALLBACKS_OF: Final = Statement(
    lambda _: (
        select(*_CALLBACK)
        .select_from(t.event.join(t.callback, t.callback.c.id == t.event.c.seq))
        .where(t.event.c.message_id == bindparam("id", type_=Str))
        .order_by(t.callback.c.id)
    )
)
_CALLBACK_PAGE: Final = Statement(
    lambda _: (
        select(*_CALLBACK)
        .select_from(t.callback.outerjoin(t.event, t.event.c.seq == t.callback.c.id))
        .where(
            t.callback.c.id < bindparam("before", type_=Int),
            _given("account", t.callback.c.account_id == bindparam("account", type_=Str)),
        )
        .order_by(t.callback.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)


def full_message(tx: Tx, account_id: str | None, message_id: str) -> FullMessage | None:
    """One message with its story; see ``Office.message``."""
    rows = tx.run(_ONE, id=message_id, account=account_id)
    if not rows:
        return None
    row, head = rows[0], _read(rows[0])
    content = read_content(row[19])
    parts = [PartRow(r[0], r[1], PART_STATE[r[2]], read_error(r, 3), *r[8:]) for r in tx.run(_PARTS, id=message_id)]
    if len(parts) == 1 and head.parts == 1:  # a lone part leaves its status to its message
        parts = [parts[0]._replace(error=head.error)]
    return FullMessage(
        head,
        content,
        (row[20] if row[20] is not None else content.text) or None,
        row[21],
        row[22],
        row[23],
        row[24],
        row[25],
        row[26],
        parts,
        [ReceiptRow(*r) for r in tx.run(_RECEIPTS, id=message_id)],
        [EventRow(r[0], STATUS[r[1]], REASON[r[2]], r[3], read_error(r, 4)) for r in tx.run(_EVENTS, id=message_id)],
        [CallbackRow(*r) for r in tx.run(_CALLBACKS_OF, id=message_id)],
    )


def callback_page(tx: Tx, account_id: str | None, before: int, limit: int) -> list[CallbackRow]:
    """Callbacks, newest first."""
    return [CallbackRow(*row) for row in tx.run(_CALLBACK_PAGE, account=account_id, before=before, n=limit)]


# --- batches ----------------------------------------------------------------------------------------------------------

_BATCH_ROW: Final = (
    t.batch.c.id,
    t.batch.c.account_id,
    t.batch.c.dialect,
    t.batch.c.sender,
    t.batch.c.client_reference,
    t.batch.c.created_at,
    t.batch.c.send_at,
    t.batch.c.cancelled_at,
    t.batch.c.recipients,
)
_BATCHES_OF: Final = Statement(
    lambda _: (
        select(*_BATCH_ROW)
        .where(t.batch.c.account_id == bindparam("account", type_=Str), t.batch.c.id < bindparam("before", type_=Str))
        .order_by(t.batch.c.created_at.desc(), t.batch.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_BATCHES: Final = Statement(
    lambda _: (
        select(*_BATCH_ROW)
        .where(t.batch.c.id < bindparam("before", type_=Str))
        .order_by(t.batch.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_OWNER: Final = Statement(lambda _: select(t.batch.c.account_id).where(t.batch.c.id == bindparam("id", type_=Str)))
_RECIPIENTS: Final = Statement(
    lambda _: (
        select(*_ROW)
        .select_from(_with_rest(t.message))
        .where(_M.id > bindparam("after", type_=Str), _M.id <= bindparam("last", type_=Str))
        .order_by(_M.id)
        .limit(bindparam("n", type_=Int))
    )
)


def batch_rows(tx: Tx, account_id: str | None, before: str, limit: int) -> list[BatchRow]:
    """Batches, newest first."""
    if account_id is None:
        rows = tx.run(_BATCHES, before=before, n=limit)
    else:
        rows = tx.run(_BATCHES_OF, account=account_id, before=before, n=limit)
    return [BatchRow(*row)._replace(recipients=row[8].count(",") + 1) for row in rows]


def batch_owner(tx: Tx, batch_id: str) -> str | None:
    """The account of a batch."""
    rows = tx.run(_OWNER, id=batch_id)
    return rows[0][0] if rows else None


def recipients(tx: Tx, batch_id: str, after: str, limit: int) -> list[Row]:
    """Messages of a batch in the order sent, after this id ("" from the first)."""
    first, last = message_range(batch_id)
    begin = after if after >= first else batch_id
    return [_read(row) for row in tx.run(_RECIPIENTS, after=begin, last=last, n=limit)]
