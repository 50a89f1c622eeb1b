"""When an endpoint that keeps failing is left alone, probed, and given up; told the time, never asking for it (P13).

A breaker counts attempts in ten slots of half a minute. It opens when, of ten attempts or more within five minutes,
seven in ten failed. Open, it lets one probe through after 30 s, then after twice as long each time, up to 15 minutes;
the first probe that succeeds closes it. When nothing has succeeded for five days since the first failure, the endpoint
is to be disabled. Nothing is lost by any of this: what is held back waits in the outbox.

Must not know: HTTP, the store, what an attempt was. Next: ``kvitto.callbacks.outbox``.
"""

from typing import Final, NamedTuple

__all__ = [
    "DISABLE_AFTER_MS",
    "FIRST_PROBE_MS",
    "LAST_PROBE_MS",
    "LEAST_ATTEMPTS",
    "REST",
    "SHARE",
    "SLOT_MS",
    "WINDOW_MS",
    "Breaker",
    "Watch",
]

WINDOW_MS: Final = 300_000
SLOT_MS: Final = 30_000
LEAST_ATTEMPTS: Final = 10
SHARE: Final = 0.7
FIRST_PROBE_MS: Final = 30_000
LAST_PROBE_MS: Final = 900_000
DISABLE_AFTER_MS: Final = 5 * 86_400_000


class Breaker(NamedTuple):
    """One endpoint's breaker as it is stored. ``slots``: (number of the half minute, attempts, failures), oldest first,
    only those of the window; ``failing_since``: the first failure after the last success; ``probe_at``: None while it
    is closed, else when the next probe may go; ``wait_ms``: how long the last wait for a probe was.
    """

    slots: tuple[tuple[int, int, int], ...] = ()
    failing_since: int | None = None
    probe_at: int | None = None
    wait_ms: int = 0


REST: Final = Breaker()


class Watch:
    """A breaker at work: counts attempts, is told the time (ms UTC), and can be taken down as a ``Breaker``."""

    __slots__ = ("_last", "_slots", "failing_since", "probe_at", "wait_ms")

    def __init__(self, breaker: Breaker = REST) -> None:
        self.failing_since = breaker.failing_since
        self.probe_at = breaker.probe_at
        self.wait_ms = breaker.wait_ms
        self._slots = [list(slot) for slot in breaker.slots] or [[0, 0, 0]]
        self._last = self._slots[-1]

    @property
    def is_open(self) -> bool:
        """Whether only probes may go."""
        return self.probe_at is not None

    def taken_down(self) -> Breaker:
        """Return it as a value; at rest unless something has failed since the last success."""
        if self.failing_since is None:
            return REST
        slots = tuple((slot[0], slot[1], slot[2]) for slot in self._slots if slot[1])
        return Breaker(slots, self.failing_since, self.probe_at, self.wait_ms)

    def succeeded(self, now: int) -> bool:
        """An attempt succeeded; returns whether that closed it. Then what was counted before is forgotten."""
        number = now // SLOT_MS
        if self._last[0] != number:
            self._roll(number)
        self._last[1] += 1
        if self.failing_since is None:
            return False
        self.failing_since = None
        if self.probe_at is None:
            return False
        self.probe_at, self.wait_ms = None, 0
        self._slots = [[number, 1, 0]]
        self._last = self._slots[0]
        return True

    def failed(self, now: int) -> bool:
        """An attempt failed; returns whether that opened it, or kept it open after a probe."""
        number = now // SLOT_MS
        if self._last[0] != number:
            self._roll(number)
        self._last[1] += 1
        self._last[2] += 1
        if self.failing_since is None or self.failing_since > now:
            self.failing_since = now
        if self.probe_at is not None:
            if now < self.probe_at:  # begun before it opened
                return False
            self.wait_ms = min(self.wait_ms * 2, LAST_PROBE_MS)
        else:
            attempts, failures = self._counts(number)
            if attempts < LEAST_ATTEMPTS or failures < SHARE * attempts:
                return False
            self.wait_ms = FIRST_PROBE_MS
        self.probe_at = now + self.wait_ms
        return True

    def is_over(self, now: int) -> bool:
        """Whether it has failed for so long, without one success, that the endpoint is to be disabled."""
        return self.failing_since is not None and now - self.failing_since >= DISABLE_AFTER_MS

    def _counts(self, number: int) -> tuple[int, int]:
        oldest = number - WINDOW_MS // SLOT_MS
        counted = [slot for slot in self._slots if oldest < slot[0] <= number]
        return sum(slot[1] for slot in counted), sum(slot[2] for slot in counted)

    def _roll(self, number: int) -> None:
        """A new half minute begins; a clock that was set back finds nothing later than itself (P26)."""
        oldest = number - WINDOW_MS // SLOT_MS
        self._last = [number, 0, 0]
        self._slots = [slot for slot in self._slots if oldest < slot[0] < number]
        self._slots.append(self._last)
