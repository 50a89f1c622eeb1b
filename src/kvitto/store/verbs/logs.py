"""Logs: what became of an account's messages, newest first, a page costing the same wherever it lies.

Messages that left at once are found through their batches (``batch_account``: by account and time), those planned for
later through ``message_planned``; both are walked backwards from where the last page ended, and merged. A window of
time bounds the walk. Ids and a recipient find their messages directly, and cost what those are (``message_recipient``).
Sender and statuses are asked in SQL of each message walked over, a dialect's own choices one by one: those want a
window. Must not know: dialects. Next: ``feed``.
"""

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import and_, bindparam, func, literal, not_, select, tuple_

from kvitto.core.ids import batch_of, message_range
from kvitto.core.model import LogFilter, LogPage, MessagePage, MessageView
from kvitto.core.status import Reason, Status, StatusError
from kvitto.store import schema as t
from kvitto.store.statements import Int, Statement, Str, Tx, Whole
from kvitto.store.verbs.feed import spans
from kvitto.store.verbs.texts import read_content, read_own
from kvitto.store.verbs.views import read_view, view_columns, view_source

__all__ = ["BAD_CURSOR", "batch_messages", "log_page"]

BAD_CURSOR: Final = "invalid_cursor"
"""What ``log_page`` returns for a cursor that was not handed out."""

_STEP: Final = 500
"""Messages looked at in one go."""
_END: Final = (1 << 62, "Z" * 26)
_FOREVER: Final = 1 << 62
_DIGITS_MAX: Final = 18
"""Of the instant in a cursor: a database can hold it."""

Place = tuple[int, str]
"""Where a page ends: (sent at, message id); pages go downwards."""


def _columns() -> tuple[Any, ...]:
    """A view's columns, the text as sent where it is its own, else the batch's content."""
    return (*view_columns(), t.message.c.text, t.batch.c.content)


def _filter() -> Any:
    sender, recipient = bindparam("sender", type_=Str), bindparam("recipient", type_=Str)
    statuses = bindparam("statuses", type_=Str)
    return and_(
        sender.is_(None) | t.message.c.own.is_not(None) | (t.batch.c.sender == sender),
        recipient.is_(None) | (t.message.c.recipient == recipient),
        statuses.is_(None) | statuses.like(literal("%|").concat(t.message.c.status).concat("|%")),
    )


def _below() -> Any:
    """Of the account, in the window, before the place; the account is no key here, which ids and numbers are."""
    at = tuple_(_planned_at(), t.message.c.id) < tuple_(bindparam("at", type_=Int), bindparam("at_id", type_=Str))
    return and_(
        t.message.c.account_id.concat("") == bindparam("account", type_=Str),
        _planned_at() >= bindparam("from_at", type_=Int),
        _planned_at() <= bindparam("until_at", type_=Int),
        at,
        _filter(),
    )


