"""People, their sessions, one-time links, failed sign-ins, and the audit of what they change.

Every verb that changes something takes the ``AuditEntry`` that tells of it and writes both in one transaction.
Must not know: passwords, HTTP. Next: ``kvitto.store.office``.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, literal, or_, select, update

from kvitto.core.users import AuditEntry, Role, Session, User
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx

__all__ = [
    "Failures",
    "Link",
    "NewUser",
    "NewUserSession",
    "SessionChange",
    "UserChange",
    "add_link",
    "audit_page",
    "change_sessions",
    "change_users",
    "count_failures",
    "create_users",
    "end_sessions",
    "failures_of",
    "note",
    "open_user_sessions",
    "record_audit",
    "remove_users",
    "session_row",
    "touch_sessions",
    "use_link",
    "user_row",
    "users_of",
]


class NewUser(NamedTuple):
    """A user to create; ``password_hash`` None: signs in by a link and chooses one."""

    user: User
    password_hash: str | None
    audit: AuditEntry


class UserChange(NamedTuple):
    """Another password, another role; what is None stays. Another password ends the user's sessions but ``keep``."""

    user_id: str
    password_hash: str | None
    role: Role | None
    audit: AuditEntry
    keep: str = ""


class NewUserSession(NamedTuple):
    """A session to open; ``replaces``: the hash of one that ends with it (rotation at sign-in)."""

    hash: str
    user_id: str
    csrf: str
    account_id: str | None
    created_at: int
    expires_at: int
    replaces: str
    audit: AuditEntry


class SessionChange(NamedTuple):
    """What a session looks at: an operator's account, a viewer's wish to see numbers."""

    hash: str
    account_id: str | None
    reveal: bool
    audit: AuditEntry | None


class Link(NamedTuple):
    """A one-time link, known by the hash of its secret."""

    hash: str
    user_id: str
    expires_at: int


class Failures(NamedTuple):
    """Count a failed sign-in under these keys (hashes), or forget them after a good one."""

    keys: tuple[str, ...]
    failed: bool
    now: int
    forget_before: int


def _insert(table: Any, **columns: Kind) -> Statement:
    return Statement(
        lambda r: insert(table).from_select(list(columns), select(*[r.c[name] for name in columns])), **columns
    )


# --- audit ------------------------------------------------------------------------------------------------------------

_AUDIT: Final = _insert(t.audit, at=Int, actor=Str, account_id=Str, action=Str, target=Str, detail=Str)
_AUDIT_PAGE: Final = Statement(
    lambda _: (
        select(
            t.audit.c.id,
            t.audit.c.at,
            t.audit.c.actor,
            t.audit.c.account_id,
            t.audit.c.action,
            t.audit.c.target,
            t.audit.c.detail,
        )
        .where(
            or_(
                bindparam("account", type_=Str).is_(None),
                t.audit.c.account_id == bindparam("account", type_=Str),
            ),
            t.audit.c.id < bindparam("before", type_=Int),
        )
        .order_by(t.audit.c.id.desc())
        .limit(bindparam("n", type_=Int))
    )
)


def record_audit(tx: Tx, scope: Scope, items: Sequence[AuditEntry]) -> list[None]:
    """Keep what somebody changed by another verb."""
    tx.run(_AUDIT, [tuple(one) for one in items])
    return [None] * len(items)


def audit_page(tx: Tx, account_id: str | None, before: int, limit: int) -> list[tuple[int, AuditEntry]]:
    """What was changed, newest first: of one account, or (None) everything."""
    rows = tx.run(_AUDIT_PAGE, account=account_id, before=before, n=limit)
    return [(row[0], AuditEntry(*row[1:])) for row in rows]


def note(tx: Tx, entry: AuditEntry | None) -> None:
    """Keep what a verb beside this one changed, in its transaction."""
    if entry is not None:
        tx.run(_AUDIT, [tuple(entry)])


