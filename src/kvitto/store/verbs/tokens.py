"""API tokens as people look after them: named, listed by their last characters, revoked, or replaced with an overlap.

A token itself is never kept (``kvitto.intake.auth``). Sessions that a dialect opened are tokens too, without a name and
with an end, and are left alone. Must not know: how a token is made. Next: ``kvitto.store.office``.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, or_, select, update

from kvitto.core.users import AuditEntry
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.users import note

__all__ = ["ApiToken", "NewToken", "add_tokens", "revoke_tokens", "tokens_of", "touch_tokens"]


class ApiToken(NamedTuple):
    """One token. ``tail``: its last four characters; None for those that nobody named. Instants in ms UTC."""

    hash: str
    name: str | None
    tail: str | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class NewToken(NamedTuple):
    """A token to add. ``old_until``: all others without an end get this one; None leaves them alone."""

    account_id: str
    hash: str
    name: str
    tail: str
    now: int
    old_until: int | None
    audit: AuditEntry


_ADD: Final = Statement(
    lambda r: insert(t.token).from_select(
        ["hash", "account_id", "created_at", "name", "tail"],
        select(r.c.hash, r.c.account_id, r.c.now, r.c.name, r.c.tail),
    ),
    hash=Str,
    account_id=Str,
    now=Int,
    name=Str,
    tail=Str,
)
_END_OTHERS: Final = Statement(
    lambda _: (
        update(t.token)
        .values(expires_at=bindparam("until", type_=Int))
        .where(t.token.c.account_id == bindparam("of", type_=Str), t.token.c.expires_at.is_(None))
    )
)
_REVOKE: Final = Statement(
    lambda _: (
        delete(t.token)
        .where(t.token.c.account_id == bindparam("of", type_=Str), t.token.c.hash == bindparam("token", type_=Str))
        .returning(t.token.c.hash)
    )
)
_TOUCH: Final = Statement(
    lambda r: update(t.token).values(last_used_at=r.c.at).where(t.token.c.hash == r.c.hash), hash=Str, at=Int
)
_TOKENS: Final = Statement(
    lambda _: (
        select(
            t.token.c.hash,
            t.token.c.name,
            t.token.c.tail,
            t.token.c.created_at,
            t.token.c.expires_at,
            t.token.c.last_used_at,
        )
        .where(
            t.token.c.account_id == bindparam("of", type_=Str),
            or_(t.token.c.expires_at.is_(None), t.token.c.expires_at > bindparam("now", type_=Int)),
        )
        .order_by(t.token.c.created_at.desc(), t.token.c.hash)
        .limit(100)
    )
)


def add_tokens(tx: Tx, scope: Scope, items: Sequence[NewToken]) -> list[None]:
    """Add tokens; those they replace end at ``old_until``."""
    for item in items:
        if item.old_until is not None:
            tx.run(_END_OTHERS, of=item.account_id, until=item.old_until)
        tx.run(_ADD, [(item.hash, item.account_id, item.now, item.name, item.tail)])
        note(tx, item.audit)
    return [None] * len(items)


def revoke_tokens(tx: Tx, scope: Scope, items: Sequence[tuple[str, str, AuditEntry]]) -> list[bool]:
    """Forget tokens (account, hash); False where the account has no such token."""
    results = []
    for account_id, token_hash, entry in items:
        gone = bool(tx.run(_REVOKE, of=account_id, token=token_hash))
        if gone:
            note(tx, entry)
        results.append(gone)
    return results


def touch_tokens(tx: Tx, scope: Scope, items: Sequence[tuple[str, int]]) -> list[None]:
    """Keep when tokens (hash, ms UTC) were used."""
    tx.run(_TOUCH, list(dict(items).items()))
    return [None] * len(items)


def tokens_of(tx: Tx, account_id: str, now: int) -> list[ApiToken]:
    """An account's tokens that are not over, newest first."""
    return [ApiToken(*row) for row in tx.run(_TOKENS, of=account_id, now=now)]
