"""Tables that operators give as CSV: read whole, or refused with line and reason.

Must not know: files. Next: ``kvitto.core.numbering``, ``kvitto.core.pricing``.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["MOST_LINES", "BadTable", "read_table"]

MOST_LINES: Final = 1_000_000
"""Lines of a table; numbering plans of the whole world have about 50 000."""

_MOST_SHOWN: Final = 60
"""Characters of a wrong value that an error repeats."""


class BadTable(ValueError):
    """A line that is wrong. ``line``: from 1, the header's; ``field``: the column, "" for the line as a whole;
    ``value``: what stands there; ``reason``: what is expected.
    """

    def __init__(self, line: int, reason: str, *, field: str = "", value: str = "") -> None:
        shown = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}..."
        what = f"{field} = {json.dumps(shown, ensure_ascii=False)}: " if field else ""
        super().__init__(f"line {line}: {what}{reason}")
        self.line = line
        self.field = field
        self.value = value
        self.reason = reason


def read_table(text: str, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines below the header with their numbers, fields trimmed; empty lines are passed over.

    Raises: BadTable for another header, another number of fields, or more than ``MOST_LINES``.
    """
    reader = csv.reader(text.removeprefix("\ufeff").splitlines())
    first = [field.strip() for field in next(reader, [])]
    if first != list(header):
        raise BadTable(1, f"must be {','.join(header)}", field="header", value=",".join(first))
    for fields in reader:
        if reader.line_num > MOST_LINES:
            raise BadTable(reader.line_num, f"more than {MOST_LINES} lines")
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(header):
            raise BadTable(reader.line_num, f"{len(header)} fields wanted, {len(fields)} found")
        yield reader.line_num, [field.strip() for field in fields]