# --- users ------------------------------------------------------------------------------------------------------------

_USER: Final[dict[str, Kind]] = {
    "id": Str,
    "name": Str,
    "role": Str,
    "account_id": Str,
    "password_hash": Str,
    "created_at": Int,
}
_COLUMNS: Final = tuple(t.app_user.c[name] for name in _USER)
_CREATE: Final = Statement(
    lambda r: (
        insert(t.app_user)
        .from_select(
            list(_USER),
            select(*[r.c[name] for name in _USER]).where(
                ~select(literal(1)).where(t.app_user.c.name == r.c.name).exists()
            ),
        )
        .returning(t.app_user.c.id)
    ),
    **_USER,
)
_SET_PASSWORD: Final = Statement(
    lambda r: update(t.app_user).values(password_hash=r.c.password).where(t.app_user.c.id == r.c.id),
    id=Str,
    password=Str,
)
_SET_ROLE: Final = Statement(
    lambda r: update(t.app_user).values(role=r.c.role).where(t.app_user.c.id == r.c.id), id=Str, role=Str
)
_REMOVE: Final = Statement(
    lambda _: delete(t.app_user).where(t.app_user.c.id == bindparam("of", type_=Str)).returning(t.app_user.c.id)
)
_END_OTHERS: Final = Statement(
    lambda _: delete(t.user_session).where(
        t.user_session.c.user_id == bindparam("of", type_=Str), t.user_session.c.hash != bindparam("keep", type_=Str)
    )
)
_FORGET_LINKS: Final = Statement(
    lambda _: delete(t.sign_in_link).where(t.sign_in_link.c.user_id == bindparam("of", type_=Str))
)
_BY_NAME: Final = Statement(lambda _: select(*_COLUMNS).where(t.app_user.c.name == bindparam("of", type_=Str)))
_BY_ID: Final = Statement(lambda _: select(*_COLUMNS).where(t.app_user.c.id == bindparam("of", type_=Str)))
_USERS: Final = Statement(
    lambda _: (
        select(*_COLUMNS)
        .where(
            or_(bindparam("of", type_=Str).is_(None), t.app_user.c.account_id == bindparam("of", type_=Str)),
        )
        .order_by(t.app_user.c.name)
    )
)


def _read_user(row: Sequence[Any]) -> User:
    return User(row[0], row[1], Role(row[2]), row[3], row[4] is not None, row[5])


def create_users(tx: Tx, scope: Scope, items: Sequence[NewUser]) -> list[bool]:
    """Store users whose names are free; False where one is taken."""
    results = []
    for item in items:
        user = item.user
        row = (user.id, user.name, str(user.role), user.account_id, item.password_hash, user.created_at)
        made = bool(tx.run(_CREATE, [row]))
        if made:
            note(tx, item.audit)
        results.append(made)
    return results


def change_users(tx: Tx, scope: Scope, items: Sequence[UserChange]) -> list[bool]:
    """Change users; False where there is none. Another password ends sessions and links of the user."""
    results = []
    for item in items:
        known = bool(tx.run(_BY_ID, of=item.user_id))
        if known:
            if item.password_hash is not None:
                tx.run(_SET_PASSWORD, [(item.user_id, item.password_hash)])
                tx.run(_END_OTHERS, of=item.user_id, keep=item.keep)
                tx.run(_FORGET_LINKS, of=item.user_id)
            if item.role is not None:
                tx.run(_SET_ROLE, [(item.user_id, str(item.role))])
            note(tx, item.audit)
        results.append(known)
    return results


def remove_users(tx: Tx, scope: Scope, items: Sequence[tuple[str, AuditEntry]]) -> list[bool]:
    """Forget users with their sessions and links."""
    results = []
    for user_id, entry in items:
        gone = bool(tx.run(_REMOVE, of=user_id))
        if gone:
            tx.run(_END_OTHERS, of=user_id, keep="")
            tx.run(_FORGET_LINKS, of=user_id)
            note(tx, entry)
        results.append(gone)
    return results


