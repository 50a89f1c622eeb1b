"""Timestamps on the wire: ISO-8601 in several shapes in, one shape out (docs/dialects/sinch.md 1).

Must not know: which field a timestamp is for, what time it is now. Next: ``kvitto.dialects.sinch.requests``.
"""

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["parse_timestamp", "write_operator_time", "write_timestamp"]

_EPOCH: Final = datetime(1970, 1, 1)  # naive on purpose: everything here is UTC, and naive arithmetic is cheaper
_EPOCH_ORDINAL: Final = 719_163
_YEARS: Final = range(2, 9_999)
"""Years accepted: so that neither an offset nor three days of validity lead out of what a ``datetime`` can write."""

_SHAPE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_timestamp(text: str, *, date_allowed: bool = False) -> int | None:
    """Return ms UTC, or None when the text is no timestamp.

    With ``Z``, an offset, or neither (then UTC); 0 to 9 decimals, cut to ms; seconds may be missing. A date alone is
    its midnight and counts only with ``date_allowed`` (docs/dialects/sinch.md 1).
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, decimals, _, sign, offset_hour, offset_minute = found.groups()
    if hour is None and not date_allowed:
        return None
    if int(year) not in _YEARS or int(hour or 0) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        return None
    if int(offset_hour or 0) > 23 or int(offset_minute or 0) > 59:
        return None
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None
    offset_min = int(offset_hour or 0) * 60 + int(offset_minute or 0)
    minutes = int(hour or 0) * 60 + int(minute or 0) - (-offset_min if sign == "-" else offset_min)
    seconds = days * 86_400 + minutes * 60 + int(second or 0)
    return seconds * 1000 + int((decimals or "0").ljust(3, "0")[:3])


# The instants of a busy server lie in a few milliseconds, each asked for several times: batches that arrived together,
# created and modified at once.
@lru_cache(maxsize=1024)
def write_timestamp(at: int) -> str:
    """Return ``2031-03-09T05:06:07.089Z``: UTC with exactly three decimals."""
    return f"{_write_second(at // 1000)}.{at % 1000:03d}Z"


def write_operator_time(at: int) -> str:
    """Return ``2031-03-09T05:06:00Z``: how an operator's own time is shown, without decimals.

    Receipts tell minutes or seconds. Where the time of receiving stands in for a date that cannot be true (R55), it is
    shown as the second in which it ended, so that no end is shown before its beginning.
    """
    return _write_second(-(-at // 1000)) + "Z"


# The instants of a busy server lie in a few seconds: writing one costs ten times as much as finding it here.
@lru_cache(maxsize=256)
def _write_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()
