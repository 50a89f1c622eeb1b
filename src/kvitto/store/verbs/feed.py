"""The one-time feed: each ended message's report is read once (docs/status.md 8, ADR 0013, P16).

To take reports is to move rows: out of ``unread``, into one row of ``handing`` that lists them, in one transaction. So
two readers never get the same report, and a page costs the same however many wait. Once the answer is written the
handing is confirmed (deleted); when that cannot be known it is released: the reports are unread again. A process that
died releases at its next start what it was handing over; what a process that never comes back had is released by
whoever reads next, ``LEASE_MS`` later.

The reports themselves are read beside the transaction, on a reading connection. Must not know: JSON of a vendor. Next:
``unread`` beside this file.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select

from kvitto.core.ids import batch_of, message_range
from kvitto.core.model import FeedFilter, MessageView
from kvitto.core.status import Note, Reason, Status
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx, Whole
from kvitto.store.verbs.columns import KIND, REASON, STATUS, read_error
from kvitto.store.verbs.texts import read_extra, read_own

__all__ = [
    "LEASE_MS",
    "STEP",
    "Taken",
    "Wanted",
    "confirm_handings",
    "find_unread",
    "release_handings",
    "reports_of",
    "take_back_handings",
    "take_unread",
    "views_of",
]

LEASE_MS: Final = 600_000
"""How long a process may take to hand reports over: a client that reads no octet for 30 s is cut off long before."""

STEP: Final = 1000
"""Reports looked at in one go where a dialect's own choice decides."""

_END: Final = 1 << 62
_OUT_OF_ORDER_MS: Final = 3_600_000
"""Events are numbered as time goes, but for clocks that were set: so far below an instant nobody looks for it."""


class Wanted(NamedTuple):
    """Take up to ``limit`` of the newest unread reports; or those of ``seqs`` that still are unread."""

    account_id: str
    limit: int
    now: int
    seqs: tuple[int, ...] | None = None


class Taken(NamedTuple):
    """What was taken: numbers and messages, newest first."""

    handing: int | None
    rows: list[tuple[int, str]]


_NEWEST: Final = Statement(
    lambda _: (
        select(t.unread.c.seq, t.unread.c.message_id)
        .where(t.unread.c.account_id == bindparam("account", type_=Str))
        .order_by(t.unread.c.seq.desc())
        .limit(bindparam("n", type_=Int))
        .with_for_update(skip_locked=True)
    )
)
_THESE: Final = Statement(
    lambda r: (
        select(t.unread.c.seq, t.unread.c.message_id)
        .select_from(r.join(t.unread, (t.unread.c.account_id == r.c.account_id) & (t.unread.c.seq == r.c.seq)))
        .with_for_update(of=t.unread, skip_locked=True)
    ),
    account_id=Str,
    seq=Int,
)
_TAKE: Final = Statement(
    lambda r: delete(t.unread).where(
        t.unread.c.account_id == bindparam("account", type_=Str), t.unread.c.seq.in_(select(r.c.seq))
    ),
    seq=Int,
)
_HAND: Final = Statement(
    lambda r: (
        insert(t.handing)
        .from_select(["account_id", "node", "at", "seqs"], select(r.c.account_id, r.c.node, r.c.at, r.c.seqs))
        .returning(t.handing.c.id)
    ),
    account_id=Str,
    node=Str,
    at=Int,
    seqs=Str,
)
_CONFIRM: Final = Statement(lambda r: delete(t.handing).where(t.handing.c.id.in_(select(r.c.id))), id=Int)
_RELEASE: Final = Statement(
    lambda r: (
        delete(t.handing).where(t.handing.c.id.in_(select(r.c.id))).returning(t.handing.c.account_id, t.handing.c.seqs)
    ),
    id=Int,
)
_RELEASE_NODE: Final = Statement(
    lambda _: (
        delete(t.handing)
        .where(t.handing.c.node == bindparam("by", type_=Str))
        .returning(t.handing.c.account_id, t.handing.c.seqs)
    )
)
_RELEASE_OLD: Final = Statement(
    lambda _: (
        delete(t.handing)
        .where(t.handing.c.at <= bindparam("before", type_=Int))
        .returning(t.handing.c.account_id, t.handing.c.seqs)
    )
)


