"""Endpoints: their settings, secrets, state and counts, and what operators are told of them (P13, P18).

A row is made when somebody sets something or when the sender first tells what it saw; it tells at most once a second
for each endpoint, so a callback costs no row here. Must not know: when a breaker opens (``kvitto.core.breaker``), how
secrets are sealed (they come and go sealed).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, func, literal, select, update
from sqlalchemy.dialects import postgresql

from kvitto.core.breaker import REST, Breaker
from kvitto.core.endpoint import (
    OVERLAP_MS,
    Endpoint,
    EndpointHealth,
    EndpointState,
    EndpointStats,
    NewEndpoint,
    Profile,
    endpoint_number,
    origin_of,
    parse_endpoint_id,
    show_endpoint_id,
)
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.notices import Notice, write_notices

__all__ = [
    "SEALED",
    "SETTABLE",
    "AccountRotation",
    "EndpointChange",
    "EndpointRotation",
    "EndpointSwitch",
    "change_endpoints",
    "changed_endpoints",
    "create_endpoints",
    "endpoint_rows",
    "endpoint_stats",
    "find_endpoint",
    "read_endpoint",
    "record_endpoints",
    "rotate_account_secrets",
    "rotate_endpoint_secrets",
    "switch_endpoints",
]

_COLUMNS: Final = tuple(column.name for column in t.endpoint.columns)
_LISTS: Final = ("headers", "allow_callbacks_to")
SEALED: Final = ("secret", "old_secret", "password", "client_key_pem")
SETTABLE: Final = (
    "name",
    "url",
    "profile",
    "concurrency",
    "rate",
    "headers",
    "username",
    "password",
    "ca_pem",
    "client_cert_pem",
    "client_key_pem",
    "allow_callbacks_to",
)
_COUNTED_AT_MOST: Final = 100_000


class EndpointChange(NamedTuple):
    """Settings to change, by their names; secrets sealed."""

    account_id: str | None
    endpoint: int
    changes: Mapping[str, object]
    now: int


class EndpointSwitch(NamedTuple):
    """Disable for a reason, or enable (``why`` None)."""

    account_id: str | None
    endpoint: int
    why: str | None
    now: int


class EndpointRotation(NamedTuple):
    """A new secret, sealed."""

    account_id: str | None
    endpoint: int
    secret: str
    now: int


class AccountRotation(NamedTuple):
    """A new callback secret of an account, sealed."""

    name: str
    secret: str
    now: int


def read_endpoint(row: Sequence[Any], unseal: Callable[[str], str]) -> Endpoint:
    """Read a row of all columns, secrets unsealed."""
    values = dict(zip(_COLUMNS, row, strict=False))
    for name in SEALED:
        if values[name] is not None:
            values[name] = unseal(values[name])
    values["headers"] = tuple((name, value) for name, value in msgspec.json.decode(values["headers"]))
    values["allow_callbacks_to"] = tuple(msgspec.json.decode(values["allow_callbacks_to"]))
    values["state"] = EndpointState(values["state"])
    values["profile"] = Profile(values["profile"])
    values["breaker"] = _read_breaker(values["breaker"])
    return Endpoint(**values)


def _read_breaker(text: str | None) -> Breaker:
    if text is None:
        return REST
    slots, failing_since, probe_at, wait_ms = msgspec.json.decode(text)
    return Breaker(tuple((slot[0], slot[1], slot[2]) for slot in slots), failing_since, probe_at, wait_ms)


def _write_breaker(breaker: Breaker) -> str | None:
    return None if breaker == REST else msgspec.json.encode(breaker).decode()


# --- what the sender saw ----------------------------------------------------------------------------------------------

_SEEN: Final[dict[str, Kind]] = {
    "id": Int,
    "account_id": Str,
    "origin": Str,
    "created_at": Int,
    "delivered": Int,
    "failed": Int,
    "last_ok_at": Int,
    "last_failed_at": Int,
    "last_error": Str,
}
_MADE: Final = {
    "changed_at": literal(0, Int),
    "state": literal(str(EndpointState.HEALTHY), Str),
    "profile": literal(str(Profile.DIALECT), Str),
    "headers": literal("[]", Str),
    "allow_callbacks_to": literal("[]", Str),
    "switches": literal(0, Int),
}


def _add(r: Any) -> Any:
    """A row, or its counts added to the one that is there, whoever made it."""
    given = select(*[r.c[name] for name in _SEEN], *_MADE.values()).where(r.c.id.is_not(None))
    made = postgresql.insert(t.endpoint).from_select([*_SEEN, *_MADE], given)
    new, old = made.excluded, t.endpoint.c
    return made.on_conflict_do_update(
        index_elements=[old.id],
        set_={
            "delivered": old.delivered + new.delivered,
            "failed": old.failed + new.failed,
            "last_ok_at": func.coalesce(new.last_ok_at, old.last_ok_at),
            "last_failed_at": func.coalesce(new.last_failed_at, old.last_failed_at),
            "last_error": func.coalesce(new.last_error, old.last_error),
        },
    )


_COUNT: Final = Statement(_add, **_SEEN)
_STATE: Final = Statement(
    lambda r: (
        update(t.endpoint)
        .values(
            state=r.c.state,
            disabled_why=r.c.why,
            disabled_at=r.c.disabled_at,
            breaker=r.c.breaker,
            changed_at=r.c.at,
        )
        .where(
            t.endpoint.c.id == r.c.id,
            t.endpoint.c.state != str(EndpointState.DISABLED),
            t.endpoint.c.switches == r.c.switches,
        )
        .returning(t.endpoint.c.id)
    ),
    id=Int,
    state=Str,
    why=Str,
    disabled_at=Int,
    breaker=Str,
    at=Int,
    switches=Int,
)
"""What somebody has disabled, or enabled since the sender looked, stays as he wants it."""


def record_endpoints(tx: Tx, scope: Scope, items: Sequence[Sequence[EndpointHealth]]) -> list[None]:
    """Add counts, write states, tell operators; see ``CallbackStore.record_endpoints``."""
    seen = [one for item in items for one in item]
    rows: dict[int, list[Any]] = {}
    for one in seen:
        fresh = [one.id, one.account_id, one.origin, one.at, 0, 0, one.last_ok_at, one.last_failed_at, one.last_error]
        row = rows.setdefault(one.id, fresh)
        row[4] += one.delivered
        row[5] += one.failed
        row[6:9] = [one.last_ok_at or row[6], one.last_failed_at or row[7], one.last_error or row[8]]
    if rows:
        tx.run(_COUNT, list(rows.values()))
    states = {one.id: one for one in seen if one.moved}
    if states:
        given = [
            (
                one.id,
                one.state,
                one.disabled_why,
                one.at if one.state is EndpointState.DISABLED else None,
                _write_breaker(one.breaker),
                one.at,
                one.switches,
            )
            for one in states.values()
        ]
        taken = {row[0] for row in tx.run(_STATE, given)}
        write_notices(tx, [_told(one) for one in seen if one.told and one.id in taken])
    return [None] * len(items)


def _told(one: EndpointHealth) -> Notice:
    return Notice(one.account_id, one.at, f"endpoint.{one.told}", one.public_id, one.detail)


# --- what people set --------------------------------------------------------------------------------------------------

_BY_ID: Final = Statement(
    lambda _: select(t.endpoint).where(t.endpoint.c.id == bindparam("of", type_=Int)).with_for_update()
)
_NAME_TAKEN: Final = Statement(
    lambda _: select(t.endpoint.c.id).where(
        t.endpoint.c.account_id == bindparam("account_id", type_=Str),
        t.endpoint.c.name == bindparam("name", type_=Str),
        t.endpoint.c.name.is_not(None),
    )
)
_SETTERS: Final[dict[str, Statement]] = {
    name: Statement(
        lambda _, name=name: (
            update(t.endpoint)  # type: ignore[misc]
            .values({name: bindparam("value", type_=t.endpoint.c[name].type)})
            .where(t.endpoint.c.id == bindparam("of", type_=Int))
        )
    )
    for name in sorted({*SETTABLE, "changed_at", "secret", "old_secret", "old_secret_until"})
}
_SWITCH: Final = Statement(
    lambda _: (
        update(t.endpoint)
        .values(
            state=bindparam("state", type_=Str),
            disabled_why=bindparam("why", type_=Str),
            disabled_at=bindparam("at", type_=Int),
            breaker=None,
            changed_at=bindparam("now", type_=Int),
            switches=t.endpoint.c.switches + 1,
        )
        .where(t.endpoint.c.id == bindparam("of", type_=Int))
    )
)


_STATE_AT: Final = _COLUMNS.index("state")
_HELD: Final = (EndpointState.DISABLED, EndpointState.OPEN)
_SWITCHED: Final = {
    False: ("endpoint.disabled", "is disabled: somebody said so; callbacks wait until it is enabled"),
    True: ("endpoint.enabled", "is enabled again; what waited goes out"),
}


def _row(tx: Tx, endpoint: int, account_id: str | None) -> Any | None:
    rows = tx.run(_BY_ID, of=endpoint)
    if not rows or (account_id is not None and rows[0][1] != account_id):
        return None
    return rows[0]


def _set(tx: Tx, endpoint: int, changes: Mapping[str, object], now: int) -> None:
    for name, value in {**changes, "changed_at": now}.items():
        stored = msgspec.json.encode(value).decode() if name in _LISTS else value
        tx.run(_SETTERS[name], of=endpoint, value=stored)


def create_endpoints(tx: Tx, scope: Scope, items: Sequence[NewEndpoint]) -> list[Any | None]:
    """Make endpoints; returns rows, None where name or origin is taken. Secrets come sealed."""
    return [_create(tx, item) for item in items]


def _create(tx: Tx, new: NewEndpoint) -> Any | None:
    number = endpoint_number(new.account_id, new.url)
    row = _row(tx, number, new.account_id)
    if tx.run(_NAME_TAKEN, account_id=new.account_id, name=new.name) or (row is not None and row[3] is not None):
        return None
    if row is None:
        tx.run(_COUNT, [(number, new.account_id, origin_of(new.url), new.now, 0, 0, None, None, None)])
    _set(tx, number, {**new.settings, "name": new.name, "url": new.url}, new.now)
    return _row(tx, number, new.account_id)


def change_endpoints(tx: Tx, scope: Scope, items: Sequence[EndpointChange]) -> list[Any | None]:
    """Change settings; returns rows, None where there is no such endpoint, or the new name is another's."""
    return [_change(tx, item) for item in items]


