"""Phone numbers and sender ids: how they are cleaned, typed for SMPP, and compared.

Pure helpers for dialects, matching and submitting. It must not know which dialect allows what: limits come as
arguments. Next: ``docs/smpp.md`` 3.4, ``docs/dialects/`` for each vendor's limits.
"""

from typing import Final, NamedTuple

from kvitto.core.text import is_gsm

__all__ = [
    "Address",
    "agree7",
    "clean",
    "is_alphanumeric_sender",
    "last_digits",
    "source_address",
]

TON_INTERNATIONAL: Final = 1
TON_SHORT_CODE: Final = 3
TON_ALPHANUMERIC: Final = 5
NPI_UNKNOWN: Final = 0
NPI_E164: Final = 1

SHORT_CODE_DIGITS: Final = 6
"""A sender of up to this many digits is a short code (docs/smpp.md 3.4)."""

ALPHANUMERIC_LENGTH: Final = 11
"""GSM gives an alphanumeric address eleven 7-bit characters (3GPP 23.040, 9.1.2.5)."""

AGREEING_DIGITS: Final = 7
"""Numbers agree by their last seven digits (R35): some SMSCs drop the country code or write a national prefix."""


class Address(NamedTuple):
    """An SMPP address: type of number, numbering plan, and the address text."""

    ton: int
    npi: int
    addr: str


def source_address(
    sender: str, *, ton: int | None = None, npi: int | None = None, short_code_ton: int = TON_SHORT_CODE
) -> Address:
    """A sender id as SMPP source (docs/smpp.md 3.4): letters 5/0, up to 6 digits a short code x/0, else 1/1.

    ``sender`` is clean already (``clean`` or the alphanumeric text). ``ton`` and ``npi`` given by the customer win,
    each for itself; ``short_code_ton`` is the link's.
    """
    if not _is_digits(sender):
        found = (TON_ALPHANUMERIC, NPI_UNKNOWN)
    elif len(sender) <= SHORT_CODE_DIGITS:
        found = (short_code_ton, NPI_UNKNOWN)
    else:
        found = (TON_INTERNATIONAL, NPI_E164)
    return Address(found[0] if ton is None else ton, found[1] if npi is None else npi, sender)


def clean(text: str, *, min_digits: int = 5, max_digits: int = 15, strip: str = " -()[]") -> str | None:
    """A number as bare digits, or None when it is none.

    Every character of ``strip`` is dropped, then one leading ``+`` or ``00``; what is left must be ``min_digits`` to
    ``max_digits`` ASCII digits. The defaults are Sinch's (docs/dialects/sinch.md 1); a stricter dialect passes its own.
    """
    if not _is_digits(text):
        for char in strip:
            text = text.replace(char, "")
    if text.startswith("+"):
        text = text[1:]
    elif text.startswith("00"):
        text = text[2:]
    return text if min_digits <= len(text) <= max_digits and _is_digits(text) else None


def is_alphanumeric_sender(sender: str, *, max_length: int = ALPHANUMERIC_LENGTH) -> bool:
    """Whether this is a name: 1 to ``max_length`` printable characters of the GSM alphabet, a letter among them."""
    fits = 0 < len(sender) <= max_length and sender.isprintable()
    return fits and any(map(str.isalpha, sender)) and is_gsm(sender)


def agree7(a: str, b: str) -> bool:
    """Whether two numbers end in the same seven digits (R35); shorter ones must be equal, without digits none agree."""
    tail = last_digits(a)
    return tail != "" and tail == last_digits(b)


def last_digits(address: str) -> str:
    """The last seven digits of an address, fewer if it has fewer; other characters do not count."""
    if not _is_digits(address):
        address = "".join(filter(_is_digits, address))
    return address[-AGREEING_DIGITS:]


def _is_digits(text: str) -> bool:
    """ASCII digits only: ``str.isdigit`` alone also takes superscripts and other scripts."""
    return text.isascii() and text.isdigit()
