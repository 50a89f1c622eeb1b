"""A clock that tests move by hand; it fulfils ``kvitto.core.clock.Clock``."""

__all__ = ["FakeClock"]

# 2026-03-09 14:05:00 UTC: a Monday afternoon, far from midnight, month ends and daylight saving.
AFTERNOON_AT = 1_773_065_100_000


class FakeClock:
    """Both clocks stand still until ``advance`` moves them together, or ``jump`` moves the wall clock alone."""

    def __init__(self, at: int = AFTERNOON_AT) -> None:
        self._at = at
        self._monotonic_ms = 0

    def now(self) -> int:
        """The wall clock: milliseconds since the Unix epoch, UTC."""
        return self._at

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self._monotonic_ms / 1000

    def advance(self, seconds: float) -> int:
        """Let time pass, on both clocks; gives back the new wall clock."""
        if seconds < 0:
            raise ValueError("time only passes forwards; jump() sets the wall clock back")
        passed_ms = round(seconds * 1000)
        self._at += passed_ms
        self._monotonic_ms += passed_ms
        return self._at

    def jump(self, seconds: float) -> int:
        """Set the wall clock, as an operator or NTP does; no time passes on the monotonic one (P26)."""
        self._at += round(seconds * 1000)
        return self._at
