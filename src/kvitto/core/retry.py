"""When to try again: schedules as values, pure functions of (attempts, first failure, now).

A schedule's offsets count from the first failed attempt, never from the one before, so that slow attempts do not
stretch it (docs/dialects/sinch.md 10.1). Attempt numbers, first failures and next attempts are columns of the store;
nothing here remembers anything (P10, R11, R13).

Must not know: HTTP, PDUs, who asks. Next: ``kvitto.callbacks.outbox``, ``kvitto.dispatch.submitter``,
``kvitto.dispatch.link``.
"""

from collections.abc import Callable
from typing import Final

__all__ = ["Schedule", "doubling", "offsets_schedule", "reconnect_delay_s", "refusal_delay_ms"]

Schedule = Callable[[int, int, int], int | None]
"""(attempts made, first_failed_at, now) -> next_attempt_at, or None: give up. All instants in ms UTC; attempts from
1."""

THROTTLE_PAUSE_S: Final = 1.0
"""After 0x58 or 0x14 the link itself pauses this long (docs/smpp.md 1.10); the part's own first wait is no longer."""

_REFUSAL_FIRST_MS: Final = 2_000
_REFUSAL_LONGEST_MS: Final = 60_000

RECONNECT_FIRST_S: Final = 1.0
RECONNECT_LONGEST_S: Final = 60.0
_RECONNECT_JITTER: Final = 0.2


def doubling(first_s: float, last_offset_s: float) -> Schedule:
    """Return the schedule whose retries come ``first_s``, twice that, four times that .. after the first failed
    attempt.

    The last retry is the last offset that is not beyond ``last_offset_s``: ``doubling(5, 81_920)`` makes 15 retries.
    """
    offsets: list[float] = []
    offset = first_s
    while offset <= last_offset_s:
        offsets.append(offset)
        offset *= 2
    return offsets_schedule(offsets)


def offsets_schedule(offsets_s: list[float]) -> Schedule:
    """Return the schedule with a retry at each of these rising offsets (s) from the first failed attempt.

    A retry whose instant has passed already (the attempts were slow, the server was down, the clock jumped) comes after
    the gap that the schedule has before it instead of at once, so that nothing is flooded (P26).
    """
    offsets_ms = [round(offset * 1000) for offset in offsets_s]
    gaps_ms = [here - before for before, here in zip([0, *offsets_ms], offsets_ms, strict=False)]

    def next_attempt(attempts: int, first_failed_at: int, now: int) -> int | None:
        if attempts > len(offsets_ms):
            return None
        index = max(attempts, 1) - 1
        planned_at = first_failed_at + offsets_ms[index]
        return planned_at if planned_at > now else now + gaps_ms[index]

    return next_attempt


def refusal_delay_ms(attempts: int, *, throttled: bool, throttle_pause_s: float = THROTTLE_PAUSE_S) -> int:
    """How long (ms) a part waits that the SMSC refused for now (R11); it is tried again until its validity ends.

    The first wait is ``throttle_pause_s`` when throttled (0x58, 0x14), as long as its link pauses, and 2 s after other
    temporary refusals (0x08, 0x64, 0xFE, 0xFF). It doubles with the ``attempts`` made so far (from 1) up to 60 s: one
    number that is refused for ever must not come back at every turn and take its link's time.
    """
    first_ms = round(throttle_pause_s * 1000) if throttled else _REFUSAL_FIRST_MS
    doublings = min(max(attempts, 1) - 1, 16)
    return min(first_ms << doublings, max(first_ms, _REFUSAL_LONGEST_MS))


def reconnect_delay_s(
    failures: int, chance: float, *, first_s: float = RECONNECT_FIRST_S, longest_s: float = RECONNECT_LONGEST_S
) -> float:
    """How long (s) a bind waits before connecting again after ``failures`` (from 1) in a row (R13, docs/smpp.md 1.10).

    ``first_s`` doubling to ``longest_s``, each shortened by up to a fifth: ``chance`` is from 0 to 1. So many binds do
    not knock all at once.
    """
    doublings = min(max(failures, 1) - 1, 16)
    return min(first_s * (1 << doublings), longest_s) * (1 - _RECONNECT_JITTER * chance)
