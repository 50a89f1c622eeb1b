"""Fills a store with messages in a given state, fast, through the schema's own columns: for backlogs and large stores.

    python -m bench.filler URL --messages N [--state queued|dispatched|delivered] [--account NAME] ...

The database is migrated and has the account (``kvitto account create`` does both); the server does not run. Rows are
written as the verbs would have left them, in bulk and without an fsync a group: some 100 000 messages a second. What a
filled store does not have is the past of its messages: events, raw receipts, finished callbacks.

Message ``i`` (from 0) has the recipient ``first_number + i`` and, once sent, the SMSC's id ``first_id + i`` in decimal,
so that whoever plays the SMSC knows both without being told.
"""

import argparse
import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import asyncpg
from sqlalchemy import Table

from kvitto.core.clock import SystemClock
from kvitto.core.ids import IdMaker, message_ids
from kvitto.core.model import Feed
from kvitto.store import schema as t

__all__ = ["FIRST_ID", "FIRST_NUMBER", "TABLES", "Fill", "State", "fill", "main"]

FIRST_NUMBER: Final = 46_700_000_000
FIRST_ID: Final = 5_000_000_000
DAY_MS: Final = 86_400_000
CHUNK_BATCHES: Final = 50
_TEXT: Final = "Your parcel is here"


