"""Tables that operators give as CSV: read whole, or refused with line and reason.

Must not know: files. Next: ``kvitto.core.numbering``, ``kvitto.core.pricing``.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["MOST_LINES", "BadTable", "read_table"]

MOST_LINES: Final = 1_000_000
"""Lines of a table; numbering plans of the whole world have about 50 000."""


class BadTable(ValueError):
    """A line that is wrong. ``line``: from 1, the header's; ``reason``: what is expected there."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def read_table(text: str, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines below the header with their numbers, fields trimmed; empty lines are passed over.

    Raises: BadTable for another header, another number of fields, or more than ``MOST_LINES``.
    """
    reader = csv.reader(text.removeprefix("\ufeff").splitlines())
    first = [field.strip() for field in next(reader, [])]
    if first != list(header):
        raise BadTable(1, f"the header must be {','.join(header)}")
    for fields in reader:
        if reader.line_num > MOST_LINES:
            raise BadTable(reader.line_num, f"more than {MOST_LINES} lines")
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(header):
            raise BadTable(reader.line_num, f"{len(header)} fields wanted, {len(fields)} found")
        yield reader.line_num, [field.strip() for field in fields]
