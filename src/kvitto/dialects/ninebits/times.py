"""Timestamps on the wire: ``YYYY-MM-DD HH:MM:SS`` in the account's zone, out and in (docs/dialects/ninebits.md 1, 3.1).

Must not know: which field a timestamp is for, what time it is now. Next: ``kvitto.dialects.ninebits.requests``.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["parse_timestamp", "write_timestamp"]

_SHAPE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?)?",
    re.ASCII | re.IGNORECASE,
)
_YEARS: Final = range(2, 9_999)
"""Years accepted: so that no offset leads out of what a ``datetime`` can hold."""


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo:
    """Return the zone of an IANA name."""
    return UTC if name == "UTC" else ZoneInfo(name)


def parse_timestamp(text: str, zone: str) -> int | None:
    """Return ms UTC, or None when the text is no timestamp.

    With ``Z`` or an offset, or with neither: then in ``zone``. An hour that comes twice when clocks go back is the
    first of the two; one that they leave out is read as if they had not yet gone forward.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, decimals, zulu, sign, offset_hour, offset_minute = found.groups()
    if int(year) not in _YEARS or int(offset_hour or 0) > 23 or int(offset_minute or 0) > 59:
        return None
    if zulu or sign:
        offset = timedelta(hours=int(offset_hour or 0), minutes=int(offset_minute or 0))
        at_zone: tzinfo = timezone(-offset if sign == "-" else offset)
    else:
        at_zone = zone_of(zone)
    try:
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=at_zone)
    except ValueError:
        return None
    seconds = (at - _EPOCH) // timedelta(seconds=1)
    return seconds * 1000 + int((decimals or "0").ljust(3, "0")[:3])


def write_timestamp(at: int, zone: str) -> str:
    """Return ``2026-03-09 14:05:00``: the second in which the instant lies, as the account's clock shows it."""
    return _write_second(at // 1000, zone)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# The instants of a busy server lie in a few seconds: writing one costs ten times as much as finding it here.
@lru_cache(maxsize=1024)
def _write_second(second: int, zone: str) -> str:
    there = (_EPOCH + timedelta(seconds=second)).astimezone(zone_of(zone))
    return there.replace(tzinfo=None).isoformat(" ")