def _is_replaced() -> Any:
    """Whether ``event`` is an end of ``message`` that a late receipt has corrected, for an account that is told so: the
    correction is a report of its own (``changes.Changes``), in the place of this one (R45).
    """
    told = t.message.c.first_times.is_not(None) & t.message.c.first_times.endswith(",true]")
    return told & ((t.event.c.status == str(Status.UNKNOWN)) | (t.event.c.reason == str(Reason.VALIDITY_LOCAL)))


_PUT_BACK: Final = Statement(
    lambda r: insert(t.unread).from_select(
        ["account_id", "seq", "message_id"],
        select(t.event.c.account_id, t.event.c.seq, t.event.c.message_id)
        .select_from(r.join(t.event, t.event.c.seq == r.c.seq).join(t.message, t.message.c.id == t.event.c.message_id))
        .where(~_is_replaced()),
    ),
    seq=Int,
)


def take_unread(tx: Tx, scope: Scope, items: Sequence[Wanted]) -> list[Taken]:
    """Move unread rows into handings; see ``Store.take_reports``."""
    _put_back(tx, tx.run(_RELEASE_OLD, before=max(item.now for item in items) - LEASE_MS))
    return [_take(tx, scope, item) for item in items]


def _take(tx: Tx, scope: Scope, item: Wanted) -> Taken:
    if item.seqs is None:
        found = tx.run(_NEWEST, account=item.account_id, n=item.limit)
    else:
        found = tx.run(_THESE, [(item.account_id, seq) for seq in item.seqs])
        found.sort(key=lambda row: -row[0])
    if not found:
        return Taken(None, [])
    rows = [(row[0], row[1]) for row in found]
    tx.run(_TAKE, [(row[0],) for row in rows], account=item.account_id)
    seqs = msgspec.json.encode([row[0] for row in rows]).decode()
    handing: int = tx.run(_HAND, [(item.account_id, scope.node, item.now, seqs)])[0][0]
    return Taken(handing, rows)


def confirm_handings(tx: Tx, scope: Scope, items: Sequence[int]) -> list[None]:
    """These were handed over for good."""
    tx.run(_CONFIRM, [(one,) for one in items])
    return [None] * len(items)


def release_handings(tx: Tx, scope: Scope, items: Sequence[int]) -> list[None]:
    """These could not be handed over: unread again."""
    _put_back(tx, tx.run(_RELEASE, [(one,) for one in items]))
    return [None] * len(items)


def take_back_handings(tx: Tx, scope: Scope, items: Sequence[None]) -> list[None]:
    """At start: what this node was handing over when it died is unread."""
    _put_back(tx, tx.run(_RELEASE_NODE, by=scope.node))
    return [None] * len(items)


def _put_back(tx: Tx, handings: Sequence[Sequence[Any]]) -> None:
    seqs = [(seq,) for _, text in handings for seq in msgspec.json.decode(text)]
    if seqs:
        tx.run(_PUT_BACK, seqs)


# --- reading ----------------------------------------------------------------------------------------------------------

