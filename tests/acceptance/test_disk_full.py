"""Disk full (P24): refuse, never corrupt. Sends get 503, receipts no acknowledgement, reading goes on, all of it ends.

With SQLite the data directory stands on a small tmpfs, with PostgreSQL the database's tablespace does (its log
of changes is elsewhere: a PostgreSQL that cannot write that one stops by itself, which is P25's case). Without root
SQLite's case is made by the process's limit on the size of files; PostgreSQL's needs root.
"""

import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.judge import verdict_at_rest
from tests.support.ledger import LoadPlan
from tests.support.pcluster import Rig
from tests.support.postgres import PostgresCluster
from tests.support.tightdisk import LimitedFiles, SmallDisk, TightDisk, is_root

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

DISK_MIB = 256
"""Room for what SQLite's log may grow to between two checkpoints (64 MiB, and as much again while one is made)."""
FULL_S = 3.0
"""How long it stays full once the first send was refused."""
BACK_S = 10.0
"""After new space, all flows again within this (P24)."""
PLAN = LoadPlan(connections=6, recipients_max=6, pause_s=0.005, long_share=0.1)
DELAYED = (200.0, 1500.0)
"""Receipts keep coming while the disk is full."""


def until(true: Callable[[], object], within_s: float, what: str, rig: Rig) -> float:
    """Wait; gives back how long it took (seconds)."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, f"{what}: not within {within_s:g} s\n{rig.server.log_tail()}"
        time.sleep(0.02)
    return time.monotonic() - began


def read_one(rig: Rig) -> int:
    """The HTTP status of reading the first acknowledged batch."""
    batch_id = rig.ledger.entries()[0].batch_id
    url = f"{rig.server.origin}/xms/v1/{rig.keys.service_plan_id}/batches/{batch_id}/delivery_report"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {rig.keys.api_token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


async def live_through_it(rig: Rig, disk: TightDisk) -> None:
    """Load, no room, room again; then the judge."""
    record, ledger = rig.smsc.record, rig.ledger
    with ledger:
        until(lambda: ledger.acknowledged > 50, 20, "load", rig)
        disk.fill()
        until(lambda: ledger.refused.get(503), 60, "a send answered 503", rig)
        # What was begun before may still be told of; from here on nothing can be stored.
        time.sleep(0.5)
        acknowledged, answered = ledger.acknowledged, sum(record.answered.values())
        until(lambda: record.refused_receipts > 0, 20, "a receipt that is not acknowledged", rig)
        time.sleep(FULL_S)
        assert set(ledger.refused) == {503}, ledger.refused
        assert (ledger.acknowledged, sum(record.answered.values())) == (acknowledged, answered), "stored on a full disk"
        assert read_one(rig) == 200

        disk.free()
        within_s = until(lambda: ledger.acknowledged > acknowledged, BACK_S, "sends after new space", rig)
        within_s += until(
            lambda: sum(record.answered.values()) > answered, BACK_S - within_s, "receipts after new space", rig
        )
        time.sleep(1.0)
    verdict = await verdict_at_rest(rig)
    story = (
        f"all flows {within_s:.1f} s after new space; refused {ledger.refused}, "
        f"{record.refused_receipts} receipts not acknowledged\n{verdict.explain()}"
    )
    print(story)
    assert verdict.good, story
    assert verdict.in_doubt == [], "nobody was killed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Path], SmallDisk]]:
    """Make a small disk somewhere; gone after the test."""
    made: list[SmallDisk] = []

    def make(path: Path) -> SmallDisk:
        made.append(SmallDisk(path, mib=DISK_MIB))
        return made[-1]

    yield make
    for disk in made:
        disk.remove()


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


@pytest.mark.parametrize(
    "kind", [pytest.param("tmpfs", marks=pytest.mark.skipif(not is_root(), reason="needs root to mount")), "limit"]
)
async def test_p24_disk_full_refuses_and_never_corrupts_with_sqlite(tmp_path: Path, kind, small_disk, watch):
    disk: TightDisk | None = small_disk(tmp_path / "data") if kind == "tmpfs" else None
    rig = Rig(tmp_path, window=20, binds=2, delay_ms=DELAYED, plan=PLAN)
    watch(rig.server)
    with rig:
        await live_through_it(rig, disk or LimitedFiles(rig.server.data_dir, lambda: rig.server.pid))
        rig.server.stop()
        assert integrity(rig.server.data_dir / "kvitto.db") == "ok"


@pytest.mark.postgres
@pytest.mark.skipif(not is_root(), reason="needs root to mount")
async def test_p24_disk_full_refuses_and_never_corrupts_with_postgresql(
    tmp_path: Path, own_postgres: PostgresCluster, small_disk, watch
):
    disk = small_disk(own_postgres.directory / "small")
    dsn = own_postgres.create_database_on(disk.path)
    rig = Rig(tmp_path, dsn=dsn, window=20, binds=2, delay_ms=DELAYED, plan=PLAN)
    watch(rig.server)
    with rig:
        await live_through_it(rig, disk)
        rig.server.stop()
