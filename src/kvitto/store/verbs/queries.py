"""What readers ask, on connections that cannot write. Every query names the account, or is the operator's.

Lists are counted by (status, reason, error) groups, so that a dialect's own filter is asked once for each combination
that exists, and the page is then fetched by those combinations. Must not know: dialects' words.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import and_, bindparam, case, exists, func, literal, or_, select

from kvitto.core.ids import batch_of, message_range
from kvitto.core.model import (
    Batch,
    BatchFilter,
    BatchPage,
    BatchReport,
    CallbackState,
    MessageFilter,
    MessagePage,
    MessageView,
    ReceiptOutcome,
)
from kvitto.core.status import FINAL, Status
from kvitto.store import schema as t
from kvitto.store.api import InDoubtPart, TraceEntry
from kvitto.store.statements import Int, Kind, Statement, Str, Tx, Whole
from kvitto.store.verbs.accounts import account_columns
from kvitto.store.verbs.admission import batch_columns, read_batch
from kvitto.store.verbs.columns import KIND, REASON, STATUS, batch_key, read_error
from kvitto.store.verbs.telling import count_by_status
from kvitto.store.verbs.views import read_view, view_columns, view_source

__all__ = [
    "LIST_DAYS",
    "account_row",
    "account_rows",
    "backlog",
    "batch_page",
    "batch_report",
    "in_doubt_parts",
    "message_page",
    "message_view",
    "one_batch",
    "story",
]

LIST_DAYS: Final = 14
"""Batches older than this are not listed (docs/dialects/sinch.md 6.1); by id they can be read as long as they are kept.
"""
_DAY_MS: Final = 86_400_000

# --- accounts ---------------------------------------------------------------------------------------------------------

_ACCOUNT_BY: Final[dict[str, Statement]] = {
    "name": Statement(
        lambda _: select(*account_columns(), t.account.c.password_hash).where(
            t.account.c.name == bindparam("key", type_=Str)
        )
    ),
    "id": Statement(
        lambda _: select(*account_columns(), t.account.c.password_hash).where(
            t.account.c.id == bindparam("key", type_=Str)
        )
    ),
    "username": Statement(
        lambda _: select(*account_columns(), t.account.c.password_hash).where(
            t.account.c.username == bindparam("key", type_=Str)
        )
    ),
    "token_hash": Statement(
        lambda _: (
            select(*account_columns(), t.account.c.password_hash)
            .join(t.token, t.token.c.account_id == t.account.c.id)
            .where(
                t.token.c.hash == bindparam("key", type_=Str),
                t.token.c.expires_at.is_(None) | (t.token.c.expires_at > bindparam("now", type_=Int)),
            )
        )
    ),
}
_ACCOUNTS: Final = Statement(lambda _: select(*account_columns()).order_by(t.account.c.name))


def account_row(tx: Tx, by: str, key: str, now: int) -> Sequence[Any] | None:
    """An account's columns and its password hash."""
    rows = tx.run(_ACCOUNT_BY[by], key=key, now=now)
    return rows[0] if rows else None


def account_rows(tx: Tx) -> list[Any]:
    """All accounts by name."""
    return tx.run(_ACCOUNTS)


# --- batches ----------------------------------------------------------------------------------------------------------

_BATCH: Final = Statement(
    lambda _: select(*batch_columns()).where(
        t.batch.c.id == bindparam("id", type_=Str), t.batch.c.account_id == bindparam("account", type_=Str)
    )
)


def _batch_filter() -> Any:
    senders = bindparam("senders", type_=Str)
    reference = bindparam("reference", type_=Str)
    return and_(
        t.batch.c.account_id == bindparam("account", type_=Str),
        t.batch.c.created_at >= bindparam("from_at", type_=Int),
        t.batch.c.created_at < bindparam("to_at", type_=Int),
        or_(reference.is_(None), t.batch.c.client_reference == reference),
        # No LIKE: it takes % and _ for more than they are and, on SQLite, "a" for "A".
        or_(senders.is_(None), func.replace(senders, "\n" + t.batch.c.sender + "\n", "") != senders),
    )


_BATCH_COUNT: Final = Statement(lambda _: select(func.count()).select_from(t.batch).where(_batch_filter()))
_BATCH_PAGE: Final = Statement(
    lambda _: (
        select(*batch_columns())
        .where(_batch_filter())
        .order_by(t.batch.c.created_at.desc(), t.batch.c.id.desc())
        .limit(bindparam("n", type_=Int))
        .offset(bindparam("skip", type_=Int))
    )
)
_FOREVER: Final = 1 << 62