_ROWS: Final = Statement(
    lambda r: select(
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
        t.message.c.client_id,
        t.message.c.send_at,
        t.message.c.own,
        t.part.c.smsc_message_id,
        t.part.c.link,
        t.message.c.first_final,
        t.message.c.first_times,
    ).select_from(
        r.join(t.message, t.message.c.id == r.c.id).outerjoin(
            t.part,
            (t.part.c.message_id == t.message.c.id) & (t.part.c.part_no == func.coalesce(t.message.c.decided_by, 1)),
        )
    ),
    id=Str,
)
_BATCH_ROWS: Final = Statement(
    lambda r: select(
        t.batch.c.id,
        t.batch.c.client_reference,
        t.batch.c.kind,
        t.batch.c.max_parts,
        t.batch.c.dialect,
        t.batch.c.sender,
        t.batch.c.client_id,
        t.batch.c.extra,
    ).select_from(r.join(t.batch, t.batch.c.id == r.c.id)),
    id=Str,
)
_BELOW: Final = Statement(
    lambda _: (
        select(t.unread.c.seq, t.unread.c.message_id)
        .where(
            t.unread.c.account_id == bindparam("account", type_=Str),
            t.unread.c.seq < bindparam("below", type_=Int),
        )
        .order_by(t.unread.c.seq.desc())
        .limit(bindparam("n", type_=Int))
    )
)
_AMONG: Final = Whole(
    lambda r: (
        select(t.unread.c.seq, t.unread.c.message_id)
        .select_from(
            r.join(t.event, t.event.c.message_id.between(r.c.first, r.c.last)).join(
                t.unread, (t.unread.c.account_id == t.event.c.account_id) & (t.unread.c.seq == t.event.c.seq)
            )
        )
        .where(
            # No key: whose it is would otherwise lead through all that is unread of the account.
            t.event.c.account_id.concat("") == bindparam("account", type_=Str),
            t.unread.c.seq < bindparam("below", type_=Int),
        )
        .order_by(t.unread.c.seq.desc())
        .limit(bindparam("n", type_=Int))
    ),
    first=Str,
    last=Str,
)
_BATCHES: Final = Statement(
    lambda r: (
        select(t.batch.c.id)
        .select_from(r.join(t.batch, t.batch.c.id == r.c.id))
        .where(t.batch.c.account_id == bindparam("account", type_=Str))
    ),
    id=Str,
)
_CLIENTS_BATCHES: Final = Statement(
    lambda r: (
        select(t.batch.c.id)
        .select_from(r.join(t.batch, t.batch.c.client_id.is_not(None) & (t.batch.c.client_id == r.c.id)))
        .where(t.batch.c.account_id == bindparam("account", type_=Str))
    ),
    id=Str,
)
_CLIENTS_MESSAGES: Final = Statement(
    lambda r: (
        select(t.message.c.id)
        .select_from(r.join(t.message, t.message.c.client_id.is_not(None) & (t.message.c.client_id == r.c.id)))
        .where(t.message.c.account_id == bindparam("account", type_=Str))
    ),
    id=Str,
)


def batches_named(tx: Tx, account_id: str, names: Sequence[str]) -> list[str]:
    """The account's batches that these ids mean, ours or the customer's, newest first."""
    rows = [(name,) for name in names]
    found = {
        row[0] for statement in (_BATCHES, _CLIENTS_BATCHES) for row in tx.run(statement, rows, account=account_id)
    }
    return sorted(found, reverse=True)


def messages_named(tx: Tx, account_id: str, names: Sequence[str]) -> list[str]:
    """Messages that these ids may mean: ours as they stand, the customer's as they are found."""
    found = {row[0] for row in tx.run(_CLIENTS_MESSAGES, [(name,) for name in names], account=account_id)}
    return sorted(found.union(names))


def spans(
    tx: Tx, account_id: str, batch_ids: Sequence[str], message_ids: Sequence[str]
) -> list[tuple[str, str]] | None:
    """The ranges of message ids that a filter by ids leaves; None when it names nothing."""
    if not batch_ids and not message_ids:
        return None
    ranges = [message_range(one) for one in batches_named(tx, account_id, batch_ids)]
    if not message_ids:
        return ranges
    ids = messages_named(tx, account_id, message_ids)
    if batch_ids:
        ids = [one for one in ids if any(first <= one <= last for first, last in ranges)]
    return [(one, one) for one in ids]


def find_unread(tx: Tx, account_id: str, wanted: FeedFilter, limit: int) -> tuple[list[int], list[MessageView]]:
    """The newest unread reports that a filter leaves, and their numbers; nothing is taken."""
    among = spans(tx, account_id, wanted.batch_ids, wanted.message_ids)
    if among == []:
        return [], []
    seqs: list[int] = []
    views: list[MessageView] = []
    below, ended_from = _END, wanted.ended_from or 0
    while len(seqs) < limit:
        step = limit - len(seqs) if wanted.keeps is None and wanted.ended_from is None else STEP
        if among is None:
            rows = tx.run(_BELOW, account=account_id, below=below, n=step)
        else:
            rows = tx.run(_AMONG, among, account=account_id, below=below, n=step)
        if not rows:
            break
        below = rows[-1][0]
        found = reports_of(tx, [(row[0], row[1]) for row in rows], first_final=wanted.first_final)
        for seq, view in found:
            if view.since_at >= ended_from and (wanted.keeps is None or wanted.keeps(view)) and len(seqs) < limit:
                seqs.append(seq)
                views.append(view)
        if found and found[-1][1].since_at < ended_from - _OUT_OF_ORDER_MS:
            break
    return seqs, views