_AT_ONCE: Final = Statement(
    lambda _: (
        select(*_columns())
        .select_from(
            t.batch.join(
                t.message,
                t.message.c.id.between(
                    _slot(t.batch.c.id, "0001"),
                    _slot(t.batch.c.id, "ZZZZ"),
                ),
            ).outerjoin(t.part, _decider())
        )
        .where(
            t.batch.c.account_id == bindparam("account", type_=Str),
            t.batch.c.created_at >= bindparam("from_at", type_=Int),
            t.batch.c.created_at <= bindparam("until_at", type_=Int),
            tuple_(t.batch.c.created_at, t.batch.c.id)
            <= tuple_(bindparam("at", type_=Int), bindparam("at_batch", type_=Str)),
            not_(
                (t.batch.c.id == bindparam("at_batch", type_=Str)) & (t.message.c.id >= bindparam("at_id", type_=Str))
            ),
            t.message.c.send_at.is_(None),
            _filter(),
        )
        .order_by(t.batch.c.created_at.desc(), t.batch.c.id.desc(), t.message.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_PLANNED: Final = Statement(
    lambda _: (
        select(*_columns())
        .select_from(view_source())
        .where(
            t.message.c.account_id == bindparam("account", type_=Str),
            t.message.c.send_at.is_not(None),
            t.message.c.send_at >= bindparam("from_at", type_=Int),
            t.message.c.send_at <= bindparam("until_at", type_=Int),
            tuple_(t.message.c.send_at, t.message.c.id)
            < tuple_(bindparam("at", type_=Int), bindparam("at_id", type_=Str)),
            _filter(),
        )
        .order_by(t.message.c.account_id.desc(), t.message.c.send_at.desc(), t.message.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_AMONG: Final = Whole(
    lambda r: (
        select(*_columns())
        .select_from(view_source(r.join(t.message, t.message.c.id.between(r.c.first, r.c.last))))
        .where(_below())
        .order_by(_planned_at().desc(), t.message.c.id.desc())
        .limit(bindparam("n", type_=Int))
    ),
    first=Str,
    last=Str,
)
_TO: Final = Statement(
    lambda r: (
        select(*_columns())
        .select_from(
            view_source(
                r.join(
                    t.message,
                    (t.message.c.account_id == r.c.account_id) & (t.message.c.recipient == r.c.recipient),
                )
            )
        )
        .where(_below())
        .order_by(_planned_at().desc(), t.message.c.id.desc())
        .limit(bindparam("n", type_=Int))
    ),
    account_id=Str,
    recipient=Str,
)


def _slot(batch_id: Any, number: str) -> Any:
    return func.substr(batch_id, 1, 22).concat(number)


def _decider() -> Any:
    return (t.part.c.message_id == t.message.c.id) & (t.part.c.part_no == func.coalesce(t.message.c.decided_by, 1))


def _planned_at() -> Any:
    return func.coalesce(t.message.c.send_at, t.message.c.created_at)


def log_page(tx: Tx, account_id: str, wanted: LogFilter, limit: int, cursor: str | None) -> LogPage | str:
    """A page of the log, or ``BAD_CURSOR``."""
    place = _END if cursor is None else _read_cursor(account_id, cursor)
    if place is None:
        return BAD_CURSOR
    if wanted.statuses == ():
        return LogPage([])
    among = spans(tx, account_id, wanted.batch_ids, wanted.message_ids)
    keeps = _chooser(wanted)
    found: list[MessageView] = []
    while True:
        step = max(_STEP, limit + 1)
        rows = _step(tx, account_id, wanted, among, place, step)
        for row in rows:
            view = read_view(row, first_final=wanted.first_final)
            if keeps(view):
                found.append(view._replace(text=_text_of(row)))
                if len(found) > limit:
                    last = found[limit - 1]
                    return LogPage(found[:limit], _write_cursor(account_id, (last.sent_at, last.id)))
        if len(rows) < step:
            return LogPage(found)
        place = _place_of(rows[-1])


def _step(
    tx: Tx, account_id: str, wanted: LogFilter, among: Sequence[tuple[str, str]] | None, place: Place, step: int
) -> list[Any]:
    """The next messages below ``place``, newest first."""
    parameters: dict[str, Any] = {
        "account": account_id,
        "from_at": wanted.from_at or 0,
        # Each step begins where the last one ended, whichever of its two bounds the database goes by.
        "until_at": min(place[0], _FOREVER if wanted.until_at is None else wanted.until_at),
        "sender": wanted.sender,
        "recipient": wanted.recipient,
        "statuses": _statuses_of(wanted),
        "at": place[0],
        "at_id": place[1],
        "n": step,
    }
    if among is not None:
        return tx.run(_AMONG, among, **parameters) if among else []
    if wanted.recipient is not None:
        return tx.run(_TO, [(account_id, wanted.recipient)], **parameters)
    rows = tx.run(_AT_ONCE, at_batch=batch_of(place[1]), **parameters) + tx.run(_PLANNED, **parameters)
    rows.sort(key=_place_of, reverse=True)
    return rows[:step]


def _statuses_of(wanted: LogFilter) -> str | None:
    """The statuses in one text. A first end that is shown in the place of a correction (R45) is in no column."""
    return None if wanted.first_final or wanted.statuses is None else f"|{'|'.join(wanted.statuses)}|"


def _place_of(row: Sequence[Any]) -> Place:
    return (row[14] if row[24] is None else row[24], row[0])


def _text_of(row: Sequence[Any]) -> str:
    text: str | None = row[29]
    if text is not None:
        return text
    return read_content(row[30]).text if row[28] is None else read_own(row[28]).content.text


def _chooser(wanted: LogFilter) -> Callable[[MessageView], bool]:
    """Ask the dialect once for each combination that there is."""
    shows, keeps, sender = wanted.shows, wanted.keeps, wanted.sender

    @lru_cache(maxsize=4096)
    def shown(status: Status, reason: Reason, error: StatusError) -> bool:
        return shows is None or shows(status, reason, error)

    def chosen(view: MessageView) -> bool:
        if sender is not None and view.sender != sender:
            return False
        return shown(view.status, view.reason, view.error) and (keeps is None or keeps(view))

    return chosen


# --- cursors ----------------------------------------------------------------------------------------------------------


def _write_cursor(account_id: str, place: Place) -> str:
    """Opaque, and checked when it comes back: a reader who changes it gets a refusal, not another page."""
    text = f"{place[0]}.{place[1]}"
    octets = f"{text}.{_sum(account_id, text):08x}".encode()
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _read_cursor(account_id: str, cursor: str) -> Place | None:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text, _, check = base64.b64decode(padded, b"-_", validate=True).decode("ascii").rpartition(".")
        at, _, message_id = text.partition(".")
        if check != f"{_sum(account_id, text):08x}" or len(message_id) != len(_END[1]) or len(at) > _DIGITS_MAX:
            return None
        return int(at), message_id
    except (ValueError, binascii.Error):
        return None


def _sum(account_id: str, text: str) -> int:
    return zlib.crc32(f"{account_id}.{text}".encode())


# --- one batch's messages ---------------------------------------------------------------------------------------------

_IS_BATCH: Final = Statement(
    lambda _: select(t.batch.c.id).where(
        t.batch.c.id == bindparam("id", type_=Str), t.batch.c.account_id == bindparam("account", type_=Str)
    )
)
_OF_BATCHES: Final = Whole(
    lambda r: (
        select(*view_columns())
        .select_from(view_source(r.join(t.message, t.message.c.id.between(r.c.first, r.c.last))))
        .where(
            bindparam("recipient", type_=Str).is_(None) | (t.message.c.recipient == bindparam("recipient", type_=Str))
        )
        .order_by(t.message.c.id)
    ),
    first=Str,
    last=Str,
)


def batch_messages(
    tx: Tx,
    account_id: str,
    batch_id: str,
    recipient: str | None,
    shows: Callable[[Status, Reason, StatusError], bool] | None,
    page: int,
    page_size: int,
    *,
    first_final: bool = False,
) -> MessagePage | None:
    """A page of a batch's messages in the order sent, with their number; None when there is no such batch."""
    if not tx.run(_IS_BATCH, id=batch_id, account=account_id):
        return None
    chosen = _chooser(LogFilter(shows=shows))
    rows = tx.run(_OF_BATCHES, [message_range(batch_id)], recipient=recipient)
    views = [view for view in (read_view(row, first_final=first_final) for row in rows) if chosen(view)]
    return MessagePage(len(views), views[page * page_size : (page + 1) * page_size])