def one_batch(tx: Tx, account_id: str, batch_id: str) -> Batch | None:
    """One batch of this account."""
    rows = tx.run(_BATCH, id=batch_id, account=account_id)
    return read_batch(rows[0]) if rows else None


def batch_page(tx: Tx, account_id: str, wanted: BatchFilter, page: int, page_size: int, now: int) -> BatchPage:
    """A page of batches, newest first."""
    parameters: dict[str, Any] = {
        "account": account_id,
        "from_at": max(wanted.from_at or 0, now - LIST_DAYS * _DAY_MS),
        "to_at": wanted.to_at if wanted.to_at is not None else _FOREVER,
        "reference": wanted.client_reference,
        "senders": "\n" + "\n".join(wanted.senders) + "\n" if wanted.senders else None,
    }
    total = tx.run(_BATCH_COUNT, **parameters)[0][0]
    if page * page_size >= total:
        return BatchPage(total, [])
    rows = tx.run(_BATCH_PAGE, **parameters, n=page_size, skip=page * page_size)
    return BatchPage(total, [read_batch(row) for row in rows])


# --- messages ---------------------------------------------------------------------------------------------------------

_WITH_BATCH: Final = t.message.join(t.batch, t.batch.c.id == batch_key(t.message.c.id))
_IN_BATCH: Final = t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str))
_BATCH_HEAD: Final = Statement(
    lambda _: select(
        t.batch.c.id,
        t.batch.c.account_id,
        t.batch.c.client_reference,
        t.batch.c.kind,
        t.batch.c.send_at,
        t.batch.c.cancelled_at,
    ).where(t.batch.c.id == bindparam("id", type_=Str), t.batch.c.account_id == bindparam("account", type_=Str))
)
_FIRST_FINAL_COLUMN: Final = case((bindparam("first_final", type_=Int) == 1, t.message.c.first_final), else_=None)
_BATCH_MESSAGES: Final = Statement(
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
            _FIRST_FINAL_COLUMN,
        )
        .where(_IN_BATCH)
        .order_by(t.message.c.id)
    )
)
_MESSAGE_IN_BATCH: Final = Statement(
    lambda _: (
        select(*view_columns())
        .select_from(view_source())
        .where(_IN_BATCH, t.message.c.recipient == bindparam("recipient", type_=Str))
        .order_by(t.message.c.id.desc())
        .limit(1)
    )
)


def _span(batch_id: str) -> dict[str, str]:
    first, last = message_range(batch_id)
    return {"first": first, "last": last}


def _visible(send_at: int | None, cancelled_at: int | None, now: int) -> bool:
    """A batch has no messages to show before ``send_at``, nor ever if it was cancelled before it."""
    if send_at is None:
        return True
    return now >= send_at and not (cancelled_at is not None and cancelled_at < send_at)


def batch_report(
    tx: Tx, account_id: str, batch_id: str, *, recipients: bool, first_final: bool, now: int
) -> BatchReport | None:
    """Counts of a batch."""
    heads = tx.run(_BATCH_HEAD, id=batch_id, account=account_id)
    if not heads:
        return None
    _, _, reference, kind, send_at, cancelled_at = heads[0]
    rows = tx.run(_BATCH_MESSAGES, first_final=int(first_final), **_span(batch_id))
    counts = count_by_status(rows, full=recipients)
    visible = _visible(send_at, cancelled_at, now)
    return BatchReport(batch_id, account_id, len(rows), reference, KIND[kind], visible, counts)


def message_view(
    tx: Tx, account_id: str, batch_id: str, recipient: str, *, first_final: bool, now: int
) -> MessageView | None:
    """The newest message of a batch to a number."""
    heads = tx.run(_BATCH_HEAD, id=batch_id, account=account_id)
    if not heads or not _visible(heads[0][4], heads[0][5], now):
        return None
    rows = tx.run(_MESSAGE_IN_BATCH, recipient=recipient, **_span(batch_id))
    return read_view(rows[0], first_final=first_final) if rows else None


_GROUP: Final = (
    t.message.c.status,
    t.message.c.reason,
    t.message.c.error_source,
    t.message.c.error_text,
    t.message.c.error_net_type,
    t.message.c.error_net_code,
    t.message.c.error_command_status,
    _FIRST_FINAL_COLUMN,
)


