"""How fast a link may send: rate and slowing down, as values that are told the time (docs/smpp.md 1.10; R11, P27).

``TokenBucket`` keeps a rate; ``Slowdown`` is what a link does after the SMSC said 0x58 or 0x14: nothing for a second,
then half of what it did, then slowly more; ``Pacer`` puts the two together for one link. ``Offenders`` tells a part
that is throttled whatever the link does from a link that is too fast. Times are seconds on one monotonic clock. Must
not know: links, sessions, messages. Read next: ``dispatch/link.py`` and ``dispatch/submitter.py``, which ask.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Offenders", "Pacer", "Slowdown", "TokenBucket"]

PAUSE_S: Final = 1.0
"""How long a link stays silent after a throttle, unless it is told otherwise; Kannel does the same."""
GROWTH_PER_S: Final = 2 ** (1 / 10)
"""Recovery: twice the rate after ten seconds without a throttle, so half a rate is whole again by then."""
LEAST_RATE: Final = 1.0
"""Parts a second below which slowing down stops: a link that never tries again never learns."""
IDLE_SPEED: Final = 100.0
"""Parts a second that a link is taken to have done when it had too little to send to tell: half of this is where it
goes on, and a batch that comes just then is not held back for minutes."""
GAP_S: Final = 2.0
"""A second with nothing in it this long is idleness and measures nothing."""
REMEMBERED_OFFENDERS: Final = 16
"""Parts throttled last that are known again. More than these few at a time are the link's matter after all."""
BURST_S: Final = 0.05
"""How much of a second's allowance may leave at once: small, so that the rate holds within any second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket:
    """``rate`` parts a second, ``burst`` of them at once. ``tokens`` were there at the time ``at``."""

    rate: float
    burst: float
    tokens: float
    at: float

    @classmethod
    def full(cls, rate: float, now: float, burst: float | None = None) -> "TokenBucket":
        """A full bucket. ``burst`` None: a twentieth of a second's worth, at least one part."""
        size = max(1.0, rate * BURST_S) if burst is None else burst
        return cls(rate=rate, burst=size, tokens=size, at=now)

    def level(self, now: float) -> float:
        """How many tokens there are at ``now``; below 0 after taking ahead."""
        return min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)

    def available(self, now: float) -> int:
        """How many whole parts may leave now."""
        # A hair is forgiven: ten tenths of a second must make a whole part.
        return max(0, math.floor(self.level(now) + 1e-9))

    def take(self, count: int, now: float) -> "TokenBucket":
        """The bucket after ``count`` parts left."""
        return replace(self, tokens=self.level(now) - count, at=max(self.at, now))

    def ready_at(self, now: float) -> float:
        """When the next part may leave: ``now`` if it may at once, infinity at rate 0."""
        missing = 1.0 - self.level(now)
        if missing <= 1e-9:
            return now
        return now + missing / self.rate if self.rate > 0 else math.inf

    def with_rate(self, rate: float, now: float) -> "TokenBucket":
        """The bucket at another rate from ``now`` on; what was saved above the new burst is lost."""
        fresh = TokenBucket.full(rate, now)
        return replace(fresh, tokens=min(self.level(now), fresh.burst))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """What a link does after a throttle: silent until ``until``, then ``rate`` and slowly more, up to ``target``."""

    until: float
    rate: float
    target: float

    @classmethod
    def after_throttle(
        cls, before: "Slowdown | None", speed: float, now: float, pause_s: float = PAUSE_S, *, used: bool = True
    ) -> "Slowdown":
        """The slowdown that follows a throttle at ``now``, when the link did ``speed`` parts a second.

        Throttles that come during the silence belong to the same burst and change nothing; one during recovery halves
        again what was reached, if that was ``used``: a link with hardly anything to send only pauses. ``target`` is the
        speed of the first throttle.
        """
        if before is not None and now < before.until:
            return before
        reached = before.rate_at(now) if before is not None else None
        if before is None or reached is None:
            return cls(until=now + pause_s, rate=max(LEAST_RATE, speed / 2), target=max(LEAST_RATE, speed))
        rate = max(LEAST_RATE, reached / 2) if used else reached
        return cls(until=now + pause_s, rate=rate, target=before.target)

    def rate_at(self, now: float) -> float | None:
        """Parts a second allowed at ``now``: 0.0 during the silence, None once recovered (no limit from here)."""
        if now < self.until:
            return 0.0
        rate = self.rate * GROWTH_PER_S ** min(now - self.until, 3600.0)
        return None if rate >= self.target else rate


