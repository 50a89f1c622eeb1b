"""What one part costs on which network, by an operator's price list.

Prices are for showing; nothing is charged here. Must not know: files, vendors. Next: ``kvitto.core.numbering``.
"""

import re
from typing import Final

from kvitto.core.tables import BadTable, read_table

__all__ = ["CURRENCY", "HEADER", "Pricing", "read_pricing"]

HEADER: Final = ("mccmnc", "price", "currency")
CURRENCY: Final = re.compile(r"[A-Z]{3}")
"""ISO 4217."""
_PRICE: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,10})?")


class Pricing:
    """Prices of one part by network; ``default`` and ``currency`` for networks that have none, or are not known."""

    __slots__ = ("_by_network", "_default")

    def __init__(
        self, by_network: dict[str, tuple[float, str]] | None = None, default: float = 0.0, currency: str = "EUR"
    ) -> None:
        self._by_network = by_network or {}
        self._default = (default, currency)

    def price(self, mccmnc: str | None) -> tuple[float, str]:
        """Return the price of one part to this network, and its currency."""
        return self._default if mccmnc is None else self._by_network.get(mccmnc, self._default)


def read_pricing(text: str, default: float = 0.0, currency: str = "EUR") -> Pricing:
    """Read a table ``mccmnc,price,currency``. Raises: BadTable naming the line."""
    by_network: dict[str, tuple[float, str]] = {}
    for line, (mccmnc, price, money) in read_table(text, HEADER):
        if not re.fullmatch(r"[0-9]{5,6}", mccmnc):
            raise BadTable(line, "must have 5 or 6 digits", field="mccmnc", value=mccmnc)
        if not _PRICE.fullmatch(price):
            raise BadTable(line, "must be a number such as 0.045", field="price", value=price)
        if not CURRENCY.fullmatch(money):
            raise BadTable(line, "must be three capital letters, such as EUR", field="currency", value=money)
        if mccmnc in by_network:
            raise BadTable(line, "is there twice", field="mccmnc", value=mccmnc)
        by_network[mccmnc] = (float(price), money)
    return Pricing(by_network, default, currency)