def _list_filter() -> Any:
    reference = bindparam("reference", type_=Str)
    return and_(
        t.message.c.account_id == bindparam("account", type_=Str),
        t.FINISHED,
        t.message.c.since_at >= bindparam("from_at", type_=Int),
        t.message.c.since_at < bindparam("to_at", type_=Int),
        or_(reference.is_(None), t.batch.c.client_reference == reference),
        # A batch withdrawn before its time never had messages, for those who list them.
        or_(t.batch.c.send_at.is_(None), t.batch.c.cancelled_at.is_(None), t.batch.c.cancelled_at >= t.batch.c.send_at),
    )


_LIST_GROUPS: Final = Statement(
    lambda _: select(*_GROUP, func.count()).select_from(_WITH_BATCH).where(_list_filter()).group_by(*_GROUP)
)
_KEY: Final[dict[str, Kind]] = {f"k{index}": (Int if index in (4, 5, 6) else Str) for index in range(8)}


def _same(column: Any, value: Any) -> Any:
    return column.is_not_distinct_from(value)


_LIST_PAGE: Final = Whole(
    lambda r: (
        select(*view_columns())
        .select_from(view_source())
        .where(
            _list_filter(),
            exists(select(literal(1)).select_from(r).where(*[_same(c, r.c[f"k{i}"]) for i, c in enumerate(_GROUP)])),
        )
        .order_by(t.message.c.since_at.desc(), t.message.c.id.desc())
        .limit(bindparam("n", type_=Int))
        .offset(bindparam("skip", type_=Int))
    ),
    **_KEY,
)


def _shown(group: Sequence[Any], wanted: MessageFilter) -> bool:
    if wanted.shows is None:
        return True
    if group[7]:
        first = msgspec.json.decode(group[7])
        return wanted.shows(STATUS[first[0]], REASON[first[1]], read_error(first, 2))
    return wanted.shows(STATUS[group[0]], REASON[group[1]], read_error(group, 2))


def message_page(tx: Tx, account_id: str, wanted: MessageFilter, page: int, page_size: int) -> MessagePage:
    """A page of final messages, newest first."""
    parameters: dict[str, Any] = {
        "account": account_id,
        "from_at": wanted.from_at or 0,
        "to_at": wanted.to_at if wanted.to_at is not None else _FOREVER,
        "reference": wanted.client_reference,
        "first_final": int(wanted.first_final),
    }
    groups = [group for group in tx.run(_LIST_GROUPS, **parameters) if _shown(group, wanted)]
    total = sum(group[8] for group in groups)
    if page * page_size >= total:
        return MessagePage(total, [])
    keys = [tuple(group[:8]) for group in groups]
    rows = tx.run(_LIST_PAGE, keys, **parameters, n=page_size, skip=page * page_size)
    return MessagePage(total, [read_view(row, first_final=wanted.first_final) for row in rows])


# --- for the operator and the loops -----------------------------------------------------------------------------------

_IN_DOUBT: Final = Statement(
    lambda _: (
        select(
            t.part.c.message_id,
            t.part.c.part_no,
            func.coalesce(t.account.c.name, t.part.c.account_id),
            t.message.c.recipient,
            t.part.c.link,
            t.part.c.written_at,
        )
        .select_from(
            t.part.join(t.message, t.message.c.id == t.part.c.message_id).outerjoin(
                t.account, t.account.c.id == t.part.c.account_id
            )
        )
        .where(
            t.OPEN,
            t.part.c.state == "in_doubt",
            t.message.c.status == "QUEUED",
            or_(bindparam("link", type_=Str).is_(None), t.part.c.link == bindparam("link", type_=Str)),
        )
        .order_by(t.part.c.written_at, t.part.c.message_id, t.part.c.part_no)
    )
)
_BACKLOG: Final[dict[str, Statement]] = {
    "queued": Statement(lambda _: select(func.count()).where(t.message.c.due_at.is_not(None))),
    "in_doubt": Statement(
        lambda _: (
            select(func.count())
            .select_from(t.part.join(t.message, t.message.c.id == t.part.c.message_id))
            .where(t.OPEN, t.part.c.state == "in_doubt", t.message.c.status == "QUEUED")
        )
    ),
    "parked": Statement(lambda _: select(func.count()).where(t.receipt.c.next_try_at.is_not(None))),
    "callbacks": Statement(lambda _: select(func.count()).where(t.callback.c.next_attempt_at.is_not(None))),
}


def in_doubt_parts(tx: Tx, link: str | None) -> list[InDoubtPart]:
    """All parts in doubt whose message has not ended, oldest first."""
    return [
        InDoubtPart(row[0], row[1], row[2], batch_of(row[0]), row[3], row[4], row[5])
        for row in tx.run(_IN_DOUBT, link=link)
    ]


