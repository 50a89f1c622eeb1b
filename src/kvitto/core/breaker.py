"""When an endpoint that keeps failing is left alone, probed, and given up: values that are told the time (P13).

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
    "WINDOW_MS",
    "Breaker",
    "failed",
    "is_open",
    "is_over",
    "succeeded",
]

WINDOW_MS: Final = 300_000
SLOT_MS: Final = 30_000
LEAST_ATTEMPTS: Final = 10
SHARE: Final = 0.7
FIRST_PROBE_MS: Final = 30_000
LAST_PROBE_MS: Final = 900_000
DISABLE_AFTER_MS: Final = 5 * 86_400_000


class Breaker(NamedTuple):
    """One endpoint's breaker. ``slots``: (number of the half minute, attempts, failures), oldest first, only those of
    the window; ``failing_since``: the first failure after the last success; ``probe_at``: None while it is closed, else
    when the next probe may go; ``wait_ms``: how long the last wait for a probe was.
    """

    slots: tuple[tuple[int, int, int], ...] = ()
    failing_since: int | None = None
    probe_at: int | None = None
    wait_ms: int = 0


REST: Final = Breaker()


def succeeded(breaker: Breaker, now: int) -> Breaker:
    """An attempt succeeded at ``now``: a breaker that was open is closed and has forgotten what it counted."""
    if breaker.probe_at is not None:
        return REST
    return Breaker(_counted(breaker.slots, now, 0))


def failed(breaker: Breaker, now: int) -> Breaker:
    """An attempt failed at ``now``; see the module for when that opens it."""
    since = now if breaker.failing_since is None else min(breaker.failing_since, now)
    slots = _counted(breaker.slots, now, 1)
    if breaker.probe_at is not None:
        if now < breaker.probe_at:  # begun before it opened
            return breaker._replace(slots=slots, failing_since=since)
        wait_ms = min(breaker.wait_ms * 2, LAST_PROBE_MS)
        return Breaker(slots, since, now + wait_ms, wait_ms)
    attempts = sum(slot[1] for slot in slots)
    failures = sum(slot[2] for slot in slots)
    if attempts >= LEAST_ATTEMPTS and failures >= SHARE * attempts:
        return Breaker(slots, since, now + FIRST_PROBE_MS, FIRST_PROBE_MS)
    return Breaker(slots, since)


def is_open(breaker: Breaker) -> bool:
    """Whether only probes may go."""
    return breaker.probe_at is not None


def is_over(breaker: Breaker, now: int) -> bool:
    """Whether it has failed for so long, without one success, that the endpoint is to be disabled."""
    return breaker.failing_since is not None and now - breaker.failing_since >= DISABLE_AFTER_MS


def _counted(slots: tuple[tuple[int, int, int], ...], now: int, failure: int) -> tuple[tuple[int, int, int], ...]:
    """Count one attempt. A slot lasts as long as it may lie within the window; a clock set back starts anew (P26)."""
    number = now // SLOT_MS
    oldest = number - WINDOW_MS // SLOT_MS + 1
    kept = [slot for slot in slots if oldest <= slot[0] <= number]
    if kept and kept[-1][0] == number:
        _, attempts, failures = kept.pop()
        kept.append((number, attempts + 1, failures + failure))
    else:
        kept.append((number, 1, failure))
    return tuple(kept)