def user_row(tx: Tx, name: str) -> tuple[User, str | None] | None:
    """A user and the hash of the password."""
    rows = tx.run(_BY_NAME, of=name)
    return (_read_user(rows[0]), rows[0][4]) if rows else None


def users_of(tx: Tx, account_id: str | None) -> list[User]:
    """The users of an account, or (None) all, by name."""
    return [_read_user(row) for row in tx.run(_USERS, of=account_id)]


# --- sessions ---------------------------------------------------------------------------------------------------------

_OPEN: Final[dict[str, Kind]] = {
    "hash": Str,
    "user_id": Str,
    "csrf": Str,
    "account_id": Str,
    "created_at": Int,
    "expires_at": Int,
}
_OPEN_SESSION: Final = Statement(
    lambda r: insert(t.user_session).from_select(
        [*_OPEN, "seen_at", "reveal"], select(*[r.c[name] for name in _OPEN], r.c.created_at, literal(False))
    ),
    **_OPEN,
)
_END: Final = Statement(lambda _: delete(t.user_session).where(t.user_session.c.hash == bindparam("of", type_=Str)))
_END_OLD: Final = Statement(
    lambda _: delete(t.user_session).where(
        t.user_session.c.user_id == bindparam("of", type_=Str),
        t.user_session.c.expires_at <= bindparam("now", type_=Int),
    )
)
_CHANGE: Final = Statement(
    lambda r: (
        update(t.user_session)
        .values(account_id=r.c.account_id, reveal=r.c.reveal == 1)
        .where(t.user_session.c.hash == r.c.hash)
    ),
    hash=Str,
    account_id=Str,
    reveal=Int,
)
_TOUCH: Final = Statement(
    lambda r: update(t.user_session).values(seen_at=r.c.at).where(t.user_session.c.hash == r.c.hash), hash=Str, at=Int
)
_SESSION: Final = Statement(
    lambda _: (
        select(
            *_COLUMNS,
            t.user_session.c.hash,
            t.user_session.c.csrf,
            t.user_session.c.account_id,
            t.user_session.c.reveal,
            t.user_session.c.expires_at,
            t.user_session.c.seen_at,
        )
        .join(t.app_user, t.app_user.c.id == t.user_session.c.user_id)
        .where(
            t.user_session.c.hash == bindparam("of", type_=Str),
            t.user_session.c.expires_at > bindparam("now", type_=Int),
        )
    )
)


def open_user_sessions(tx: Tx, scope: Scope, items: Sequence[NewUserSession]) -> list[None]:
    """Open sessions; what they replace ends, and so does what is over of the same user."""
    for item in items:
        tx.run(_END, of=item.replaces)
        tx.run(_END_OLD, of=item.user_id, now=item.created_at)
        tx.run(_OPEN_SESSION, [tuple(item[:6])])
        note(tx, item.audit)
    return [None] * len(items)


def change_sessions(tx: Tx, scope: Scope, items: Sequence[SessionChange]) -> list[None]:
    """Change what sessions look at."""
    for item in items:
        tx.run(_CHANGE, [(item.hash, item.account_id, int(item.reveal))])
        note(tx, item.audit)
    return [None] * len(items)


def end_sessions(tx: Tx, scope: Scope, items: Sequence[tuple[str, AuditEntry]]) -> list[None]:
    """End sessions."""
    for session_hash, entry in items:
        tx.run(_END, of=session_hash)
        note(tx, entry)
    return [None] * len(items)


def touch_sessions(tx: Tx, scope: Scope, items: Sequence[tuple[str, int]]) -> list[None]:
    """Keep when sessions (hash, ms UTC) were last seen."""
    tx.run(_TOUCH, list(dict(items).items()))
    return [None] * len(items)


