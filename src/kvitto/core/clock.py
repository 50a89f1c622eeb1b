"""The only reader of clocks. Everything else is told the time.

Stored and passed instants are ``int`` milliseconds since the Unix epoch, UTC (names end in ``_at``; ADR 0005).
Durations use the monotonic clock, in ``float`` seconds. Must not know: anything but the operating system's clocks.
"""

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the rest of the house may ask about time."""

    def now(self) -> int:
        """The wall clock: milliseconds since the Unix epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean something."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()
