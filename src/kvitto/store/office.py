"""What the dashboard asks of the store beside ``kvitto.store.api``: people, audit, counts, and looking things up.

Verbs that change something are put on their way to a transaction as the store's others are: the future resolves after
the commit. Each takes the ``AuditEntry`` that tells of it, and both are stored or neither.

Must not know: HTTP, pages. Next: ``kvitto.store.verbs.users``, ``kvitto.store.verbs.tallies``,
``kvitto.store.verbs.lookup``.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any, Final

from kvitto.core.users import AuditEntry, Session, User
from kvitto.store.audited import kept
from kvitto.store.commits import Verb
from kvitto.store.verbs import lookup, tallies, tokens, users
from kvitto.store.verbs.lookup import Found, FullMessage, Look, Row
from kvitto.store.verbs.tallies import EVERYBODY, Tally
from kvitto.store.verbs.tokens import ApiToken, NewToken
from kvitto.store.verbs.users import Failures, Link, NewUser, NewUserSession, SessionChange, UserChange

__all__ = [
    "EVERYBODY",
    "ApiToken",
    "Failures",
    "Found",
    "FullMessage",
    "Link",
    "Look",
    "NewToken",
    "NewUser",
    "NewUserSession",
    "Office",
    "Row",
    "SessionChange",
    "Tally",
    "UserChange",
]

_CREATE: Final = Verb("create_user", 14, users.create_users)
_CHANGE: Final = Verb("change_user", 15, users.change_users)
_REMOVE: Final = Verb("remove_user", 16, users.remove_users)
_ADD_LINK: Final = Verb("add_sign_in_link", 17, users.add_link)
_USE_LINK: Final = Verb("use_sign_in_link", 17, users.use_link)
_FAILURES: Final = Verb("count_sign_in_failures", 18, users.count_failures)
_OPEN: Final = Verb("open_user_session", 19, users.open_user_sessions)
_LOOK_AT: Final = Verb("change_user_session", 19, users.change_sessions)
_END: Final = Verb("end_user_session", 19, users.end_sessions)
_TOUCH_SESSION: Final = Verb("touch_user_session", 72, users.touch_sessions)
_ADD_TOKEN: Final = Verb("add_token", 13, tokens.add_tokens)
_REVOKE_TOKEN: Final = Verb("revoke_token", 13, tokens.revoke_tokens)
_TOUCH_TOKEN: Final = Verb("touch_token", 72, tokens.touch_tokens)
_AUDIT: Final = Verb("record_audit", 71, users.record_audit)
_FORGET: Final = Verb("forget_tallies", 81, tallies.forget_tallies)

_Put = Callable[[Verb, Any], "Future[Any]"]
_Read = Callable[..., "Future[Any]"]


class Office:
    """The dashboard's verbs over one store; made by the store itself (``SqlStore.office``)."""

    def __init__(self, put: _Put, read: _Read) -> None:
        self._put = put
        self._read = read

    # --- people ------------------------------------------------------------------------------------------------------

    def create_user(self, new: NewUser) -> "Future[bool]":
        """Store a user; False if the name is taken."""
        return self._put(_CREATE, new)

    def change_user(self, change: UserChange) -> "Future[bool]":
        """Another password or role; another password ends the user's other sessions. False: no such user."""
        return self._put(_CHANGE, change)

    def remove_user(self, user_id: str, audit: AuditEntry) -> "Future[bool]":
        """Forget a user, with sessions and links. False: no such user."""
        return self._put(_REMOVE, (user_id, audit))

    async def find_user(self, name: str) -> tuple[User, str | None] | None:
        """A user by name, and the hash of the password."""
        found: tuple[User, str | None] | None = await self._read(users.user_row, name)
        return found

    async def list_users(self, account_id: str | None) -> list[User]:
        """The users of an account; None: all."""
        found: list[User] = await self._read(users.users_of, account_id)
        return found

    def add_link(self, link: Link, audit: AuditEntry | None = None) -> "Future[None]":
        """Keep a one-time link; an older one of the same user is void."""
        return self._put(*kept(_ADD_LINK, link, audit, always=True))

    def use_link(self, link_hash: str, now: int) -> "Future[User | None]":
        """Use a link up; None when it is unknown, used or over."""
        return self._put(_USE_LINK, (link_hash, now))

    def count_failures(self, failures: Failures) -> "Future[None]":
        """Count a failed sign-in, or forget those of the first key after a good one."""
        return self._put(_FAILURES, failures)

    async def failures(self, keys: Sequence[str], since: int) -> list[int]:
        """Failed sign-ins under each key since then."""
        found: list[int] = await self._read(users.failures_of, keys, since)
        return found

    def open_session(self, new: NewUserSession) -> "Future[None]":
        """Open a session in the place of another."""
        return self._put(_OPEN, new)

    def change_session(self, change: SessionChange) -> "Future[None]":
        """Change what a session looks at."""
        return self._put(_LOOK_AT, change)

    def end_session(self, session_hash: str, audit: AuditEntry) -> "Future[None]":
        """End a session."""
        return self._put(_END, (session_hash, audit))

    def touch_session(self, session_hash: str, now: int) -> "Future[None]":
        """Keep that somebody was there."""
        return self._put(_TOUCH_SESSION, (session_hash, now))

    async def find_session(self, session_hash: str, now: int) -> Session | None:
        """A session that is not over, its user as he is now."""
        found: Session | None = await self._read(users.session_row, session_hash, now)
        return found

    def record_audit(self, entry: AuditEntry) -> "Future[None]":
        """Keep what was changed by a verb that takes no entry itself (a batch sent or cancelled by the desk), or what
        changes nothing here. Asked for in the same turn of the loop as that verb, it mostly shares its transaction.
        """
        return self._put(_AUDIT, entry)

    async def audit(self, account_id: str | None, before: int, limit: int) -> list[tuple[int, AuditEntry]]:
        """What was changed, newest first; ``account_id`` None: everywhere."""
        found: list[tuple[int, AuditEntry]] = await self._read(users.audit_page, account_id, before, limit)
        return found

    # --- API tokens --------------------------------------------------------------------------------------------------

    def add_token(self, new: NewToken) -> "Future[None]":
        """Add a token; those that it replaces end at ``old_until``."""
        return self._put(_ADD_TOKEN, new)

    def revoke_token(self, account_id: str, token_hash: str, audit: AuditEntry) -> "Future[bool]":
        """Forget a token. False: the account has none such."""
        return self._put(_REVOKE_TOKEN, (account_id, token_hash, audit))

    def touch_token(self, token_hash: str, now: int) -> "Future[None]":
        """Keep that a token was used."""
        return self._put(_TOUCH_TOKEN, (token_hash, now))

    async def tokens(self, account_id: str, now: int) -> list[ApiToken]:
        """An account's tokens that are not over, newest first."""
        found: list[ApiToken] = await self._read(tokens.tokens_of, account_id, now)
        return found

    # --- counts ------------------------------------------------------------------------------------------------------

    async def tallies(self, account_id: str, since: int) -> list[Tally]:
        """What stands now and the minutes since then, of an account or ``EVERYBODY``."""
        found: list[Tally] = await self._read(tallies.tallies_since, account_id, since)
        return found

    def forget_tallies(self, before: int) -> "Future[None]":
        """Forget minutes before the given one."""
        return self._put(_FORGET, before)

    # --- looking things up -------------------------------------------------------------------------------------------

    async def search(self, look: Look) -> Found:
        """A page of messages, newest first; bounded in what it reads (``kvitto.store.verbs.lookup``)."""
        found: Found = await self._read(lookup.search, look)
        return found

    async def message(self, account_id: str | None, message_id: str) -> FullMessage | None:
        """One message with everything that is known of it; of this account, or (None) of any."""
        found: FullMessage | None = await self._read(lookup.full_message, account_id, message_id)
        return found

    async def callbacks(self, account_id: str | None, before: int, limit: int) -> list[lookup.CallbackRow]:
        """Callbacks, newest first."""
        found: list[lookup.CallbackRow] = await self._read(lookup.callback_page, account_id, before, limit)
        return found

    async def batches(self, account_id: str | None, before: str, limit: int) -> list[lookup.BatchRow]:
        """Batches, newest first, before this id."""
        found: list[lookup.BatchRow] = await self._read(lookup.batch_rows, account_id, before, limit)
        return found

    async def batch_owner(self, batch_id: str) -> str | None:
        """The account of a batch."""
        found: str | None = await self._read(lookup.batch_owner, batch_id)
        return found

    async def recipients(self, batch_id: str, after: str, limit: int) -> list[Row]:
        """Messages of a batch in the order sent, after this message id."""
        found: list[Row] = await self._read(lookup.recipients, batch_id, after, limit)
        return found
