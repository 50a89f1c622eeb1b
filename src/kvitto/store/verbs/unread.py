"""Which ends enter the one-time feed, and the rows that say so (docs/status.md 8, ADR 0013).

An account's unread reports are rows of (account, number of the event, message), written in the transaction of the end.
``feed`` beside this file takes them. Must not know: readers.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete, insert, literal, select, tuple_

from kvitto.core.model import Feed
from kvitto.store import schema as t
from kvitto.store.statements import Int, Statement, Str, Tx

__all__ = ["ENTERS", "correct", "enter", "enter_given_up", "forget"]

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
_CORRECT: Final = Statement(
    lambda r: insert(t.unread).from_select(
        ["account_id", "seq", "message_id"],
        select(r.c.account_id, r.c.seq, r.c.message_id)
        .select_from(r.join(t.account, t.account.c.id == r.c.account_id))
        .where(t.account.c.late_corrections.is_not(False)),
    ),
    account_id=Str,
    seq=Int,
    message_id=Str,
)
_FORGET: Final = Statement(
    lambda r: delete(t.unread).where(
        tuple_(t.unread.c.account_id, t.unread.c.seq).in_(
            select(t.event.c.account_id, t.event.c.seq)
            .select_from(
                r.join(t.event, t.event.c.message_id == r.c.id).join(t.account, t.account.c.id == t.event.c.account_id)
            )
            .where(t.account.c.late_corrections.is_not(False))
        )
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


def correct(tx: Tx, rows: Sequence[tuple[str, int, str]]) -> None:
    """As ``enter``, for late corrections of ends: where the account wants none, the first ends stand (R45)."""
    tx.run(_CORRECT, rows)


def forget(tx: Tx, message_ids: Sequence[str]) -> None:
    """Ends that are corrected before anybody has read them: only the corrections are still to be read.

    Where the account wants no corrections, its first ends are still to be read.
    """
    tx.run(_FORGET, [(one,) for one in message_ids])


def enter_given_up(tx: Tx, callbacks: Sequence[int]) -> None:
    """What was to be pushed and could not be enters the feed, so that it is not lost."""
    tx.run(_GIVEN_UP, [(one,) for one in callbacks])
