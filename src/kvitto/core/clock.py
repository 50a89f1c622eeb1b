"""The only reader of clocks. Everything else is told the time.

Stored and passed instants are ``int`` milliseconds since the Unix epoch, UTC (names end in ``_at``; ADR 0005).
Durations use the monotonic clock, in ``float`` seconds. Must not know: anything but the operating system's clocks.

Deadlines, retries and waits are stored as instants of the wall clock, because they outlive the process; so a wall clock
that jumps would end messages early or leave retries standing (P26). The server therefore reads a ``SteadyClock``: the
wall clock, held against the monotonic one. A step of more than ``JUMP_MS`` against it is a jump: time goes on as if it
had not happened, and only a jump that has stood for ``BELIEVED_AFTER_S`` is believed (ADR 0011).
"""

import time
from functools import partial
from typing import Final, Protocol

__all__ = ["BELIEVED_AFTER_S", "JUMP_MS", "Clock", "SteadyClock", "SystemClock"]

JUMP_MS: Final = 30_000
"""Smaller steps are followed at once: NTP makes them, and no wait here is so short that half a minute matters."""
BELIEVED_AFTER_S: Final = 900.0
"""A mistaken clock is mostly set right within minutes; a right one that was wrong before stays where it is."""


class Clock(Protocol):
    """What the rest of the house may ask about time."""

    def now(self) -> int:
        """The wall clock: milliseconds since the Unix epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean something."""


_ELAPSED: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(partial(time.clock_gettime, _ELAPSED))
    """Seconds since the machine started, its sleep included where the system can tell (a nap is no jump)."""


class SteadyClock:
    """A clock whose ``now`` does not jump with the wall clock's; at the start it believes it.

    ``jumps``: how often the wall clock has jumped. Cheap, and safe to read from several threads.
    """

    def __init__(self, clock: Clock) -> None:
        self._wall = clock.now
        self.monotonic = clock.monotonic  # seconds that never run backwards: they need no care
        self._ahead_ms = clock.now() - clock.monotonic() * 1000
        self._jump: tuple[float, float] | None = None  # how far ahead after it, and since when (monotonic, s)
        self.jumps = 0

    def now(self) -> int:
        """Milliseconds since the epoch, UTC: the wall clock's, unless that has just jumped."""
        wall, at = self._wall(), self.monotonic()
        ahead_ms = wall - at * 1000
        if -JUMP_MS <= ahead_ms - self._ahead_ms <= JUMP_MS:
            self._ahead_ms, self._jump = ahead_ms, None
            return wall
        return self._after_jump(wall, at, ahead_ms)

    def _after_jump(self, wall: int, at: float, ahead_ms: float) -> int:
        jump = self._jump
        if jump is None or abs(ahead_ms - jump[0]) > JUMP_MS:
            self._jump = (ahead_ms, at)
            self.jumps += 1
        elif at - jump[1] >= BELIEVED_AFTER_S:
            self._ahead_ms, self._jump = ahead_ms, None
            return wall
        return round(at * 1000 + self._ahead_ms)
