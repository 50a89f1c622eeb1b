"""The overview costs the same whatever the number of messages: counted in SQLite's own steps, not in milliseconds.

``KVITTO_TEST_OVERVIEW_MESSAGES`` says how many (``make overview``: ten million).
"""

import os
import sqlite3
import time
from pathlib import Path

from kvitto.core.status import Status
from kvitto.reports import Reader
from kvitto.reports.overview import SPANS
from kvitto.reports.reader import Overview
from kvitto.store.office import Look
from tests.conformance.house import House
from tests.support.clock import FakeClock
from tests.support.office import migrated_copy

FEW = 10_000
MANY = int(os.environ.get("KVITTO_TEST_OVERVIEW_MESSAGES", "100000"))
STEP = 100
"""SQLite tells of each hundredth step of its machine."""


class Counting:
    """Counts the steps that the store's reading connections take."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.steps = 0

    def _tick(self) -> int:
        self.steps += 1
        return 0

    async def cost(self, work) -> int:
        """Steps of ``work``, in hundreds."""
        await work()  # connections are open and statements compiled
        for reader in self.house.store._open_readers:
            reader._connection.set_progress_handler(self._tick, STEP)
        self.steps = 0
        await work()
        return self.steps


def fill(path: Path, to: int) -> None:
    """Messages of the one there is, again and again, as rows: their counts are not what is asked here."""
    with sqlite3.connect(path) as database:
        (have,) = database.execute("SELECT count(*) FROM message").fetchone()
        for table, key in (("message", "id"), ("part", "message_id"), ("receipt", "message_id"), ("batch", "id")):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            shown = ", ".join(
                "printf('%s%06d%s', substr(b.%(k)s, 1, 16), n, substr(b.%(k)s, 23))".replace("%(k)s", key)
                if name == key
                else f"(SELECT max(id) FROM receipt) + n - {have} + 1"
                if name == "id"
                else f"b.{name}"
                for name in columns
            )
            database.execute(
                f"WITH RECURSIVE c(n) AS (SELECT {have} UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {to}) "
                f"INSERT INTO {table} SELECT {shown} FROM c, (SELECT * FROM {table} ORDER BY {key} LIMIT 1) b"
            )
    database.close()


async def test_the_overview_reads_as_much_with_ten_times_the_messages(tmp_path: Path):
    path = migrated_copy(tmp_path)
    house = House(f"sqlite:///{path}", FakeClock())
    await house.start()
    try:
        (sent,) = await house.dispatch(1)
        await house.receipt_for(sent)
        reader, counting = Reader(house.store, house.store.office, house.clock), Counting(house)
        shown: list[Overview] = []

        async def look() -> None:
            shown.append(await reader.overview(None, SPANS["24h"]))
            shown.append(await reader.overview(house.account.id, SPANS["1h"]))

        fill(path, FEW)
        few = await counting.cost(look)
        fill(path, MANY)
        began = time.monotonic()
        many = await counting.cost(look)
        took_ms = (time.monotonic() - began) * 1000 / 2
        print(f"steps: {few * STEP} with {FEW} messages, {many * STEP} with {MANY}; {took_ms:.1f} ms for two overviews")
        assert shown[-1].figures.ended == {Status.DELIVERED: 1}
        assert many <= 2 * few, "a scan would have ten times as many"
    finally:
        await house.stop()


async def test_a_search_by_number_reads_as_much_with_ten_times_the_messages(tmp_path: Path):
    path = migrated_copy(tmp_path)
    house = House(f"sqlite:///{path}", FakeClock())
    await house.start()
    try:
        (other,) = await house.send(1)
        (sent,) = await house.send(1, to=["46700009999"])
        counting, office = Counting(house), house.store.office

        async def look() -> None:
            found = await office.search(Look(house.account.id, to="46700009999"))
            assert [row.id for row in found.rows] == [sent]

        few = await counting.cost(look)
        fill_messages(path, other, FEW)
        assert await counting.cost(look) <= few + 1
    finally:
        await house.stop()


def fill_messages(path: Path, like: str, count: int) -> None:
    with sqlite3.connect(path) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(message)")]
        shown = ", ".join(
            "printf('%s%06d%s', substr(b.id, 1, 16), n, substr(b.id, 23))" if name == "id" else f"b.{name}"
            for name in columns
        )
        database.execute(
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) "
            f"INSERT INTO message SELECT {shown} FROM c, (SELECT * FROM message WHERE id = ?) b",
            (like,),
        )
    database.close()
