"""People who sign in to the dashboard: users, their roles, sessions, and what is kept of what they change.

An operator looks after the server and sees every account; owner, member and viewer belong to one account and see
nothing else (P21). Must not know: HTTP, how a password is hashed, how rows are kept. Next: ``kvitto.store.office``.
"""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["SYSTEM", "AuditEntry", "Role", "Session", "User"]


class Role(StrEnum):
    """What a user may do. Each of an account's roles may do what the next may, and more."""

    OPERATOR = "operator"  # every account, links, orphans, users
    OWNER = "owner"  # the account: its settings, tokens and users
    MEMBER = "member"  # sends, cancels, replays
    VIEWER = "viewer"  # looks, with numbers masked


class User(NamedTuple):
    """One person. ``account_id`` None: an operator. ``has_password``: False until one is chosen."""

    id: str
    name: str
    role: Role
    account_id: str | None
    has_password: bool
    created_at: int


class Session(NamedTuple):
    """One signed-in browser, known by the hash of its cookie.

    ``csrf``: what every form must bring back. ``account_id``: the account an operator looks at, None for all.
    ``reveal``: whether a viewer has asked to see numbers whole, which is audited. ``seen_at``: the last visit (ms UTC),
    to a minute.
    """

    hash: str
    user: User
    csrf: str
    account_id: str | None
    reveal: bool
    expires_at: int
    seen_at: int


class AuditEntry(NamedTuple):
    """One change, and who made it: ``actor`` is a user's name, or ``SYSTEM``; ``target`` names what was changed.

    ``detail`` says what in words, without secrets, numbers and texts. ``account_id`` None: the server's own.
    """

    at: int
    actor: str
    account_id: str | None
    action: str
    target: str
    detail: str = ""


SYSTEM = "the server"
"""The actor of what the command line or the first start does."""
