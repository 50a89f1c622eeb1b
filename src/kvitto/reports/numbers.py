"""Subscribers' numbers as people read them: in groups, with the country they belong to.

Numbering plans are Google's (``phonenumbers``), read when the first number is shown: a server that nobody looks at
never has them in memory, and no message waits for them. They decide nothing: which numbers are taken is each dialect's
own rule on digits. Must not know: who may see a number. Next: ``kvitto.reports.countries``.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from kvitto.reports.countries import NAMES

__all__ = ["Spelled", "spell"]

_KEPT: Final = 10_000
"""Numbers remembered, about 300 octets each: a page shows the same ones again while it is live."""
_NO_COUNTRY: Final = "001"
"""Of numbers that belong to no country, such as freephone and satellite ones."""


class Spelled(NamedTuple):
    """``shown``: "+46 70 174 06 11"; "+" and the digits where no plan knows the number. ``country``: "Sweden",
    "International", or "" where it is not known.
    """

    shown: str
    country: str


@lru_cache(maxsize=_KEPT)
def spell(number: str) -> Spelled:
    """Return how a number (digits, country code first) is shown. Raises: nothing."""
    import phonenumbers  # heavy: see above

    plain = f"+{number}" if number.isdecimal() else number
    try:
        read = phonenumbers.parse(plain)
    except phonenumbers.NumberParseException:
        return Spelled(plain, "")
    region = phonenumbers.region_code_for_number(read)
    if region is None:
        return Spelled(plain, "")
    shown = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return Spelled(shown, "International" if region == _NO_COUNTRY else NAMES.get(region, region))