_REPLACED: Final = Statement(
    lambda r: (
        select(t.event.c.seq)
        .select_from(r.join(t.event, t.event.c.seq == r.c.seq).join(t.message, t.message.c.id == t.event.c.message_id))
        .where(_is_replaced())
    ),
    seq=Int,
)


def reports_of(tx: Tx, rows: Sequence[tuple[int, str]], *, first_final: bool = False) -> list[tuple[int, MessageView]]:
    """The reports of these ends (number of the event, message) in their order, with their numbers.

    Left out are those of messages that are gone, and those that a correction has replaced since they were found; on
    PostgreSQL one may also have been put back beside its correction.
    """
    views = views_of(tx, [message_id for _, message_id in rows], first_final=first_final)
    found = [(seq, view) for (seq, _), view in zip(rows, views, strict=True) if view is not None]
    corrected = [(seq,) for seq, view in found if Note.LATE in view.notes]
    if first_final or not corrected:
        return found
    replaced = {row[0] for row in tx.run(_REPLACED, corrected)}
    return [(seq, view) for seq, view in found if seq not in replaced]


def views_of(tx: Tx, message_ids: Sequence[str], *, first_final: bool = False) -> list[MessageView | None]:
    """Messages as they stand, or at their first end, in the order asked for; None for one that is gone.

    As ``changes.read_view`` would read them, but each batch is read once: pages are long, and so are most batches.
    """
    batch_ids = {batch_of(one) for one in message_ids}
    batches = {row[0]: _Batch(row) for row in tx.run(_BATCH_ROWS, [(one,) for one in batch_ids])}
    rows = tx.run(_ROWS, [(one,) for one in message_ids])
    found = {row[0]: _view(_at_first_end(row) if first_final and row[20] else row, batches) for row in rows}
    return [found.get(one) for one in message_ids]


def _at_first_end(row: Sequence[Any]) -> Sequence[Any]:
    """The row as it was before a late correction (``changes.read_view`` does the same)."""
    status, reason, *error = msgspec.json.decode(row[20])
    return (*row[:3], status, reason, *msgspec.json.decode(row[21])[:2], *error, *row[12:])


class _Batch:
    """What a page's messages of one batch have in common."""

    __slots__ = ("client_id", "dialect", "extra", "id", "kind", "max_parts", "reference", "sender")

    def __init__(self, row: Sequence[Any]) -> None:
        self.id, self.reference, kind, self.max_parts, self.dialect, self.sender, self.client_id, extra = row
        self.kind = KIND[kind]
        self.extra = read_extra(extra)


def _view(row: Sequence[Any], batches: dict[str, _Batch]) -> MessageView:
    batch = batches[batch_of(row[0])]
    reference, kind, max_parts = batch.reference, batch.kind, batch.max_parts
    sender, extra = batch.sender, batch.extra
    if row[17] is not None:
        own = read_own(row[17])
        reference, kind, max_parts = own.client_reference, own.content.kind, own.content.max_parts
        sender, extra = own.sender, own.extra
    return MessageView(
        row[0],
        batch.id,
        row[1],
        row[2],
        STATUS[row[3]],
        REASON[row[4]],
        row[5],
        row[6],
        read_error(row, 7),
        row[13],
        Note(row[12]) if row[12] else Note.NONE,
        row[14],
        reference,
        kind,
        max_parts,
        batch.dialect,
        sender,
        row[15],
        batch.client_id,
        row[14] if row[16] is None else row[16],
        row[18] or "",
        row[19] or "",
        None,
        extra,
    )
