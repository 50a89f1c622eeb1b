"""How the simulator writes ids and receipts where a scenario says so: bases, padding, templates, dates, TLVs. Pure.

``STANDARD`` is what it does by itself, and never comes here: ``receipts.receipt_pdu`` writes that form directly. Must
not know: sockets, outcomes. Read next: ``receipts.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

__all__ = ["DATES", "STANDARD", "IdStyle", "Style"]

DATES: Final[Mapping[str, str]] = {
    "YYMMDDhhmm": "%y%m%d%H%M",
    "YYMMDDhhmmss": "%y%m%d%H%M%S",
    "YYYYMMDDhhmm": "%Y%m%d%H%M",
    "YYYYMMDDhhmmss": "%Y%m%d%H%M%S",
}
"""The forms of dates, with what ``strftime`` calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdStyle:
    """One place's way to write an id. ``width``: filled up with zeros to so many characters, the prefix not counted."""

    hexadecimal: bool = False
    width: int = 0
    upper: bool = False
    prefix: str = ""

    def write(self, number: int, uuid: str) -> str:
        """The id as text; ``uuid`` instead of the number when it is not empty."""
        text = uuid or (f"{number:x}" if self.hexadecimal else str(number))
        return self.prefix + (text.upper() if self.upper else text).rjust(self.width, "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a message's ids and receipts are written.

    ``template``: with the names of docs/simulator.md in braces, empty for the standard text. ``payload``: the text
    stands in message_payload; ``textless``: nowhere. ``tlvs``: tags that are sent. ``dates``: of ``strftime``.
    """

    response: IdStyle = IdStyle()
    text: IdStyle = IdStyle()
    tlv: IdStyle = IdStyle()
    template: str = ""
    data_sm: bool = False
    payload: bool = False
    textless: bool = False
    tlvs: frozenset[int] = frozenset()
    dates: str = DATES["YYMMDDhhmm"]
    zone: tzinfo = field(default=UTC)
    ucs2: bool = False
    swap: bool = True
    unasked: bool = False

    def date(self, at: int) -> str:
        """``at`` (milliseconds UTC) as the receipts of this style write it."""
        return f"{datetime.fromtimestamp(at / 1000, self.zone):{self.dates}}"


STANDARD: Final = Style()
"""The standard text, decimal ids, all TLVs, dates in UTC to the minute."""
