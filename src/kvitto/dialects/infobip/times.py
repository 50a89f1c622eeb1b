"""Dates on the wire: many shapes in, one shape out (docs/dialects/infobip.md 1).

Must not know: which field a date is for, what time it is now. Next: ``kvitto.dialects.infobip.fields``.
"""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["parse_date", "write_date"]

_EPOCH: Final = datetime(1970, 1, 1)  # naive on purpose: everything here is UTC, and naive arithmetic is cheaper
_EPOCH_ORDINAL: Final = 719_163
_YEARS: Final = range(1970, 9_999)
"""Years accepted: what can be written again, whatever the offset."""

_SHAPE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:([Zz])|([+ -])(\d\d):?(\d\d))?", re.ASCII
)


def parse_date(text: str) -> int | None:
    """Return ms UTC, or None when the text is no date.

    ``2026-03-01T10:00:00.000+0100``, the offset with or without a colon, ``Z``, or none (then UTC); 0 to 9 decimals,
    cut to ms; seconds may be missing. A space before the offset is a ``+`` that nobody encoded.
    """
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, decimals, _, sign, offset_hour, offset_minute = found.groups()
    if int(year) not in _YEARS or int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        return None
    if int(offset_hour or 0) > 23 or int(offset_minute or 0) > 59:
        return None
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None
    offset_min = int(offset_hour or 0) * 60 + int(offset_minute or 0)
    minutes = int(hour) * 60 + int(minute) - (-offset_min if sign == "-" else offset_min)
    seconds = days * 86_400 + minutes * 60 + int(second or 0)
    return seconds * 1000 + int((decimals or "0").ljust(3, "0")[:3])


# A page of reports names the same few instants again and again: sent together, ended together.
@lru_cache(maxsize=1024)
def write_date(at: int) -> str:
    """Return ``2031-03-09T05:06:07.089+0000``: three decimals, an offset without colon, never Z."""
    return f"{_write_second(at // 1000)}.{at % 1000:03d}+0000"


@lru_cache(maxsize=256)
def _write_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()
