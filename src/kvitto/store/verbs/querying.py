"""Parts that are worth one question before their wait for a receipt ends (R52).

A link with ``query`` asks the SMSC once, by ``query_sm``, for each part that was accepted and has no end when the wait
of R44 is nearly over. That it was asked is written down before anything is sent, so no crash makes it ask twice. Must
not know: PDUs. Next: ``overdue`` beside this file, ``kvitto.dispatch.querying``.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, literal_column, select, update

from kvitto.core.model import PartKey
from kvitto.core.status import FINAL, PartState
from kvitto.store import schema as t
from kvitto.store.api import QueryDue
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.columns import batch_key
from kvitto.store.verbs.texts import read_content, read_own

__all__ = ["QueryClaim", "claim_queries"]


class QueryClaim(NamedTuple):
    """What a link may ask for: accepted parts whose wait ends before ``before_at``; ``expired_before``: as the wait is
    counted from the validity's end, those whose validity ended before this (both ms UTC). At most ``limit``.
    """

    link: str
    before_at: int
    expired_before: int
    now: int
    limit: int


_DUE: Final = Statement(
    lambda _: (
        select(
            t.part.c.message_id,
            t.part.c.part_no,
            t.part.c.grp,
            t.part.c.smsc_message_id,
            t.message.c.recipient,
            t.batch.c.sender,
            t.batch.c.content,
            t.message.c.own,
        )
        .select_from(
            t.message.join(t.part, t.part.c.message_id == t.message.c.id).join(
                t.batch, t.batch.c.id == batch_key(t.message.c.id)
            )
        )
        .where(
            t.message.c.deadline_at.is_not(None),
            t.message.c.deadline_at <= bindparam("before", type_=Int),
            # What a message has of its own is JSON: for it the deadline alone decides.
            (t.batch.c.expire_at <= bindparam("expired", type_=Int)) | t.message.c.own.is_not(None),
            t.part.c.link == bindparam("link", type_=Str),
            t.part.c.state == str(PartState.ACCEPTED),
            t.part.c.smsc_message_id.is_not(None),
            t.part.c.queried_at.is_(None),
            # A lone part's own status stays as it was written: what counts is its message's, and that has a deadline.
            t.part.c.status.not_in([literal_column(f"'{status}'") for status in sorted(FINAL)]),
        )
        .order_by(t.message.c.deadline_at, t.part.c.message_id, t.part.c.part_no)
        .limit(bindparam("n", type_=Int))
    )
)
_ASKED: Final = Statement(
    lambda r: (
        update(t.part)
        .values(queried_at=r.c.at)
        .where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no, t.part.c.queried_at.is_(None))
        .returning(t.part.c.message_id, t.part.c.part_no)
    ),
    id=Str,
    no=Int,
    at=Int,
)


def claim_queries(tx: Tx, scope: Scope, items: Sequence[QueryClaim]) -> list[list[QueryDue]]:
    """Note that these are being asked for; see ``Store.claim_queries``."""
    return [_claim(tx, item) for item in items]


def _claim(tx: Tx, item: QueryClaim) -> list[QueryDue]:
    rows = tx.run(_DUE, before=item.before_at, expired=item.expired_before, link=item.link, n=item.limit)
    if not rows:
        return []
    # Two nodes with one link's name may have found the same: who writes first asks.
    mine = {tuple(row) for row in tx.run(_ASKED, [(row[0], row[1], item.now) for row in rows])}
    return [_due(row) for row in rows if (row[0], row[1]) in mine]


def _due(row: Sequence[Any]) -> QueryDue:
    sender, content = row[5], read_content(row[6])
    if row[7] is not None:
        sender, content = (own := read_own(row[7])).sender, own.content
    return QueryDue(
        PartKey(row[0], row[1]), row[2], row[3], row[4], sender or "", content.source_ton, content.source_npi
    )