class Offenders:
    """The parts throttled last, to know one again that is refused whatever the link does (R11).

    A small ledger: told of every throttle, and how many parts the link has had accepted by then.
    """

    def __init__(self) -> None:
        self._accepted_at: OrderedDict[Hashable, int] = OrderedDict()

    def blame(self, part: Hashable, accepted: int) -> bool:
        """Note that ``part`` was throttled; returns whether that is its own matter and none of its link's.

        So it is when it was throttled before and the link had others accepted since. ``accepted``: how many so far.
        """
        before = self._accepted_at.pop(part, None)
        self._accepted_at[part] = accepted
        if len(self._accepted_at) > REMEMBERED_OFFENDERS:
            self._accepted_at.popitem(last=False)
        return before is not None and accepted > before


class Pacer:
    """One link's pace: its configured rate, its slowdown, and how fast it goes at present.

    Not a value but a small ledger, like a session: told the time, no clock of its own.
    """

    def __init__(self, rate: float, now: float, pause_s: float = PAUSE_S) -> None:
        """``rate``: parts a second, 0 for no limit. ``pause_s``: how long it stays silent after a throttle."""
        self._limit = rate
        self._pause_s = pause_s
        self._bucket = TokenBucket.full(rate, now) if rate > 0 else None
        self._slowdown: Slowdown | None = None
        self._second = now
        self._sent_this_second = 0
        self._speed = 0.0
        self._sent_since_throttle = 0

    @property
    def throttled(self) -> bool:
        """Whether a slowdown is in force, its silence or its recovery; as of the last question."""
        return self._slowdown is not None

    def pace(self, now: float) -> tuple[float, float]:
        """What holds now: (parts a second, 0 for no limit; seconds that the silence after a throttle still lasts)."""
        self._refresh(now)
        silent_s = 0.0 if self._slowdown is None else max(0.0, self._slowdown.until - now)
        return (self._limit if silent_s or self._bucket is None else self._bucket.rate), silent_s

    def allowance(self, now: float, wanted: int) -> int:
        """How many of ``wanted`` parts may leave now."""
        if self._slowdown is not None:
            self._refresh(now)
        return wanted if self._bucket is None else min(wanted, self._bucket.available(now))

    def sent(self, count: int, now: float) -> None:
        """``count`` parts left."""
        if self._bucket is not None:
            self._bucket = self._bucket.take(count, now)
        elapsed = now - self._second
        if elapsed >= 1.0:
            if elapsed < GAP_S:
                self._speed = self._sent_this_second / elapsed
            self._second, self._sent_this_second = now, 0
        self._sent_this_second += count
        self._sent_since_throttle += count

    def slow_down(self, now: float) -> None:
        """The SMSC said 0x58 or 0x14 (R11): pause, then half of what was done in the last busy second."""
        speed = max(self._speed, float(self._sent_this_second), IDLE_SPEED)
        if self._limit > 0:
            speed = min(speed, self._limit)
        before = self._slowdown
        self._slowdown = Slowdown.after_throttle(before, speed, now, self._pause_s, used=self._used(now))
        if self._slowdown is not before:
            self._sent_since_throttle = 0
        self._refresh(now)

    def _used(self, now: float) -> bool:
        """Whether at least half of what a slowdown allows was sent: more than the one part that was throttled."""
        slow = self._slowdown
        allowed = 0.0 if slow is None else (slow.rate_at(now) or 0.0) * (now - slow.until)
        return self._sent_since_throttle > max(1.0, allowed / 2)

    def ready_at(self, now: float) -> float:
        """When the next part may leave; ``now`` if it may at once."""
        self._refresh(now)
        if self._slowdown is not None and now < self._slowdown.until:
            return self._slowdown.until
        return now if self._bucket is None else self._bucket.ready_at(now)

    def _refresh(self, now: float) -> None:
        """Bring the bucket to the rate that the slowdown allows at ``now``."""
        if self._slowdown is None:
            return
        rate = self._slowdown.rate_at(now)
        if rate is None:
            self._slowdown = None
            rate = self._limit
        elif self._limit > 0:
            rate = min(rate, self._limit)
        if self._slowdown is None and rate <= 0:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = replace(TokenBucket.full(rate, now), tokens=0.0)
        elif self._bucket.rate != rate:
            self._bucket = self._bucket.with_rate(rate, now)