def _change(tx: Tx, item: EndpointChange) -> Any | None:
    row = _row(tx, item.endpoint, item.account_id)
    if row is None:
        return None
    name = item.changes.get("name")
    if name is not None and name != row[3] and tx.run(_NAME_TAKEN, account_id=row[1], name=name):
        return None
    _set(tx, item.endpoint, item.changes, item.now)
    return _row(tx, item.endpoint, item.account_id)


def switch_endpoints(tx: Tx, scope: Scope, items: Sequence[EndpointSwitch]) -> list[Any | None]:
    """Disable or enable; returns rows, None where there is no such endpoint."""
    rows = []
    for item in items:
        row = _row(tx, item.endpoint, item.account_id)
        if row is not None:
            state = EndpointState.HEALTHY if item.why is None else EndpointState.DISABLED
            at = None if item.why is None else item.now
            tx.run(_SWITCH, of=item.endpoint, state=str(state), why=item.why, at=at, now=item.now)
            if (row[_STATE_AT] in _HELD) if item.why is None else (row[_STATE_AT] != EndpointState.DISABLED):
                kind, words = _SWITCHED[item.why is None]
                subject = show_endpoint_id(item.endpoint)
                write_notices(tx, [Notice(row[1], item.now, kind, subject, f"{row[2]} {words}")])
        rows.append(_row(tx, item.endpoint, item.account_id))
    return rows


