"""Where callbacks go, as things of their own: what an endpoint is called, how it is set, how it fares (P12, P13).

An endpoint is an account's origin: scheme, host and port. So URLs that differ from message to message make one queue,
one breaker and one secret. It exists as soon as a callback goes there (``named`` False) or when somebody makes it; its
number follows from account and origin alone, so nobody has to look it up.

Must not know: HTTP, the store, how a request is signed. Next: ``kvitto.core.breaker``, ``kvitto.callbacks.outbox``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from kvitto.core.breaker import REST, Breaker
from kvitto.core.model import Account
from kvitto.core.urls import BadUrl, parse_target

__all__ = [
    "OVERLAP_MS",
    "DisabledWhy",
    "Endpoint",
    "EndpointHealth",
    "EndpointState",
    "EndpointStats",
    "NewEndpoint",
    "Profile",
    "endpoint_number",
    "origin_of",
    "parse_endpoint_id",
    "secrets_of",
    "show_endpoint_id",
]

OVERLAP_MS: Final = 86_400_000
"""After a rotation the old secret signs beside the new one for a day (P18)."""

_PREFIX: Final = "ep_"
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS: Final = 13
_BITS: Final = 63


class EndpointState(StrEnum):
    """How an endpoint fares. Only two of them hold callbacks back: open and disabled."""

    HEALTHY = "healthy"
    FAILING = "failing"  # the last attempt failed; the schedule goes on
    OPEN = "open"  # the breaker is open: a probe now and then, everything else waits
    DISABLED = "disabled"  # nothing is posted until somebody enables it


class DisabledWhy(StrEnum):
    """Why an endpoint is disabled."""

    FAILING = "failing"  # for five days
    GONE = "gone"  # it answered 410, under the standard profile
    OPERATOR = "operator"  # somebody said so


class Profile(StrEnum):
    """When an endpoint is tried again, where that is not its dialect's (docs/promises.md P10)."""

    DIALECT = "dialect"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint: settings, secrets in clear, state and counts. Instants in ms UTC, None for never.

    ``id``: its number. ``name``, ``url``: given when it was made on purpose. ``secret``: its own; None: the account's
    ``callback_secret``. ``old_secret`` counts until ``old_secret_until``. ``concurrency``: posts at once, ``rate``:
    posts a second; None: the house's. ``headers``: added to each request. ``username``, ``password``: for Basic
    authentication. ``ca_pem``, ``client_cert_pem``, ``client_key_pem``: PEM. ``allow_callbacks_to``: CIDRs, beside the
    account's.
    ``delivered``, ``failed``: attempts since it is known, to the second. ``switches``: times somebody disabled or
    enabled it.
    """

    id: int
    account_id: str
    origin: str
    name: str | None = None
    url: str | None = None
    created_at: int = 0
    changed_at: int = 0
    state: EndpointState = EndpointState.HEALTHY
    disabled_why: str | None = None
    disabled_at: int | None = None
    breaker: Breaker = REST
    secret: str | None = None
    old_secret: str | None = None
    old_secret_until: int | None = None
    profile: Profile = Profile.DIALECT
    concurrency: int | None = None
    rate: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    username: str | None = None
    password: str | None = None
    ca_pem: str | None = None
    client_cert_pem: str | None = None
    client_key_pem: str | None = None
    allow_callbacks_to: tuple[str, ...] = ()
    delivered: int = 0
    failed: int = 0
    last_ok_at: int | None = None
    last_failed_at: int | None = None
    last_error: str | None = None
    switches: int = 0

    @property
    def public_id(self) -> str:
        """How it is called outside: ``ep_`` and 13 characters."""
        return show_endpoint_id(self.id)

    @property
    def named(self) -> bool:
        """Whether somebody made it; False for one that came of a batch's URL."""
        return self.name is not None


class NewEndpoint(NamedTuple):
    """An endpoint to make, or an implicit one to give a name: ``url`` tells its origin. ``settings``: as for
    ``set_endpoint``.
    """

    account_id: str
    name: str
    url: str
    now: int
    settings: Mapping[str, object]


class EndpointHealth(NamedTuple):
    """What the sender saw at one endpoint since it last told: counts to add, and how it now stands.

    ``moved``: state or breaker are to be written, too. ``told``: the word of an operator event to write with that, ""
    for none; ``detail``: its text. ``switches``: those that it knew of; where somebody has disabled or enabled the
    endpoint since, his word stands, and nothing is told.
    """

    id: int
    account_id: str
    origin: str
    at: int
    delivered: int
    failed: int
    state: EndpointState
    disabled_why: str | None
    breaker: Breaker
    last_ok_at: int | None
    last_failed_at: int | None
    last_error: str | None
    moved: bool = False
    told: str = ""
    detail: str = ""
    switches: int = 0

    @property
    def public_id(self) -> str:
        """How the endpoint is called outside."""
        return show_endpoint_id(self.id)


class EndpointStats(NamedTuple):
    """What waits for one endpoint now. ``due``: could be posted at once; ``next_at``: when the next one falls due."""

    pending: int
    due: int
    next_at: int | None


def origin_of(url: str) -> str:
    """Return ``scheme://host:port`` of a callback URL, in one form for all ways to write it; "" for no such URL."""
    end = len(url)
    for mark in "/?#":
        at = url.find(mark, 8, end)
        if at >= 0:
            end = at
    return _origin(url[:end])


@lru_cache(maxsize=8192)
def _origin(beginning: str) -> str:
    target = parse_target(beginning)
    if isinstance(target, BadUrl):
        return ""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.scheme}://{host}:{target.port}"


def endpoint_number(account_id: str, url: str) -> int:
    """Return the number of the endpoint that callbacks of this account to this URL go to: 63 bits, the same always."""
    return _number(account_id, origin_of(url))


@lru_cache(maxsize=8192)
def _number(account_id: str, origin: str) -> int:
    digest = hashlib.blake2b(f"{account_id} {origin}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - _BITS)


def show_endpoint_id(number: int) -> str:
    """Return an endpoint's number as people see it."""
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(5 * (_DIGITS - 1), -1, -5)]
    return _PREFIX + "".join(digits)


def parse_endpoint_id(text: str) -> int | None:
    """Read what ``show_endpoint_id`` shows; None for anything else."""
    digits = text.removeprefix(_PREFIX)
    if digits == text or len(digits) != _DIGITS or any(one not in _ALPHABET for one in digits):
        return None
    number = 0
    for one in digits:
        number = number << 5 | _ALPHABET.index(one)
    return number if number >> _BITS == 0 else None


def secrets_of(endpoint: Endpoint | None, account: Account, now: int) -> tuple[str, ...]:
    """Return the secrets that sign a request now, newest first: one, or two within a day of a rotation (P18).

    The endpoint's own, else the account's. A signature with room for one keeps the last of them until the overlap ends.
    """
    if endpoint is None or endpoint.secret is None:
        newest, old, until = account.callback_secret, account.old_callback_secret, account.old_secret_until
    else:
        newest, old, until = endpoint.secret, endpoint.old_secret, endpoint.old_secret_until
    return (newest,) if old is None or until is None or until <= now else (newest, old)