def backlog(tx: Tx) -> dict[str, int]:
    """Counts of what waits."""
    return {name: tx.run(statement)[0][0] for name, statement in _BACKLOG.items()}


# --- one message's story ----------------------------------------------------------------------------------------------

_BY_NUMBER: Final = Statement(
    lambda _: (
        select(t.message.c.id)
        # By way of the accounts, because the index on numbers begins with them.
        .select_from(
            t.account.join(
                t.message,
                (t.message.c.account_id == t.account.c.id)
                & (t.message.c.recipient == bindparam("recipient", type_=Str)),
            )
        )
        .order_by(t.message.c.id.desc())
        .limit(20)
    )
)
_STORY_HEAD: Final = Statement(
    lambda r: select(
        t.message.c.id,
        t.message.c.created_at,
        t.message.c.parts,
        t.message.c.due_at,
        t.message.c.attempts,
        t.batch.c.dialect,
        t.batch.c.sender,
        t.batch.c.send_at,
        t.batch.c.expire_at,
        t.message.c.recipient,
    ).select_from(r.join(t.message, t.message.c.id == r.c.id).join(t.batch, t.batch.c.id == batch_key(t.message.c.id))),
    id=Str,
)


def _of_part(name: str) -> Any:
    """A part's column, which a lone part leaves to its message (``changes.lone_part``)."""
    return case((t.message.c.parts == 1, t.message.c[name]), else_=t.part.c[name])


_STORY_PARTS: Final = Statement(
    lambda r: select(
        t.part.c.message_id,
        t.part.c.part_no,
        t.part.c.link,
        t.part.c.written_at,
        t.part.c.answered_at,
        t.part.c.smsc_message_id,
        t.part.c.state,
        _of_part("error_source"),
        _of_part("error_command_status"),
        _of_part("since_at"),
        t.message.c.parts,
    ).select_from(r.join(t.part, t.part.c.message_id == r.c.id).join(t.message, t.message.c.id == t.part.c.message_id)),
    id=Str,
)
_STORY_RECEIPTS: Final = Statement(
    lambda r: (
        select(
            t.receipt.c.message_id,
            t.receipt.c.part_no,
            t.receipt.c.received_at,
            t.receipt.c.link,
            t.receipt.c.outcome,
            t.receipt.c.level,
            t.receipt.c.raw,
        )
        .select_from(r.join(t.receipt, t.receipt.c.message_id == r.c.id))
        .order_by(t.receipt.c.id)
    ),
    id=Str,
)
_STORY_EVENTS: Final = Statement(
    lambda r: (
        select(
            t.event.c.message_id,
            t.event.c.at,
            t.event.c.status,
            t.event.c.reason,
            t.event.c.error_text,
            t.event.c.error_command_status,
        )
        .select_from(r.join(t.event, t.event.c.message_id == r.c.id))
        .order_by(t.event.c.seq)
    ),
    id=Str,
)
_STORY_CALLBACKS: Final = Statement(
    lambda r: select(
        t.event.c.message_id,
        t.callback.c.created_at,
        t.callback.c.last_at,
        t.callback.c.state,
        t.callback.c.attempts,
        t.callback.c.last_status_code,
        t.callback.c.last_error,
        t.callback.c.url,
        t.callback.c.last_elapsed_ms,
        t.event.c.status,
        t.callback.c.next_attempt_at,
    ).select_from(
        r.join(t.event, t.event.c.message_id == r.c.id).join(
            t.callback,
            t.callback.c.id == t.event.c.seq,
        )
    ),
    id=Str,
)


def story(tx: Tx, message_or_number: str) -> list[TraceEntry]:
    """A message's story, or those of the newest 20 messages to a number, in time order."""
    ids = [(message_or_number,)]
    if message_or_number.isdigit():
        ids = [(row[0],) for row in tx.run(_BY_NUMBER, recipient=message_or_number)]
    if not ids:
        return []
    parts, receipts, events = tx.run(_STORY_PARTS, ids), tx.run(_STORY_RECEIPTS, ids), tx.run(_STORY_EVENTS, ids)
    adopted = {(row[0], row[1]) for row in receipts if row[4] == ReceiptOutcome.ADOPTED}
    entries = [
        *_told_admission(tx, ids),
        *[entry for row in parts for entry in _told_part(row, (row[0], row[1]) in adopted)],
        *_told_dispatch(parts, adopted, events),
        *_told_receipts(receipts),
        *[entry for row in events for entry in _told_event(row)],
        *_told_callbacks(tx, ids),
    ]
    return [entry for _, entry in sorted(enumerate(entries), key=lambda pair: (pair[1].at, pair[0]))]


