"""Which ends enter the one-time feed, and the rows that say so (docs/status.md 8, ADR 0013).

An account's unread reports are rows of (account, number of the event, message), written in the transaction of the end.
``feed`` beside this file takes them. Must not know: readers.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import delete, insert, literal, select, tuple_

from kvitto.core.model import Feed
from kvitto.store import schema as t
from kvitto.store.statements import Int, Statement, Str, Tx

__all__ = ["ENTERS", "enter", "enter_given_up", "forget", "who_wants_corrections"]

ENTERS: Final[frozenset[tuple[str, bool]]] = frozenset(
    {
        *[(str(feed), told) for feed in (Feed.OTHER, Feed.OWN) for told in (False, True)],
        (str(Feed.PUSHED), False),  # nobody will be called back about it, so the feed is where it can be found
    }
)
"""(the message's ``feed``, a callback tells it) for all ends that enter; the account's rule is in ``feed`` already
(``kvitto.intake.admit``).
"""

_INSERT: Final = Statement(
    lambda r: insert(t.unread).from_select(
        ["account_id", "seq", "message_id"], select(r.c.account_id, r.c.seq, r.c.message_id)
    ),
    account_id=Str,
    seq=Int,
    message_id=Str,
)
_FORGET: Final = Statement(
    lambda r: delete(t.unread).where(
        tuple_(t.unread.c.account_id, t.unread.c.seq).in_(
            select(t.event.c.account_id, t.event.c.seq).select_from(r.join(t.event, t.event.c.message_id == r.c.id))
        )
    ),
    id=Str,
)
_WANT_CORRECTIONS: Final = Statement(
    lambda r: (
        select(t.account.c.id)
        .select_from(r.join(t.account, t.account.c.id == r.c.id))
        .where(t.account.c.late_corrections.is_not(False))
    ),
    id=Str,
)
_GIVEN_UP: Final = Statement(
    lambda r: insert(t.unread).from_select(
        ["account_id", "seq", "message_id"],
        select(t.event.c.account_id, t.event.c.seq, t.event.c.message_id)
        .select_from(
            r.join(t.callback, t.callback.c.id == r.c.id)
            .join(t.event, t.event.c.seq == t.callback.c.id)
            .join(t.message, t.message.c.id == t.event.c.message_id)
            .join(t.batch, t.batch.c.id == t.callback.c.batch_id)
            .join(t.account, t.account.c.id == t.event.c.account_id)
        )
        .where(
            t.callback.c.tells == "message",
            t.event.c.status != "QUEUED",
            t.event.c.status != "DISPATCHED",
            t.account.c.feed != "all",  # there it entered when it ended
            _is_pushed(),
            ~select(literal(1))
            .where(t.unread.c.account_id == t.event.c.account_id, t.unread.c.seq == t.event.c.seq)
            .exists(),
        ),
    ),
    id=Int,
)


def _is_pushed() -> Any:
    """The message's own word, else its batch's; its own is JSON, in which the word stands once."""
    own = t.message.c.own
    pushed = f'"feed":"{Feed.PUSHED}"'
    return (own.is_(None) & (t.batch.c.feed == str(Feed.PUSHED))) | own.contains(pushed, autoescape=True)


def enter(tx: Tx, rows: Sequence[tuple[str, int, str]]) -> None:
    """Let ends into the feed: (account, number of the event, message)."""
    tx.run(_INSERT, rows)


def who_wants_corrections(tx: Tx, account_ids: Collection[str]) -> frozenset[str]:
    """Those of the accounts for which a late correction is a report (R45); to the others the first ends stand."""
    return frozenset(row[0] for row in tx.run(_WANT_CORRECTIONS, [(one,) for one in sorted(account_ids)]))


def forget(tx: Tx, message_ids: Sequence[str]) -> None:
    """No end of these messages is to be read any more: their corrections are, or the messages are gone."""
    tx.run(_FORGET, [(one,) for one in message_ids])


def enter_given_up(tx: Tx, callbacks: Sequence[int]) -> None:
    """What was to be pushed and could not be enters the feed, so that it is not lost."""
    tx.run(_GIVEN_UP, [(one,) for one in callbacks])