_ACCOUNT_SECRET: Final = Statement(
    lambda _: select(t.account.c.callback_secret).where(t.account.c.id == bindparam("of", type_=Str))
)


def rotate_endpoint_secrets(tx: Tx, scope: Scope, items: Sequence[EndpointRotation]) -> list[Any | None]:
    """Give endpoints new secrets; the ones before, their own or the account's, stay beside them for a day."""
    rows = []
    for item in items:
        row = _row(tx, item.endpoint, item.account_id)
        if row is not None:
            before = row[_COLUMNS.index("secret")]
            if before is None:
                before = next((one[0] for one in tx.run(_ACCOUNT_SECRET, of=row[1])), None)
            changes = {"secret": item.secret, "old_secret": before, "old_secret_until": item.now + OVERLAP_MS}
            _set(tx, item.endpoint, changes, item.now)
            detail = f"{row[2]} has a new secret; {_OVERLAP}"
            subject = show_endpoint_id(item.endpoint)
            write_notices(tx, [Notice(row[1], item.now, "endpoint.secret_rotated", subject, detail)])
        rows.append(_row(tx, item.endpoint, item.account_id))
    return rows


_OVERLAP: Final = f"for {OVERLAP_MS // 3_600_000} hours the one before signs beside it"
_ROTATE_ACCOUNT: Final = Statement(
    lambda _: (
        update(t.account)
        .values(
            old_callback_secret=t.account.c.callback_secret,
            old_secret_until=bindparam("until", type_=Int),
            callback_secret=bindparam("secret", type_=Str),
        )
        .where(t.account.c.name == bindparam("of", type_=Str))
        .returning(t.account.c.id)
    )
)