def _told_admission(tx: Tx, ids: Sequence[tuple[str]]) -> list[TraceEntry]:
    entries = []
    for row in tx.run(_STORY_HEAD, ids):
        later = f", to be sent at {_iso(row[7])}" if row[7] is not None and row[7] > row[1] else ""
        text = f"accepted by the {row[5]} dialect from {row[6] or '-'}, {row[2]} part(s){later}"
        entries.append(TraceEntry(row[1], "admission", row[0], text, to=row[9]))
    return entries


def _told_part(row: Sequence[Any], adopted: bool) -> list[TraceEntry]:
    """A part's last way to a link, and what the SMSC said. Refusals for now are told by events: a part forgets them."""
    message_id, part_no, link, written_at, answered_at, smsc_id, state, error_source, command_status, since_at, _ = row
    entries = [TraceEntry(written_at, "submit", message_id, f"part {part_no} written to link {link}")]
    if adopted or state == "in_doubt":
        entries.append(TraceEntry(written_at, "doubt", message_id, f"part {part_no} was never answered: in doubt"))
    if adopted:  # the receipt that adopted it gave it its id; no response did
        text = f"part {part_no} in doubt; adopted by a receipt, id {smsc_id!r}"
        entries.append(TraceEntry(answered_at, "doubt", message_id, text))
    elif answered_at is not None:
        text = f"part {part_no} taken by the SMSC as {smsc_id!r}"
        entries.append(TraceEntry(answered_at, "response", message_id, text))
    elif state == "refused" and error_source == "submit":
        text = f"part {part_no} refused, command_status 0x{command_status:02X}"
        entries.append(TraceEntry(max(since_at, written_at), "response", message_id, text))
    return entries


def _told_dispatch(
    parts: Sequence[Sequence[Any]], adopted: set[tuple[str, int]], events: Sequence[Sequence[Any]]
) -> list[TraceEntry]:
    """That the SMSC took every part: kept with the parts alone, unless it was called back (docs/status.md 1)."""
    told = {row[0] for row in events if row[2] == Status.DISPATCHED}
    ends: dict[str, int] = {}
    for row in events:
        if row[2] in FINAL:
            ends.setdefault(row[0], row[1])
    answers: dict[str, list[int]] = {}
    for row in parts:
        if row[4] is not None and (row[0], row[1]) not in adopted:
            answers.setdefault(row[0], []).append(row[4])
    wanted = {row[0]: row[10] for row in parts if row[0] not in told}
    entries = []
    for message_id, count in wanted.items():
        here = answers.get(message_id, [])
        if len(here) == count and max(here) <= ends.get(message_id, max(here)):
            entries.append(TraceEntry(max(here), "status", message_id, "DISPATCHED (accepted)"))
    return entries


def _told_receipts(receipts: Sequence[Sequence[Any]]) -> list[TraceEntry]:
    return [
        TraceEntry(
            row[2],
            "receipt",
            row[0],
            f"receipt for part {row[1]} on link {row[3]}: {row[4]}" + (f" (level {row[5]})" if row[5] else ""),
            row[6],
        )
        for row in receipts
    ]


def _told_event(row: Sequence[Any]) -> list[TraceEntry]:
    message_id, at, status, reason, error_text, command_status = row
    entries = []
    if status == Status.QUEUED and command_status is not None:
        text = f"a part refused for now, command_status 0x{command_status:02X}"
        entries.append(TraceEntry(at, "response", message_id, text))
    error = f", error {error_text}" if error_text else ""
    return [*entries, TraceEntry(at, "status", message_id, f"{status} ({reason}){error}")]


def _told_callbacks(tx: Tx, ids: Sequence[tuple[str]]) -> list[TraceEntry]:
    entries = []
    for row in tx.run(_STORY_CALLBACKS, ids):
        message_id, created_at, last_at, state, attempts, code, error, url, elapsed_ms, status, next_at = row
        tried = "not tried yet"
        if attempts:
            took = f" in {elapsed_ms} ms" if elapsed_ms is not None else ""
            tried = f"{attempts} attempt(s), last: {f'HTTP {code}' if code is not None else error}{took}"
        match state:
            case CallbackState.DONE:
                fate = f"told to {url}"
            case CallbackState.GIVEN_UP:
                fate = f"not told to {url}: given up"
            case _ if attempts:
                fate = f"not told to {url} yet: will be tried again at {_iso(next_at)}"
            case _:
                fate = f"to be told to {url}"
        entries.append(TraceEntry(last_at or created_at, "callback", message_id, f"{status} {fate}; {tried}"))
    return entries


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
