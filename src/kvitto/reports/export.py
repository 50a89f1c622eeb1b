"""A batch as a file: CSV or NDJSON, a line for each recipient, written as it is read so that it never stands in memory.

A cell that a spreadsheet would take for a formula gets an apostrophe before it. Must not know: HTTP. Next:
``kvitto.reports.reader``.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Final

from kvitto.core.words import describe_error, explain
from kvitto.reports.times import iso
from kvitto.store.office import Row

__all__ = ["COLUMNS", "csv_lines", "ndjson_lines"]

COLUMNS: Final = ("message_id", "to", "status", "reason", "error", "since", "done", "parts", "why")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Pages = AsyncIterator[list[Row]]
Show = Callable[[str], str]
"""A number as the reader may see it."""


def _cells(row: Row, show: Show) -> tuple[str, ...]:
    return (
        row.id,
        show(row.recipient),
        row.status,
        row.reason,
        describe_error(row.error),
        iso(row.since_at) or "",
        iso(row.done_at) or "",
        str(row.parts),
        explain(row.status, row.reason, row.notes, row.error),
    )


async def csv_lines(pages: Pages, show: Show) -> AsyncIterator[bytes]:
    """RFC 4180 with a head, UTF-8."""
    yield _csv([COLUMNS])
    async for page in pages:
        yield _csv([tuple(_safe(cell) for cell in _cells(row, show)) for row in page])


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


async def ndjson_lines(pages: Pages, show: Show) -> AsyncIterator[bytes]:
    """A JSON object a line."""
    async for page in pages:
        lines = [json.dumps(dict(zip(COLUMNS, _cells(row, show), strict=True)), ensure_ascii=False) for row in page]
        if lines:
            yield ("\n".join(lines) + "\n").encode()