def rotate_account_secrets(tx: Tx, scope: Scope, items: Sequence[AccountRotation]) -> list[bool]:
    """Give accounts new callback secrets; the ones before stay beside them for a day."""
    found = []
    for item in items:
        rows = tx.run(_ROTATE_ACCOUNT, of=item.name, secret=item.secret, until=item.now + OVERLAP_MS)
        detail = f"callbacks are signed with a new secret; {_OVERLAP}"
        write_notices(tx, [Notice(row[0], item.now, "account.secret_rotated", item.name, detail) for row in rows])
        found.append(bool(rows))
    return found


# --- reading ----------------------------------------------------------------------------------------------------------

_CHANGED: Final = Statement(
    lambda _: select(t.endpoint).where(t.endpoint.c.changed_at >= bindparam("since", type_=Int))
)
_LIST: Final = Statement(
    lambda _: (
        select(t.endpoint)
        .where(t.endpoint.c.id > bindparam("after", type_=Int))
        .order_by(t.endpoint.c.id)
        .limit(bindparam("n", type_=Int))
    )
)
_LIST_OF: Final = Statement(
    lambda _: (
        select(t.endpoint)
        .where(
            t.endpoint.c.account_id == bindparam("account_id", type_=Str),
            t.endpoint.c.id > bindparam("after", type_=Int),
        )
        .order_by(t.endpoint.c.id)
        .limit(bindparam("n", type_=Int))
    )
)
_FETCH: Final = Statement(lambda _: select(t.endpoint).where(t.endpoint.c.id == bindparam("of", type_=Int)))


def changed_endpoints(tx: Tx, since: int) -> list[Any]:
    """Rows that changed at ``since`` or later."""
    return tx.run(_CHANGED, since=since)


def endpoint_rows(tx: Tx, account_id: str | None, limit: int, after: int) -> list[Any]:
    """Rows by rising number."""
    if account_id is None:
        return tx.run(_LIST, after=after, n=limit)
    return tx.run(_LIST_OF, account_id=account_id, after=after, n=limit)


def find_endpoint(tx: Tx, account_id: str | None, which: str) -> Any | None:
    """One row by public id, name or URL; see ``CallbackStore.fetch_endpoint``."""
    number = parse_endpoint_id(which)
    if number is None and account_id is not None:
        named = tx.run(_NAME_TAKEN, account_id=account_id, name=which)
        number = named[0][0] if named else endpoint_number(account_id, which) if origin_of(which) else None
    rows = [] if number is None else tx.run(_FETCH, of=number)
    return rows[0] if rows and account_id in (None, rows[0][1]) else None


def _waiting(condition: Any) -> Any:
    """How many wait, as far as anybody wants to know."""
    rows = select(t.callback.c.id).where(
        t.callback.c.endpoint == bindparam("of", type_=Int), t.callback.c.next_attempt_at.is_not(None), condition
    )
    return select(func.count()).select_from(rows.limit(_COUNTED_AT_MOST).subquery())


_PENDING: Final = Statement(lambda _: _waiting(t.callback.c.next_attempt_at > 0))
_DUE: Final = Statement(lambda _: _waiting(t.callback.c.next_attempt_at <= bindparam("now", type_=Int)))
_NEXT: Final = Statement(
    lambda _: select(func.min(t.callback.c.next_attempt_at)).where(
        t.callback.c.endpoint == bindparam("of", type_=Int), t.callback.c.next_attempt_at.is_not(None)
    )
)


def endpoint_stats(tx: Tx, endpoint: int, now: int) -> EndpointStats:
    """What waits for it."""
    pending, due, next_at = (
        tx.run(statement, **given)[0][0]
        for statement, given in (
            (_PENDING, {"of": endpoint}),
            (_DUE, {"of": endpoint, "now": now}),
            (_NEXT, {"of": endpoint}),
        )
    )
    return EndpointStats(pending, due, next_at)
