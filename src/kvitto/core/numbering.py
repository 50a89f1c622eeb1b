"""Which network a number belongs to, by the longest prefix of an operator's table.

Numbers are ported between networks, so this is what the plan says, not what the SMSC finds. Must not know: files,
vendors. Next: ``kvitto.core.pricing``.
"""

from typing import Final, NamedTuple

from kvitto.core.tables import BadTable, read_table

__all__ = ["HEADER", "Network", "Numbering", "read_numbering"]

HEADER: Final = ("prefix", "mcc", "mnc", "network", "country")
_MOST_DIGITS: Final = 15


class Network(NamedTuple):
    """A mobile network: MCC (3 digits), MNC (2 or 3), its name, its country (ISO 3166, two letters, or "")."""

    mcc: str
    mnc: str
    name: str
    country: str

    @property
    def mccmnc(self) -> str:
        """MCC and MNC as one, such as "22801"."""
        return self.mcc + self.mnc


class Numbering:
    """Prefixes and their networks."""

    __slots__ = ("_by_prefix", "_lengths")

    def __init__(self, by_prefix: dict[str, Network]) -> None:
        self._by_prefix = by_prefix
        self._lengths = sorted({len(prefix) for prefix in by_prefix}, reverse=True)

    def network(self, number: str) -> Network | None:
        """Return the network of the longest prefix of this number (digits); None when there is none."""
        for length in self._lengths:
            found = self._by_prefix.get(number[:length])
            if found is not None:
                return found
        return None

    def mccmnc(self, number: str) -> str | None:
        """Return MCC and MNC, such as "22801"; None when it is not known."""
        found = self.network(number)
        return None if found is None else found.mccmnc

    def __len__(self) -> int:
        return len(self._by_prefix)


def read_numbering(text: str) -> Numbering:
    """Read a table ``prefix,mcc,mnc,network,country``. Raises: BadTable naming the line."""
    by_prefix: dict[str, Network] = {}
    for line, (prefix, mcc, mnc, name, country) in read_table(text, HEADER):
        if not _digits(prefix, 1, _MOST_DIGITS):
            reason = f"must have 1 to {_MOST_DIGITS} digits, country code first, no +"
            raise BadTable(line, reason, field="prefix", value=prefix)
        if not _digits(mcc, 3, 3):
            raise BadTable(line, "must have 3 digits", field="mcc", value=mcc)
        if not _digits(mnc, 2, 3):
            raise BadTable(line, "must have 2 or 3 digits", field="mnc", value=mnc)
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise BadTable(line, "must be two letters, or empty", field="country", value=country)
        if prefix in by_prefix:
            raise BadTable(line, "is there twice", field="prefix", value=prefix)
        by_prefix[prefix] = Network(mcc, mnc, name, country.upper())
    return Numbering(by_prefix)


def _digits(text: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and text.isascii() and text.isdigit()
