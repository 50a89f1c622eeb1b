"""How many requests a second one endpoint gets after it has asked for fewer (docs/dialects/ninebits.md 5.4), and how
long it asks to wait.

Each 429 halves the rate, down to one request a second; each minute without one doubles it, until it is what it was.
A value that is told the time. Must not know: sockets, callbacks. Next: ``kvitto.callbacks.outbox``.
"""

from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["CALM_S", "LEAST_PER_S", "Pace", "retry_after"]

LEAST_PER_S: Final = 1.0
CALM_S: Final = 60.0
"""Without a 429 for so long, the rate doubles."""


class Pace:
    """A rate in requests per second, and what it was before. Instants are monotonic seconds."""

    __slots__ = ("_calm_since_s", "_full_per_s", "_halved_s", "per_s")

    def __init__(self, full_per_s: float, now_s: float) -> None:
        """``full_per_s``: how many were sent in the second of the first 429; half of it is allowed now."""
        self._full_per_s = max(full_per_s, LEAST_PER_S)
        self.per_s = max(self._full_per_s / 2, LEAST_PER_S)
        self._halved_s = self._calm_since_s = now_s

    def halve(self, now_s: float, begun_s: float) -> None:
        """Another 429, to a request begun at ``begun_s``; those begun before the last halving are of the same burst."""
        self._calm_since_s = now_s
        if begun_s > self._halved_s:
            self._halved_s = now_s
            self.per_s = max(self.per_s / 2, LEAST_PER_S)

    def gap_s(self, now_s: float) -> float | None:
        """Return how long the next request waits after one begun now; None: it is over, no need to wait."""
        while now_s - self._calm_since_s >= CALM_S:
            self._calm_since_s += CALM_S
            self.per_s *= 2
            if self.per_s > self._full_per_s:
                return None
        return 1 / self.per_s


def retry_after(value: bytes | None, now: int) -> float | None:
    """Return a Retry-After in seconds from ``now`` (ms UTC): a number of seconds or an HTTP date (RFC 9110 10.2.3)."""
    if not value:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now / 1000)
    except (ValueError, OverflowError):
        return None
