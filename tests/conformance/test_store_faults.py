"""A database away, full or locked: ``StoreUnavailable``, nothing half-stored, and on it goes afterwards (P24, P25)."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import BatchFilter
from kvitto.core.status import Status
from kvitto.store import schema as t
from kvitto.store import sqlite as sqlite_room
from kvitto.store.migrations import upgrade
from kvitto.store.postgres import PostgresTx
from kvitto.store.sealing import Seal
from kvitto.store.sqlite import SqliteTx
from kvitto.store.statements import Statement
from tests.conformance.house import House
from tests.support.clock import FakeClock
from tests.support.postgres import PostgresCluster

COUNT = Statement(lambda _: select(func.count()).select_from(t.message))


async def count(house: House) -> int:
    return (await house.look(select(func.count()).select_from(t.message)))[0][0]


async def failures(*futures) -> list:
    return [type(one) for one in await asyncio.gather(*futures, return_exceptions=True)]


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_p25_while_postgres_is_away_verbs_fail_and_afterwards_all_goes_on(own_postgres: PostgresCluster, how):
    dsn = own_postgres.create_database()
    await asyncio.to_thread(upgrade, dsn)
    house = House(dsn, FakeClock())
    await house.start()
    (message,) = await house.dispatch()
    batch = house.plan(3)
    await asyncio.to_thread(own_postgres.stop if how == "stop" else own_postgres.kill)
    for _ in range(2):
        assert (
            await failures(
                house.store.accept_batch(batch),
                house.claim(),
                house.receipt_for(message),
                house.store.check(),
                house.store.fetch_batch(house.account.id, batch.batch.id),
                house.store.list_batches(house.account.id, BatchFilter(), 0, 10),
            )
            == [StoreUnavailable] * 6
        )
    await asyncio.to_thread(own_postgres.start)
    assert await house.store.fetch_batch(house.account.id, batch.batch.id) is None
    assert await count(house) == 1
    assert await house.store.accept_batch(batch) == batch
    await house.receipt_for(message)
    assert (await house.status(message))[0] is Status.DELIVERED
    await house.store.check()
    await house.stop()


@pytest.mark.postgres
async def test_p25_a_start_while_postgres_is_away_can_be_made_good(own_postgres: PostgresCluster):
    dsn = own_postgres.create_database()
    await asyncio.to_thread(upgrade, dsn)
    house = House(dsn, FakeClock())
    await house.start()
    (message,) = await house.send()
    await house.claim()
    await house.store.stop()
    await asyncio.to_thread(own_postgres.stop)
    with pytest.raises(StoreUnavailable):
        await house.store.start()
    await asyncio.to_thread(own_postgres.start)
    await house.store.start()
    assert [part.message_id for part in await house.store.list_in_doubt(None)] == [message]
    await house.stop()


async def test_p25_killed_backends_are_replaced(postgres_house: House, postgres_cluster: PostgresCluster):
    house = postgres_house
    (message,) = await house.send()
    await house.view(message)
    database = house.url.rpartition("/")[2]
    await asyncio.to_thread(
        postgres_cluster.execute,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{database}' AND application_name = 'kvitto'",
    )
    assert await failures(house.claim()) in ([StoreUnavailable], [list])
    await house.claim()
    assert (await house.view(message)).id == message


def test_a_connection_lost_within_a_transaction_stores_nothing_of_it(
    postgres_url: str, postgres_cluster: PostgresCluster
):
    tx: Any = PostgresTx(postgres_url, read_only=False)
    watcher = PostgresTx(postgres_url, read_only=False)
    insert = Statement(lambda _: t.token.insert().values(hash="x", account_id="a", created_at=1))
    again = Statement(lambda _: t.token.insert().values(hash="y", account_id="a", created_at=1))
    tokens = Statement(lambda _: select(t.token.c.hash))
    tx.begin()
    tx.run(insert)
    tx._connection.terminate()  # the server has gone between two statements
    tx._loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(StoreUnavailable):
        tx.run(again)
    assert watcher.run(tokens) == []
    tx.rollback()
    tx.begin()
    tx.run(again)
    tx.commit()
    assert [row[0] for row in watcher.run(tokens)] == ["y"]
    tx.begin()
    tx.run(insert)
    tx._connection.terminate()
    with pytest.raises(StoreUnavailable):
        tx.commit()
    assert [row[0] for row in watcher.run(tokens)] == ["y"]
    tx.close()
    watcher.close()


def test_two_nodes_never_draw_the_same_number(postgres_url: str):
    def draw(counts: list[int]) -> list[int]:
        tx = PostgresTx(postgres_url, read_only=False)
        numbers: list[int] = []
        for count in counts:
            tx.begin()
            numbers.extend(tx.new_ids(count))
            tx.commit()
        tx.close()
        return numbers

    counts = [1, 2, 0, 999, 1500, 3, 2501] * 6
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(draw, [counts, counts])
    for numbers in (first, second):
        assert numbers == sorted(set(numbers))
        assert len(numbers) == sum(counts)
    assert not set(first) & set(second)


def test_a_reading_connection_cannot_write(postgres_url: str):
    tx = PostgresTx(postgres_url, read_only=True)
    with pytest.raises(StoreUnavailable):
        tx.run(Statement(lambda _: t.token.delete()))
    tx.close()


# --- SQLite --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def sqlite_house(sqlite_url: str, clock: FakeClock):
    house = House(sqlite_url, clock)
    await house.start()
    yield house
    await house.stop()


async def test_p24_while_the_disk_is_full_verbs_fail_reading_goes_on_and_nothing_is_half_stored(sqlite_house: House):
    house = sqlite_house
    (message,) = await house.dispatch()
    connection = house.store.commits._tx._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    big, small = house.plan(2000), house.plan(2000)
    assert await failures(house.store.accept_batch(big), house.store.accept_batch(small)) == [StoreUnavailable] * 2
    assert await house.store.fetch_batch(house.account.id, big.batch.id) is None
    assert await count(house) == 1
    connection.execute(f"PRAGMA max_page_count={pages + 100_000}")
    assert await house.store.accept_batch(big) == big
    await house.receipt_for(message)
    assert (await house.status(message))[0] is Status.DELIVERED
    assert await count(house) == 2001


async def test_another_process_that_writes_is_waited_for_and_then_given_up(sqlite_url: str, clock, monkeypatch):
    monkeypatch.setattr(sqlite_room, "BUSY_S", 0.05)
    house = House(sqlite_url, clock)
    await house.start()
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    new = house.plan()
    assert await failures(house.store.accept_batch(new)) == [StoreUnavailable]
    assert await house.store.fetch_batch(house.account.id, new.batch.id) is None
    other.execute("ROLLBACK")
    assert await house.store.accept_batch(new) == new
    other.close()
    await house.stop()


async def test_a_program_beside_the_server_writes_to_the_same_file(sqlite_house: House):
    beside = await sqlite_house.second(node="cli")
    plans = [sqlite_house.plan() for _ in range(40)]
    stores = [sqlite_house.store, beside]
    accepted = await asyncio.gather(*[stores[at % 2].accept_batch(new) for at, new in enumerate(plans)])
    assert [stored.batch.id for stored in accepted] == [new.batch.id for new in plans]
    ids = [new.messages[0].id for new in plans]
    for store in stores:
        await sqlite_house.claim(20, store=store)
    for at, message in enumerate(ids):
        await sqlite_house.answer(message, message, store=stores[at % 2])
    assert await sqlite_house.look(select(t.message.c.status).distinct()) == [("DISPATCHED",)]


async def test_a_file_that_is_no_database_is_unavailable(tmp_path, clock):
    path = tmp_path / "kvitto.db"
    path.write_bytes(b"this is no database at all, whatever its name says" * 100)
    house = House(f"sqlite:///{path}", clock)
    with pytest.raises(StoreUnavailable):
        await house.store.start()
    await house.store.stop()


async def test_a_directory_that_is_not_there_is_unavailable(tmp_path, clock):
    house = House(f"sqlite:///{tmp_path}/none/kvitto.db", clock, seal=Seal.fresh())
    with pytest.raises(StoreUnavailable):
        await house.store.start()
    await house.store.stop()


def test_a_sqlite_reader_cannot_write(sqlite_url: str):
    tx = SqliteTx(sqlite_url.removeprefix("sqlite:///"), read_only=True)
    with pytest.raises(StoreUnavailable):
        tx.run(Statement(lambda _: t.token.delete()))
    assert tx.run(COUNT) == [(0,)]
    tx.close()


def test_commits_are_synced_to_disk(sqlite_url: str):
    tx = SqliteTx(sqlite_url.removeprefix("sqlite:///"), read_only=False)
    assert tx._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert tx._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    tx.close()


async def test_reads_after_stop_say_that_the_store_is_closed(house: House):
    await house.store.stop()
    with pytest.raises(StoreUnavailable):
        await house.store.count_backlog()
    with pytest.raises(StoreUnavailable):
        await house.store.accept_batch(house.plan())
