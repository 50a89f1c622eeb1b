"""Instants on the command line: ISO-8601 with a zone, or how long ago (``90s``, ``30m``, ``2h``, ``7d``). Pure."""

import re
from datetime import UTC, datetime
from typing import Final

from kvitto.core.errors import BadInput

__all__ = ["is_relative", "read_instant"]

_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def is_relative(text: str) -> bool:
    """Whether it says how long ago, so that it means another instant each time."""
    return _AGO.fullmatch(text) is not None


def read_instant(option: str, text: str, now: int) -> int:
    """Read into ms UTC; a timestamp without a zone is UTC. Raises: BadInput naming the option."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        at = datetime.fromisoformat(text)
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        wanted = "an ISO-8601 timestamp such as 2031-03-09T05:06:07Z, or how long ago: 90s, 30m, 2h, 7d"
        raise BadInput(option, f"{text!r}: wanted {wanted}") from None