class State(StrEnum):
    """How far the messages have come."""

    QUEUED = "queued"
    DISPATCHED = "dispatched"
    """Accepted by the SMSC, no receipt yet."""
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What is made. ``batch``: recipients of each. ``age_ms``: how long ago they were accepted.

    ``notify``: a word of ``core.model.Notify``; ``callback_url``: of the batches. ``due_in_ms``: of queued messages.
    """

    messages: int
    state: State = State.QUEUED
    batch: int = 1000
    account: str = "bench"
    link: str = "smsc"
    notify: str = "none"
    callback_url: str | None = None
    first_number: int = FIRST_NUMBER
    first_id: int = FIRST_ID
    age_ms: int = 60_000
    due_in_ms: int = 0


class _At:
    """A clock that stands, for ids of the past."""

    def __init__(self, at: int) -> None:
        self._at = at

    def now(self) -> int:
        """The instant."""
        return self._at

    def monotonic(self) -> float:
        """Unused by ids."""
        return 0.0


# fmt: off
_BATCH: Final = (
    "id", "account_id", "dialect", "sender", "recipients", "content", "kind", "notify", "callback_url", "created_at",
    "modified_at", "expire_at", "feedback", "extra", "pending", "feed",
)
_MESSAGE: Final = (
    "id", "account_id", "recipient", "route", "parts", "status", "reason", "since_at", "done_at", "error_source",
    "notes", "attempts", "created_at", "due_at", "deadline_at",
)
_PART: Final = (
    "message_id", "part_no", "account_id", "link", "grp", "node", "state", "status", "reason", "since_at",
    "error_source", "written_at", "answered_at", "smsc_message_id", "folded_id",
)
# fmt: on
_STATUS: Final = {
    State.QUEUED: ("QUEUED", "queued"),
    State.DISPATCHED: ("DISPATCHED", "accepted"),
    State.DELIVERED: ("DELIVERED", "delivered"),
}

_Rows = list[tuple[Any, ...]]


def _chunks(what: Fill, account_id: str, now: int) -> Iterator[tuple[_Rows, _Rows, _Rows]]:
    """Rows of batches, messages and parts, some batches at a time."""
    at = now - what.age_ms
    ids = IdMaker(_At(at))
    starts = iter(range(0, what.messages, what.batch))
    while chunk := list(islice(starts, CHUNK_BATCHES)):
        batches: _Rows = []
        messages: _Rows = []
        parts: _Rows = []
        for start in chunk:
            _add_batch(what, account_id, ids.new(), start, at, (batches, messages, parts))
        yield batches, messages, parts


def _add_batch(
    what: Fill, account_id: str, batch_id: str, start: int, at: int, into: tuple[_Rows, _Rows, _Rows]
) -> None:
    batches, messages, parts = into
    count = min(what.batch, what.messages - start)
    queued, final = what.state is State.QUEUED, what.state is State.DELIVERED
    status, reason = _STATUS[what.state]
    expire_at = at + 3 * DAY_MS
    due_at = at + what.age_ms + what.due_in_ms if queued and what.due_in_ms else at if queued else None
    deadline_at = None if final else expire_at
    numbers = [str(what.first_number + start + n) for n in range(count)]
    recipients = '["' + '","'.join(numbers) + '"]'
    content = f'{{"text":"{_TEXT}"}}'
    batch = (batch_id, account_id, "sinch", "Kvitto", recipients, content, "text", what.notify, what.callback_url)
    batches.append((*batch, at, at, expire_at, False, "{}", 0 if final else count, str(Feed.OTHER)))
    done_at, attempts = (at if final else None), (0 if queued else 1)
    ids = message_ids(batch_id, count)
    for message_id, number in zip(ids, numbers, strict=True):
        message = (message_id, account_id, number, "", 1, status, reason, at, done_at, "none", 0, attempts)
        messages.append((*message, at, due_at, deadline_at))
    if not queued:
        for n, message_id in enumerate(ids, what.first_id + start):
            part = (message_id, 1, account_id, what.link, what.link, "main", "accepted", "QUEUED", "in_flight", at)
            parts.append((*part, "none", at, at, str(n), str(n)))


TABLES: Final[tuple[tuple[Table, tuple[str, ...]], ...]] = ((t.batch, _BATCH), (t.message, _MESSAGE), (t.part, _PART))
"""The tables that are filled, each with the columns that get a value."""


_NOW: Final = {State.QUEUED: "now:QUEUED", State.DISPATCHED: "now:DISPATCHED"}
_COUNT: Final = (
    "INSERT INTO tally (account_id, at, name, node, value) VALUES ('{}', 0, '{}', 'main', {}) "
    "ON CONFLICT (account_id, at, name, node) DO UPDATE SET value = tally.value + excluded.value"
)


def _tallies(what: Fill, account_id: str) -> list[tuple[str, str, int]]:
    """The counts of what stands, as the verbs keep them: (account, name, how many more)."""
    return [(whose, _NOW[what.state], what.messages) for whose in (account_id, "") if what.state in _NOW]


def _fill_sqlite(path: str, what: Fill, now: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-262144", "wal_autocheckpoint=50000"):
            connection.execute(f"PRAGMA {pragma}")
        account_id = _the_one(connection.execute("SELECT id FROM account WHERE name = ?", (what.account,)).fetchall())
        for chunk in _chunks(what, account_id, now):
            connection.execute("BEGIN")
            for (table, columns), rows in zip(TABLES, chunk, strict=True):
                marks = ",".join("?" * len(columns))
                connection.executemany(f"INSERT INTO {table.name} ({','.join(columns)}) VALUES ({marks})", rows)
            connection.execute("COMMIT")
        for one in _tallies(what, account_id):
            connection.execute(_COUNT.format(*one))
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


async def _fill_postgres(dsn: str, what: Fill, now: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        account_id = _the_one(await connection.fetch("SELECT id FROM account WHERE name = $1", what.account))
        for chunk in _chunks(what, account_id, now):
            for (table, columns), rows in zip(TABLES, chunk, strict=True):
                if rows:
                    await connection.copy_records_to_table(table.name, records=rows, columns=columns)
        for one in _tallies(what, account_id):
            await connection.execute(_COUNT.format(*one))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _the_one(rows: Sequence[Any]) -> str:
    if not rows:
        raise SystemExit("bench.filler: no such account")
    return str(rows[0][0])


def fill(url: str, what: Fill) -> None:
    """Fill the store behind ``sqlite:///PATH`` or ``postgresql://...``. Blocking; raises SystemExit without account."""
    now = SystemClock().now()
    path = url.removeprefix("sqlite:///")
    if path == url:
        asyncio.run(_fill_postgres(url, what, now))
    else:
        _fill_sqlite(path, what, now)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.filler")
    parser.add_argument("url")
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--state", type=State, choices=list(State), default=State.QUEUED)
    parser.add_argument("--account", default="bench")
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    began = time.monotonic()
    what = Fill(messages=options.messages, state=options.state, account=options.account, batch=options.batch)
    fill(options.url, what)
    print(f"{options.messages:,} messages in {time.monotonic() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
