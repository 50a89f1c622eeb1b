"""Instants as people and programs read them. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["instant_of", "iso", "length", "local", "zone_of"]


def iso(at: int | None) -> str | None:
    """Milliseconds UTC as ISO-8601 with milliseconds; None for None."""
    if at is None:
        return None
    seconds, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def local(at: int | None, zone: ZoneInfo, *, ms: bool = False) -> str:
    """Milliseconds UTC as a clock on the wall there shows it: ``2026-03-09 14:05:07`` (``.089``); "" for None."""
    if at is None:
        return ""
    seconds, rest = divmod(at, 1000)
    text = f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M:%S}"
    return f"{text}.{rest:03d}" if ms else text


def instant_of(text: str, zone: ZoneInfo) -> int | None:
    """A time as typed (``2026-03-09 14:05``, a ``T`` in the place of the space, seconds, an offset) in ms UTC.

    Without an offset it is meant in ``zone``. None for what is none.
    """
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def length(span_ms: int | None) -> str:
    """A length of time in the unit that suits it: ``350 ms``, ``4.2 s``, ``12 min``, ``3.5 h``, ``2 d``."""
    if span_ms is None:
        return "–"
    if span_ms < 1000:
        return f"{span_ms} ms"
    for unit, size, below in (("s", 1000, 60), ("min", 60_000, 60), ("h", 3_600_000, 48)):
        if span_ms / size < below:
            return f"{_round(span_ms / size)} {unit}"
    return f"{_round(span_ms / 86_400_000)} d"


def _round(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name, or UTC. Raises: nothing."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
