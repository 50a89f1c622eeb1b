"""Single values of a request: numbers, senders, URLs, times, parameters, octets (docs/dialects/sinch.md 1, 4, 5).

Every function here checks form only and refuses with ``syntax_invalid_parameter_format``; limits come later, in
``requests``. The errors name the field and what is expected, never the value.

Must not know: which operation a field belongs to. Next: ``kvitto.dialects.sinch.requests``.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from kvitto.core.msisdn import clean
from kvitto.core.text import is_gsm
from kvitto.core.urls import Target, parse_target
from kvitto.dialects.base import DialectError
from kvitto.dialects.sinch.errors import bad_format
from kvitto.dialects.sinch.times import parse_timestamp
from kvitto.dialects.sinch.wire import SENDER_NAME_MAX_CHARS, URL_MAX_CHARS

__all__ = [
    "find_sender",
    "is_callback_url",
    "read_base64",
    "read_callback_url",
    "read_hex",
    "read_parameters",
    "read_recipients",
    "read_sender",
    "read_time",
    "read_url",
    "read_whole_number",
]

_GROUP_ID: Final = re.compile(r"(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{12,26}")
"""What looks like a group id: 12 to 26 characters of ``A-Za-z0-9_-``, a letter among them (our reading)."""

_URL: Final = re.compile(
    r"https?://(?:[^\s/?#@\\\x00-\x20\x7f]*@)?"
    r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\<>\"{}|^`\x00-\x20\x7f]+)"
    r"(?::([0-9]{1,5}))?(?:[/?#][^\s\x00-\x20\x7f]*)?",
    re.IGNORECASE,
)
_PORT_MAX: Final = 65_535

_PARAMETER_KEY: Final = re.compile(r"[A-Za-z0-9._-]+")
_DEFAULT: Final = "default"
_DIGITS_MAX: Final = 10
"""Whole numbers in text of more digits are not read at all: every limit is far below."""


def read_recipients(field: str, values: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the distinct numbers as bare digits, in the order given, and whether a group id stands among them."""
    numbers: list[str] = []
    group = False
    for value in values:
        digits = value[1:] if value[:1] == "+" else value
        if digits.isdigit() and digits.isascii() and 5 <= len(digits) <= 15 and digits[0] != "0":
            numbers.append(digits)
        elif (number := clean(value)) is not None:
            numbers.append(number)
        elif _GROUP_ID.fullmatch(value):
            group = True
        else:
            at = values.index(value)
            raise bad_format(f"{field}[{at}]", "neither a phone number of 5 to 15 digits nor a group id")
    if len(numbers) > 1:
        return tuple(dict.fromkeys(numbers)), group
    return tuple(numbers), group


def read_sender(field: str, value: str) -> str:
    """Return a number or short code as bare digits, a name as sent; how long a name may be is checked elsewhere."""
    if value.isdigit() and value.isascii() and len(value) <= 15 and value[:2] != "00":
        return value
    number = clean(value, min_digits=1)
    if number is not None:
        return number
    if any(map(str.isalpha, value)) and is_gsm(value):
        return value
    raise bad_format(field, "neither a number of at most 15 digits nor 1 to 11 GSM characters with a letter among them")


# A customer names the same few senders, and the same few URLs, in all requests.
@lru_cache(maxsize=1024)
def find_sender(value: str) -> str | None:
    """As ``read_sender``, limits included: None for what is no sender or too long."""
    try:
        sender = read_sender("from", value)
    except DialectError:
        return None
    return sender if len(sender) <= SENDER_NAME_MAX_CHARS or sender.isdigit() else None


def read_url(field: str, value: str) -> str:
    """Return the URL as sent; it is an http or https one, and who fetches it is not us."""
    found = _URL.fullmatch(value)
    if found is None or int(found[1] or 0) > _PORT_MAX:
        raise bad_format(field, "not an http or https URL")
    return value


def read_callback_url(field: str, value: str) -> str:
    """Return the URL as sent; it is one that callbacks can go to. One that is too long is for the limits to refuse."""
    if len(value) <= URL_MAX_CHARS and not is_callback_url(value):
        raise bad_format(field, "not an http or https URL, or one with user information")
    return value


@lru_cache(maxsize=256)
def is_callback_url(value: str) -> bool:
    """Whether callbacks can go there, as far as the form of the URL tells."""
    return isinstance(parse_target(value), Target)


def read_time(field: str, value: str, *, in_query: bool = False) -> int:
    """Return ms UTC. In a query a date alone counts, and a space is a "+" that nobody encoded."""
    at = parse_timestamp(value.replace(" ", "+") if in_query else value, date_allowed=in_query)
    if at is None:
        raise bad_format(field, "not an ISO-8601 timestamp" + (" or date" if in_query else ""))
    return at


def read_whole_number(field: str, value: str) -> int:
    """Return the number that a string of ASCII digits means."""
    digits = value[1:] if value[:1] == "-" else value
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise bad_format(field, f"not an integer of at most {_DIGITS_MAX} digits")
    return int(value)


def read_parameters(values: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    """Return the parameters as sent: that is how they come back. Numbers are cleaned where they are matched."""
    for key, table in values.items():
        if not _PARAMETER_KEY.fullmatch(key):
            raise bad_format("parameters", "a key may hold A-Z a-z 0-9 . - _ only")
        if any(name != _DEFAULT and clean(name) is None for name in table):
            raise bad_format("parameters", 'values are keyed by a phone number of 5 to 15 digits or "default"')
    return values


def read_base64(field: str, value: str) -> bytes:
    """Return the octets; white space counts for nothing."""
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except ValueError:  # binascii.Error is one; so is text outside ASCII
        raise bad_format(field, "not Base64") from None


def read_hex(field: str, value: str) -> bytes:
    """Return the octets of hex digits in either case."""
    try:
        return binascii.unhexlify(value)
    except ValueError:
        raise bad_format(field, "not an even number of hex digits") from None
