"""Sessions: a user name and password exchanged for a token that ends by itself, with a brake on guessing (P21).

Wrong attempts are counted for each pair of user name and address, and for each address; above ``MOST_WRONG`` within
``WINDOW_S`` further ones are refused unseen, right or wrong. Counts live in this process's memory and are bounded. An
unknown user costs the same time as a wrong password.

Must not know: HTTP, a vendor's words. Next: ``kvitto.intake.auth``.
"""

import hmac
from collections import OrderedDict
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.ids import new_token
from kvitto.core.operations import OpenSession, Session
from kvitto.dialects.base import Problem
from kvitto.intake.admit import Denial
from kvitto.intake.auth import hash_secret
from kvitto.store.api import Store

__all__ = ["MOST_WRONG", "MOST_WRONG_ADDRESS", "WINDOW_S", "Brake", "Sessions"]

MOST_WRONG: Final = 5
"""Wrong attempts for one user name from one address within ``WINDOW_S``."""
MOST_WRONG_ADDRESS: Final = 50
"""Wrong attempts from one address, whatever the names."""
WINDOW_S: Final = 60.0
_MOST_KEPT: Final = 20_000
"""Names and addresses remembered, about 200 bytes each; above, those that failed longest ago are forgotten."""

_WRONG: Final = Denial(Problem.UNAUTHORIZED)
_DISABLED: Final = Denial(Problem.ACCOUNT_DISABLED, "the account is disabled")
_NOBODY: Final = hash_secret("")


class Brake:
    """Counts wrong attempts; ``wait_s`` says how long to keep away."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_s(self, username: str, peer: str) -> float:
        """Seconds until the next attempt is looked at; 0 for now."""
        now = self._clock.monotonic()
        waits = [0.0]
        for key, most in (((username, peer), MOST_WRONG), (("", peer), MOST_WRONG_ADDRESS)):
            count, until = self._failures.get(key, (0, 0.0))
            if count >= most:
                waits.append(until - now)
        return max(waits)

    def failed(self, username: str, peer: str) -> None:
        """An attempt was wrong."""
        now = self._clock.monotonic()
        for key in ((username, peer), ("", peer)):
            count, until = self._failures.pop(key, (0, 0.0))
            self._failures[key] = (count + 1, until) if until > now else (1, now + WINDOW_S)
        while len(self._failures) > _MOST_KEPT:
            self._failures.popitem(last=False)

    def passed(self, username: str, peer: str) -> None:
        """An attempt was right: the name's count begins anew."""
        self._failures.pop((username, peer), None)


class Sessions:
    """Opens sessions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._brake = Brake(clock)

    async def open(self, operation: OpenSession, peer: str, now: int) -> Session | Denial:
        """Check and open. Raises: StoreUnavailable."""
        wait_s = self._brake.wait_s(operation.username, peer)
        if wait_s > 0:
            return Denial(Problem.THROTTLED, "too many wrong user names or passwords", retry_after_s=int(wait_s) + 1)
        found = await self._store.find_account(username=operation.username)
        expected = _NOBODY if found is None else found[1]
        right = hmac.compare_digest(expected.encode(), hash_secret(operation.password).encode())
        if found is None or not right:
            self._brake.failed(operation.username, peer)
            return _WRONG
        if found[0].disabled:
            return _DISABLED
        self._brake.passed(operation.username, peer)
        token, expires_at = new_token(), now + operation.lifetime_s * 1000
        await self._store.open_session(found[0].id, hash_secret(token), now, expires_at)
        return Session(token, expires_at)

    async def close(self, token: str, account_id: str) -> None:
        """End the session that has this token; one that is believed elsewhere is so for ``auth.KEEP_S`` at most.

        Raises: StoreUnavailable.
        """
        await self._store.close_session(account_id, hash_secret(token))
