"""Accounts: their settings and the hashes of their secrets. Must not know: how a token is made or shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, func, insert, literal, select, update

from kvitto.core.model import Account
from kvitto.core.status import Status
from kvitto.store import schema as t
from kvitto.store.api import NewAccount
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.moves import begin_move

__all__ = [
    "SETTABLE",
    "AccountChange",
    "EndedSession",
    "NewSession",
    "Sealer",
    "TokenChange",
    "account_columns",
    "close_sessions",
    "create_accounts",
    "delete_accounts",
    "open_sessions",
    "read_account",
    "rotate_tokens",
    "set_accounts",
]

Sealer = Callable[[str], str]


class AccountChange(NamedTuple):
    """Columns to change, by their names; lists as tuples."""

    name: str
    changes: Mapping[str, object]
    now: int


class EndedSession(NamedTuple):
    """A token to forget, if it is a session's."""

    account_id: str
    token_hash: str


class NewSession(NamedTuple):
    """A further token of an account, until ``expires_at``."""

    account_id: str
    token_hash: str
    now: int
    expires_at: int


class TokenChange(NamedTuple):
    """The only token from now on."""

    name: str
    token_hash: str
    now: int


_LISTS: Final = ("allow_callbacks_to", "allowed_senders", "blocked_numbers", "callback_statuses")
_COLUMNS: Final = (
    "id",
    "name",
    "service_plan_id",
    "username",
    "disabled",
    "callback_url",
    "callback_secret",
    *_LISTS,
    "incoming_url",
    "default_from",
    "max_parts",
    "rate",
    "quota",
    "timezone",
    "retention_days",
    "created_at",
    "callback_dialect",
    "final_only",
    "late_corrections",
    "ack",
    "feed",
    "old_callback_secret",
    "old_secret_until",
    "events_url",
)
SETTABLE: Final = frozenset(_COLUMNS) - {"id", "name", "created_at", "old_callback_secret", "old_secret_until"}


def account_columns() -> tuple[Any, ...]:
    """The columns that ``read_account`` reads."""
    return tuple(t.account.c[name] for name in _COLUMNS)


def read_account(row: Sequence[Any], unseal: Sealer) -> Account:
    """Read an account, its callback secret unsealed."""
    values = dict(zip(_COLUMNS, row, strict=False))
    for name in _LISTS:
        values[name] = tuple(msgspec.json.decode(values[name]))
    values["callback_statuses"] = tuple(Status(word) for word in values["callback_statuses"])
    values["disabled"] = bool(values["disabled"])
    values["final_only"] = bool(values["final_only"])
    if values["late_corrections"] is not None:
        values["late_corrections"] = bool(values["late_corrections"])
    values["callback_secret"] = unseal(values["callback_secret"])
    if values["old_callback_secret"] is not None:
        values["old_callback_secret"] = unseal(values["old_callback_secret"])
    return Account(**values)


_ROW: Final[dict[str, Kind]] = {
    "id": Str,
    "name": Str,
    "service_plan_id": Str,
    "username": Str,
    "password_hash": Str,
    "callback_secret": Str,
    "callback_url": Str,
    "allow_callbacks_to": Str,
    "default_from": Str,
    "allowed_senders": Str,
    "blocked_numbers": Str,
    "max_parts": Int,
    "rate": t.account.c.rate.type,
    "quota": Int,
    "timezone": Str,
    "retention_days": Int,
    "created_at": Int,
    "callback_dialect": Str,
    "final_only": Int,
    "late_corrections": Int,
    "ack": Str,
    "feed": Str,
    "callback_statuses": Str,
    "incoming_url": Str,
    "events_url": Str,
}
_BOOLEANS: Final = ("final_only", "late_corrections")


def _typed(r: Any, name: str) -> Any:
    """A column of the rows given; truth comes as a number, and NULL stays NULL."""
    return r.c[name] == 1 if name in _BOOLEANS else r.c[name]


_INSERT: Final = Statement(
    lambda r: (
        insert(t.account)
        .from_select(
            [*_ROW, "disabled", "next_due_at"],
            select(*[_typed(r, name) for name in _ROW], literal(False), literal(0.0)).where(
                ~select(literal(1)).where(t.account.c.name == r.c.name).exists()
            ),
        )
        .returning(t.account.c.id)
    ),
    **_ROW,
)
_INSERT_TOKEN: Final = Statement(
    lambda r: insert(t.token).from_select(
        ["hash", "account_id", "created_at", "expires_at"],
        select(r.c.hash, r.c.account_id, r.c.now, r.c.expires_at),
    ),
    hash=Str,
    account_id=Str,
    now=Int,
    expires_at=Int,
)


def create_accounts(tx: Tx, scope: Scope, items: Sequence[NewAccount]) -> list[bool]:
    """Store accounts whose names are free; see ``Store.create_account``. Secrets come sealed."""
    return [_create(tx, item) for item in items]


def _create(tx: Tx, new: NewAccount) -> bool:
    one = new.account
    row = (
        one.id,
        one.name,
        one.service_plan_id,
        one.username,
        new.password_hash,
        one.callback_secret,
        one.callback_url,
        msgspec.json.encode(one.allow_callbacks_to).decode(),
        one.default_from,
        msgspec.json.encode(one.allowed_senders).decode(),
        msgspec.json.encode(one.blocked_numbers).decode(),
        one.max_parts,
        one.rate,
        one.quota,
        one.timezone,
        one.retention_days,
        one.created_at,
        one.callback_dialect,
        int(one.final_only),
        None if one.late_corrections is None else int(one.late_corrections),
        one.ack,
        one.feed,
        msgspec.json.encode(one.callback_statuses).decode(),
        one.incoming_url,
        one.events_url,
    )
    if not tx.run(_INSERT, [row]):
        return False
    tx.run(_INSERT_TOKEN, [(new.token_hash, one.id, one.created_at, None)])
    return True


