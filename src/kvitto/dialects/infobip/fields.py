"""Single values of requests: numbers, senders, ids, dates, windows, URLs, octets (docs/dialects/infobip.md 1, 3).

Each reader returns the value in our form or raises ``Invalid`` with the field's path. What concerns one destination
alone is no error of the request: ``read_number`` and ``read_sender`` return None, and the destination is refused.

Must not know: batches, versions' shapes. Next: ``kvitto.dialects.infobip.requests``.
"""

import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from kvitto.core.model import DeliveryWindow
from kvitto.core.msisdn import clean
from kvitto.core.text import is_gsm
from kvitto.core.urls import Target, parse_target
from kvitto.dialects.infobip import wire
from kvitto.dialects.infobip.errors import Invalid
from kvitto.dialects.infobip.times import parse_date
from kvitto.dialects.infobip.wire import SpeedIn, WindowIn

__all__ = [
    "clip",
    "is_plain",
    "read_date",
    "read_flag",
    "read_hex",
    "read_number",
    "read_send_at",
    "read_sender",
    "read_spacing_ms",
    "read_text",
    "read_url",
    "read_validity_ms",
    "read_whole_number",
    "read_window",
]

SENDER_DIGITS: Final = (3, 16)
SENDER_CHARS: Final = (3, 11)
_DIGITS_MAX: Final = 20
"""More digits of a whole number in text are not read: every limit is far below."""


def is_plain(value: str) -> bool:
    """Whether this is a phone number as bare digits already."""
    return value.isdigit() and value.isascii() and 5 <= len(value) <= 15 and value[0] != "0"


def read_number(value: str, max_chars: int) -> str | None:
    """Return a phone number as bare digits, None for what is none: digits, with ``+`` or ``00`` before them or not."""
    if is_plain(value):
        return value
    if len(value) > max_chars:
        return None
    number = clean(value.strip(), strip="")
    return number if number is not None and number[0] != "0" else None


@lru_cache(maxsize=1024)
def read_sender(value: str) -> str | None:
    """Return a sender: digits without ``+`` or ``00``, or a name as sent; None for what is neither (section 3.1)."""
    value = value.strip()
    number = clean(value, min_digits=SENDER_DIGITS[0], max_digits=SENDER_DIGITS[1], strip="")
    if number is not None:
        return number
    fits = SENDER_CHARS[0] <= len(value) <= SENDER_CHARS[1]
    return value if fits and any(map(str.isalpha, value)) and is_gsm(value) else None


def clip(value: str | None, most: int) -> str | None:
    """Return an id of the customer's, clipped to what is kept of it (section 1); an empty one is none."""
    return value[:most] if value else None


def read_text(field: str, value: str | None, most: int) -> str | None:
    """Return a text that is kept and shown again; an empty one is none."""
    if value is not None and len(value) > most:
        raise Invalid(field, f"must have at most {most} characters")
    return value or None


def read_date(field: str, value: str) -> int:
    """Return ms UTC."""
    at = parse_date(value)
    if at is None:
        raise Invalid(field, "must be a date such as 2031-03-09T05:06:07.089+0000")
    return at


def read_send_at(field: str, value: str | None, now: int) -> int | None:
    """Return when to send, None for at once."""
    if not value:
        return None
    at = read_date(field, value)
    if at > now + wire.SCHEDULE_MAX_MS:
        raise Invalid(field, "must be at most 180 days ahead")
    return at


def read_url(field: str, value: str | None) -> str | None:
    """Return a URL that reports can be pushed to, as sent; an empty one is none."""
    if not value:
        return None
    if len(value) > wire.URL_MAX_CHARS:
        raise Invalid(field, f"must have at most {wire.URL_MAX_CHARS} characters")
    if not _is_url(value):
        raise Invalid(field, "must be an http or https URL without user information")
    return value


@lru_cache(maxsize=256)
def _is_url(value: str) -> bool:
    return isinstance(parse_target(value), Target)


def read_validity_ms(field: str, amount: int | None, unit_ms: int) -> int | None:
    """Return how long delivery is tried, capped at 48 hours; None when nothing was said."""
    if amount is None:
        return None
    if not 1 <= amount <= wire.COUNT_MAX:
        raise Invalid(field, f"must be from 1 to {wire.COUNT_MAX}")
    return min(amount * unit_ms, wire.VALIDITY_MS)


def read_spacing_ms(field: str, given: SpeedIn | None) -> float | None:
    """Return the time between two messages that a sending speed limit means; None without one."""
    if given is None:
        return None
    if given.amount is None or not 1 <= given.amount <= wire.COUNT_MAX:
        raise Invalid(f"{field}.amount", f"must be from 1 to {wire.COUNT_MAX}")
    return wire.SPEED_UNIT_MS[given.time_unit or "MINUTE"] / given.amount


def read_window(field: str, given: WindowIn | None) -> DeliveryWindow | None:
    """Return the window: days, and from when to when on them (UTC); both times or neither, at least an hour apart.

    One that ends before it begins reaches over midnight.
    """
    if given is None:
        return None
    if not given.days:
        raise Invalid(f"{field}.days", "must not be empty")
    days = tuple(sorted({wire.DAYS.index(day) for day in given.days}))
    if given.begin is None and given.end is None:
        return DeliveryWindow(days)
    if given.begin is None or given.end is None:
        raise Invalid(f"{field}.{'from' if given.begin is None else 'to'}", "must be given with the other one")
    begin = _minute_of(f"{field}.from", given.begin)
    end = _minute_of(f"{field}.to", given.end)
    if (end - begin) % 1440 < wire.WINDOW_LEAST_MIN:
        raise Invalid(f"{field}.to", "must be at least 1 hour after from")
    return DeliveryWindow(days, begin, end)


def _minute_of(field: str, given: wire.HourIn) -> int:
    hour, minute = given.hour, given.minute or 0
    if hour is None or not 0 <= hour <= 23:
        raise Invalid(f"{field}.hour", "must be from 0 to 23")
    if not 0 <= minute <= 59:
        raise Invalid(f"{field}.minute", "must be from 0 to 59")
    return hour * 60 + minute


def read_hex(field: str, value: str) -> bytes:
    """Return the octets of hex digits in either case; white space between them counts for nothing."""
    try:
        return binascii.unhexlify("".join(value.split()))
    except ValueError:
        raise Invalid(field, "must be an even number of hex digits") from None


def read_whole_number(field: str, value: str) -> int:
    """Return the number that a string of ASCII digits means; one beyond all limits is still beyond them."""
    below = value[:1] == "-"
    digits = value[1:] if below else value
    if not (digits.isascii() and digits.isdigit()):
        raise Invalid(field, "must be a whole number")
    number = int(digits.lstrip("0")[:_DIGITS_MAX] or "0")
    return -number if below else number


_FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


def read_flag(field: str, value: str) -> bool:
    """Return the truth of a query parameter."""
    flag = _FLAGS.get(value.lower())
    if flag is None:
        raise Invalid(field, "must be true or false")
    return flag