def session_row(tx: Tx, session_hash: str, now: int) -> Session | None:
    """A session that is not over, with its user as he is now."""
    rows = tx.run(_SESSION, of=session_hash, now=now)
    if not rows:
        return None
    row = rows[0]
    user = _read_user(row)
    account_id = row[8] if user.role is Role.OPERATOR else user.account_id
    return Session(row[6], user, row[7], account_id, bool(row[9]), row[10], row[11])


# --- one-time links and failures --------------------------------------------------------------------------------------

_ADD_LINK: Final = _insert(t.sign_in_link, hash=Str, user_id=Str, expires_at=Int)
_USE_LINK: Final = Statement(
    lambda _: (
        delete(t.sign_in_link)
        .where(t.sign_in_link.c.hash == bindparam("of", type_=Str))
        .returning(t.sign_in_link.c.user_id, t.sign_in_link.c.expires_at)
    )
)


def add_link(tx: Tx, scope: Scope, items: Sequence[Link]) -> list[None]:
    """Keep links; a user has one at a time."""
    for item in items:
        tx.run(_FORGET_LINKS, of=item.user_id)
        tx.run(_ADD_LINK, [tuple(item)])
    return [None] * len(items)


def use_link(tx: Tx, scope: Scope, items: Sequence[tuple[str, int]]) -> list[User | None]:
    """Use up links (hash, now); the user whose it was, None when it is unknown, used or over."""
    users: list[User | None] = []
    for link_hash, now in items:
        rows = tx.run(_USE_LINK, of=link_hash)
        found = tx.run(_BY_ID, of=rows[0][0]) if rows and rows[0][1] > now else []
        users.append(_read_user(found[0]) if found else None)
    return users


_COUNT_FAILURE: Final = Statement(
    lambda r: (
        update(t.sign_in_failure)
        .values(failures=t.sign_in_failure.c.failures + 1, last_at=r.c.at)
        .where(t.sign_in_failure.c.key == r.c.key)
        .returning(t.sign_in_failure.c.key)
    ),
    key=Str,
    at=Int,
)
_FIRST_FAILURE: Final = Statement(
    lambda r: insert(t.sign_in_failure).from_select(
        ["key", "last_at", "failures"], select(r.c.key, r.c.at, literal(1, Int))
    ),
    key=Str,
    at=Int,
)
_FORGIVE: Final = Statement(
    lambda _: delete(t.sign_in_failure).where(
        or_(
            t.sign_in_failure.c.key == bindparam("of", type_=Str),
            t.sign_in_failure.c.last_at < bindparam("before", type_=Int),
        )
    )
)
_FAILURES: Final = Statement(
    lambda r: (
        select(func.max(t.sign_in_failure.c.failures), t.sign_in_failure.c.key)
        .select_from(r.join(t.sign_in_failure, t.sign_in_failure.c.key == r.c.key))
        .where(t.sign_in_failure.c.last_at >= bindparam("since", type_=Int))
        .group_by(t.sign_in_failure.c.key)
    ),
    key=Str,
)


def count_failures(tx: Tx, scope: Scope, items: Sequence[Failures]) -> list[None]:
    """Count or forget failed sign-ins; what is old is forgotten by the way."""
    for item in items:
        tx.run(_FORGIVE, of="" if item.failed else item.keys[0], before=item.forget_before)
        if item.failed:
            rows = [(key, item.now) for key in item.keys]
            known = {row[0] for row in tx.run(_COUNT_FAILURE, rows)}
            fresh = [row for row in rows if row[0] not in known]
            if fresh:
                tx.run(_FIRST_FAILURE, fresh)
    return [None] * len(items)


def failures_of(tx: Tx, keys: Sequence[str], since: int) -> list[int]:
    """How many sign-ins failed under each key since then."""
    found = {row[1]: row[0] for row in tx.run(_FAILURES, [(key,) for key in keys], since=since)}
    return [found.get(key, 0) for key in keys]
