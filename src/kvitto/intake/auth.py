"""Who is calling: tokens and passwords to accounts; and the making of new accounts' secrets.

Only hashes are stored: SHA-256, for tokens and passwords are random and long (a slow hash guards guessable ones). A
positive answer is kept for ``KEEP_S``, a negative one never: a new account is known at once, and a changed or disabled
one within a second. What a caller presented is remembered as it came, in memory only, so that it need not be hashed for
every request. Must not know: HTTP, a vendor's words. Next: ``kvitto.intake.doors``.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final, NamedTuple

from kvitto.core.clock import Clock
from kvitto.core.ids import IdMaker, new_secret, new_token
from kvitto.core.model import Account
from kvitto.dialects.base import Credentials, Problem
from kvitto.intake.admit import Denial
from kvitto.store.api import NewAccount, Store

__all__ = ["KEEP_S", "AccountSecrets", "Authenticator", "hash_secret", "mint_account"]

KEEP_S: Final = 1.0
"""Seconds that a looked-up account is believed: what ``account set`` and ``disable`` change is in force after at most
so long."""

_MOST_KEPT: Final = 10_000
"""Accounts kept at once, about 2 KiB each; above, all are forgotten and looked up anew."""

_UNKNOWN: Final = Denial(Problem.UNAUTHORIZED)
_DISABLED: Final = Denial(Problem.ACCOUNT_DISABLED, "the account is disabled")


class AccountSecrets(NamedTuple):
    """What is shown of a new account once, in clear."""

    service_plan_id: str
    api_token: str
    username: str
    password: str
    callback_secret: str


class _Known(NamedTuple):
    account: Account
    password_hash: str
    until: float


def hash_secret(secret: str) -> str:
    """Return what is stored of a token or password: SHA-256, hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def mint_account(name: str, ids: IdMaker, now: int, **settings: object) -> tuple[NewAccount, AccountSecrets]:
    """Make an account with fresh ids and secrets; ``settings`` are fields of ``Account``. Nothing is stored yet."""
    account_id = ids.new()
    secrets = AccountSecrets(
        service_plan_id=new_token(12).replace("-", "A").replace("_", "B").lower(),
        api_token=new_token(),
        username=f"{_username_part(name)}-{account_id[10:22].lower()}",
        password=new_token(),
        callback_secret=new_secret(),
    )
    account = Account(
        id=account_id,
        name=name,
        service_plan_id=secrets.service_plan_id,
        username=secrets.username,
        callback_secret=secrets.callback_secret,
        created_at=now,
        **settings,  # type: ignore[arg-type]  # the caller has checked keys and types
    )
    return NewAccount(account, hash_secret(secrets.api_token), hash_secret(secrets.password)), secrets


def _username_part(name: str) -> str:
    kept = "".join(char for char in name.lower() if char.isascii() and char.isalnum())
    return kept[:20] or "account"


class Authenticator:
    """Finds the account of a caller. ``recall`` answers from memory, ``identify`` asks the store."""

    def __init__(self, store: Store, clock: Clock, on_used: Callable[[str], None] = lambda token_hash: None) -> None:
        """``on_used``: told the hash of a token that was looked up and is good, at most once a second for each."""
        self._store = store
        self._on_used = on_used
        self._clock = clock
        self._tokens: dict[str, _Known] = {}
        self._users: dict[str, _Known] = {}
        self._proven: dict[Credentials | None, _Known] = {}  # None is never a key, but may be asked for

    def recall(self, credentials: Credentials | None) -> Account | Denial | None:
        """Return the account or the refusal, if it can be said without asking; None: ask with ``identify``."""
        proven = self._proven.get(credentials)
        if proven is not None and proven.until > self._clock.monotonic():
            return proven.account
        if credentials is None:
            return _UNKNOWN
        if credentials.token is not None:
            known = self._tokens.get(hash_secret(credentials.token))
        elif credentials.username is not None:
            known = self._users.get(credentials.username)
        else:
            return _UNKNOWN
        if known is None or known.until <= self._clock.monotonic():
            return None
        return self._judge(known, credentials)

    async def identify(self, credentials: Credentials | None) -> Account | Denial:
        """Ask the store. Raises: StoreUnavailable."""
        if credentials is None:
            return _UNKNOWN
        if credentials.token is not None:
            key, kept = hash_secret(credentials.token), self._tokens
            found = await self._store.find_account(token_hash=key)
        elif credentials.username is not None:
            key, kept = credentials.username, self._users
            found = await self._store.find_account(username=key)
        else:
            return _UNKNOWN
        if found is None:
            if kept.pop(key, None) is not None:
                self._proven.clear()
            return _UNKNOWN
        if kept is self._tokens:
            self._on_used(key)
        return self._judge(self._keep(kept, key, found), credentials)

    def _judge(self, known: _Known, credentials: Credentials) -> Account | Denial:
        """As ``_judge``; who passes need not be judged again while the account is believed."""
        judged = _judge(known, credentials)
        if type(judged) is Account:
            if len(self._proven) >= _MOST_KEPT:
                self._proven.clear()
            self._proven[credentials] = known
        return judged

    def _keep(self, kept: dict[str, _Known], key: str, found: tuple[Account, str]) -> _Known:
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        known = kept[key] = _Known(found[0], found[1], self._clock.monotonic() + KEEP_S)
        return known


def _judge(known: _Known, credentials: Credentials) -> Account | Denial:
    """Check what the key of the lookup did not: the password, the plan in the path, and that the account is open."""
    account = known.account
    if credentials.token is None and not _same(known.password_hash, hash_secret(credentials.password or "")):
        return _UNKNOWN
    if credentials.service_plan_id is not None and not _same(account.service_plan_id, credentials.service_plan_id):
        return _UNKNOWN
    return _DISABLED if account.disabled else account


def _same(a: str, b: str) -> bool:
    """Compare without telling by the time it takes how much agrees."""
    return hmac.compare_digest(a.encode(), b.encode("utf-8", "surrogateescape"))