_BY_NAME: Final = Statement(
    lambda _: select(*account_columns()).where(t.account.c.name == bindparam("of", type_=Str)).with_for_update()
)
_SETTERS: Final[dict[str, Statement]] = {
    name: Statement(
        lambda _, name=name: (
            update(t.account)  # type: ignore[misc]
            .values({name: bindparam("value", type_=t.account.c[name].type)})
            .where(t.account.c.name == bindparam("of", type_=Str))
        )
    )
    for name in sorted(SETTABLE)
}


def set_accounts(tx: Tx, scope: Scope, items: Sequence[AccountChange]) -> list[list[Any] | None]:
    """Change settings; returns the row as it now is, None where there is no such account."""
    return [_set(tx, item) for item in items]


def _set(tx: Tx, change: AccountChange) -> list[Any] | None:
    rows = tx.run(_BY_NAME, of=change.name)
    if not rows:
        return None
    for name, value in change.changes.items():
        stored = msgspec.json.encode(value).decode() if name in _LISTS else value
        tx.run(_SETTERS[name], of=change.name, value=stored)
    old_url = rows[0][_COLUMNS.index("callback_url")]
    if old_url is not None and change.changes.get("callback_url", old_url) != old_url:
        begin_move(tx, rows[0][0], old_url, change.now)
    if "rate" in change.changes:
        _space_again(tx, rows[0][0], change.changes["rate"], change.now)
    row: list[Any] = tx.run(_BY_NAME, of=change.name)[0]
    return row


_WAITING: Final = Statement(
    lambda _: (
        select(t.message.c.id)
        .join(t.batch, t.batch.c.id == func.substr(t.message.c.id, 1, 22).concat("0000"))
        .where(
            t.message.c.account_id == bindparam("of", type_=Str),
            t.message.c.due_at.is_not(None),
            t.message.c.due_at > bindparam("now", type_=Int),
            func.coalesce(t.batch.c.send_at, 0) <= bindparam("now", type_=Int),
            t.message.c.attempts == 0,
        )
        .order_by(t.message.c.due_at, t.message.c.id)
    )
)
_MOVE: Final = Statement(
    lambda r: update(t.message).values(due_at=r.c.due_at).where(t.message.c.id == r.c.id), id=Str, due_at=Int
)
_NEXT_DUE: Final = Statement(
    lambda _: (
        update(t.account)
        .values(next_due_at=bindparam("value", type_=t.account.c.next_due_at.type))
        .where(t.account.c.id == bindparam("of", type_=Str))
    )
)


def _space_again(tx: Tx, account_id: str, rate: object, now: int) -> None:
    """A new rate is in force at once: what waits is spaced anew, in its order."""
    step = 1000.0 / float(rate) if isinstance(rate, int | float) and rate else 0.0
    waiting = [row[0] for row in tx.run(_WAITING, of=account_id, now=now)]
    if waiting:
        tx.run(_MOVE, [(message_id, int(now + step * index)) for index, message_id in enumerate(waiting)])
    tx.run(_NEXT_DUE, of=account_id, value=float(now + step * len(waiting)))


_DELETE_ACCOUNT: Final = Statement(
    lambda _: delete(t.account).where(t.account.c.name == bindparam("of", type_=Str)).returning(t.account.c.id)
)
_DELETE_TOKENS: Final = Statement(lambda _: delete(t.token).where(t.token.c.account_id == bindparam("of", type_=Str)))


def delete_accounts(tx: Tx, scope: Scope, items: Sequence[str]) -> list[bool]:
    """Forget accounts and their tokens; see ``Store.delete_account``."""
    results = []
    for name in items:
        gone = tx.run(_DELETE_ACCOUNT, of=name)
        for row in gone:
            tx.run(_DELETE_TOKENS, of=row[0])
        results.append(bool(gone))
    return results


def rotate_tokens(tx: Tx, scope: Scope, items: Sequence[TokenChange]) -> list[bool]:
    """Replace all tokens of accounts; see ``Store.rotate_token``."""
    results = []
    for item in items:
        rows = tx.run(_BY_NAME, of=item.name)
        if rows:
            tx.run(_DELETE_TOKENS, of=rows[0][0])
            tx.run(_INSERT_TOKEN, [(item.token_hash, rows[0][0], item.now, None)])
        results.append(bool(rows))
    return results


_OVER: Final = Statement(
    lambda _: delete(t.token).where(
        t.token.c.account_id == bindparam("of", type_=Str), t.token.c.expires_at <= bindparam("now", type_=Int)
    )
)


_CLOSE: Final = Statement(
    lambda _: delete(t.token).where(
        t.token.c.hash == bindparam("hash", type_=Str),
        t.token.c.account_id == bindparam("of", type_=Str),
        t.token.c.expires_at.is_not(None),
    )
)


def close_sessions(tx: Tx, scope: Scope, items: Sequence[EndedSession]) -> list[None]:
    """Forget tokens that sessions had; see ``Store.close_session``."""
    for item in items:
        tx.run(_CLOSE, of=item.account_id, hash=item.token_hash)
    return [None] * len(items)


def open_sessions(tx: Tx, scope: Scope, items: Sequence[NewSession]) -> list[None]:
    """Store further tokens, and forget those of the same accounts that are over; see ``Store.open_session``."""
    for item in items:
        tx.run(_OVER, of=item.account_id, now=item.now)
        tx.run(_INSERT_TOKEN, [(item.token_hash, item.account_id, item.now, item.expires_at)])
    return [None] * len(items)
