"""Signing in: passwords (argon2), one-time links, sessions, and how often one may fail.

A session is a random cookie; the store has its hash. A new one is made at each sign-in and the one before it ends.
Failed attempts are counted under the name together with the address, under the address, and under the name, in the
store, so that a restart or a second node forgets nothing. A wrong name costs as long as a wrong password.

Must not know: pages. Next: ``kvitto.dashboard.door``.
"""

import asyncio
import hashlib
from typing import Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from kvitto.core.ids import new_token
from kvitto.core.users import SYSTEM, AuditEntry, Role, Session, User
from kvitto.dashboard.web import COOKIE, Answer, Visit
from kvitto.store.office import Failures, Link, NewUser, NewUserSession, Office

__all__ = [
    "LEAST_PASSWORD",
    "LINK_MS",
    "MOST_FAILURES",
    "Opened",
    "add_user",
    "hash_of",
    "hash_password",
    "is_sign_of_life",
    "make_link",
    "name_problem",
    "open_session",
    "password_problem",
    "session_of",
    "sign_in",
    "with_cookie",
]

LEAST_PASSWORD: Final = 10
MOST_PASSWORD: Final = 200
MOST_NAME: Final = 64
LINK_MS: Final = 24 * 3_600_000
"""How long a one-time link works."""
FAILURES_MS: Final = 15 * 60_000
"""Failed attempts are remembered so long after the last of them."""
SEEN_MS: Final = 60_000
"""How exactly it is kept when a session was last seen."""
MOST_FAILURES: Final = (5, 50, 100)
"""Failed attempts within that time: for one name from one address, for one address, for one name."""

_hasher: Final = PasswordHasher()
_NOBODY: Final = _hasher.hash("nobody's password")


class Opened(NamedTuple):
    """A session just opened: what goes into the cookie, and whose it is."""

    secret: str
    user: User


class Throttled(NamedTuple):
    """Too many attempts failed."""

    after_s: int = FAILURES_MS // 1000


def hash_of(secret: str) -> str:
    """What is stored of a cookie, a link or a key: SHA-256, hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


async def hash_password(password: str) -> str:
    """Hash a password with argon2id, beside the event loop: it takes a tenth of a second and 64 MiB."""
    return await asyncio.to_thread(_hasher.hash, password)


async def _fits(password_hash: str | None, password: str) -> bool:
    """Compare, and take as long for a user who is not there."""

    def verify() -> bool:
        try:
            return _hasher.verify(password_hash or _NOBODY, password)
        except (Argon2Error, InvalidHashError):
            return False

    return await asyncio.to_thread(verify) and password_hash is not None


def password_problem(password: str, again: str | None = None) -> str:
    """What is wrong with a password that somebody chose; "" for nothing."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        return f"A password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters."
    return "The two passwords differ." if again is not None and again != password else ""


def name_problem(name: str) -> str:
    """What is wrong with the name of a new user; "" for nothing. It stands in paths, where a browser resolves dots."""
    if not 0 < len(name) <= MOST_NAME or not name.isprintable() or set(name) & set("/ ") or name in (".", ".."):
        return f"A name has 1 to {MOST_NAME} characters, without spaces and slashes, and is no dot or two."
    return ""


async def sign_in(office: Office, visit: Visit, session_ms: int) -> Opened | Throttled | None:
    """Sign in by name and password; None when they do not fit."""
    name = visit.form.get("name", "").strip().lower()[:200]
    password = visit.form.get("password", "")[: MOST_PASSWORD + 1]
    keys = tuple(hash_of(key) for key in (f"both {visit.peer} {name}", f"peer {visit.peer}", f"name {name}"))
    failures = await office.failures(keys, visit.now - FAILURES_MS)
    if any(count >= most for count, most in zip(failures, MOST_FAILURES, strict=True)):
        return Throttled()
    found = await office.find_user(name)
    good = await _fits(found[1] if found else None, password)
    await office.count_failures(Failures(keys, not good, visit.now, visit.now - FAILURES_MS))
    if not good or found is None:
        return None
    return await open_session(office, visit, found[0], session_ms, "signed in")


async def open_session(office: Office, visit: Visit, user: User, session_ms: int, how: str) -> Opened:
    """Open a session in the place of the one that the browser had."""
    secret = new_token(32)
    entry = AuditEntry(visit.now, user.name, user.account_id, "sign-in", user.name, how)
    old = visit.cookies.get(COOKIE, "")
    new = NewUserSession(
        hash_of(secret),
        user.id,
        new_token(24),
        user.account_id,
        visit.now,
        visit.now + session_ms,
        hash_of(old) if old else "",
        entry,
    )
    await office.open_session(new)
    return Opened(secret, user)


def with_cookie(answer: Answer, visit: Visit, secret: str, age_s: int, prefix: str) -> Answer:
    """Give the browser the session's cookie, or ("" and 0) take it away. Never readable by scripts."""
    fields = [f"{COOKIE}={secret}", f"Path={prefix or '/'}", f"Max-Age={age_s}", "HttpOnly", "SameSite=Lax"]
    if visit.secure:
        fields.append("Secure")
    return answer.with_headers(("Set-Cookie", "; ".join(fields)))


async def make_link(office: Office, user_id: str, now: int, audit: AuditEntry | None = None) -> str:
    """A one-time link's secret; the one before it is void."""
    secret = new_token(32)
    await office.add_link(Link(hash_of(secret), user_id, now + LINK_MS), audit)
    return secret


async def add_user(
    office: Office,
    user_id: str,
    name: str,
    role: Role,
    account_id: str | None,
    now: int,
    *,
    actor: str = SYSTEM,
    password_hash: str | None = None,
) -> User | None:
    """Create a user; None when the name is taken."""
    user = User(user_id, name.strip().lower(), role, account_id, password_hash is not None, now)
    entry = AuditEntry(now, actor, account_id, "user.add", user.name, f"as {role}")
    return user if await office.create_user(NewUser(user, password_hash, entry)) else None


def session_of(found: Session | None, now: int, idle_ms: int) -> Session | None:
    """The session, if its user may still be here: seen not too long ago, and an account's user has an account."""
    if found is None or now - found.seen_at >= idle_ms:
        return None
    return found if found.user.role is Role.OPERATOR or found.user.account_id is not None else None


def is_sign_of_life(session: Session, now: int, idle_ms: int) -> bool:
    """Whether a visit now is worth keeping: a minute after the last that was, or sooner where idle times are short."""
    return now - session.seen_at >= min(SEEN_MS, idle_ms // 4)
