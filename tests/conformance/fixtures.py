"""Fixtures of the store suite: every test that asks for ``house`` or ``url`` runs on SQLite and on PostgreSQL.

Migrating is done once a worker; a test gets a copy of the migrated file, or PostgreSQL's database emptied.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from kvitto.store.migrations import upgrade
from kvitto.store.schema import metadata
from tests.conformance.house import House
from tests.support.clock import FakeClock
from tests.support.postgres import PostgresCluster

__all__ = ["house", "migrated_file", "migrated_postgres", "postgres_house", "postgres_url", "sqlite_url", "url"]


class _Emptied:
    """One migrated PostgreSQL database of this worker, emptied between tests."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(dsn))
        self._sql = "; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables)

    def empty(self) -> None:
        self._loop.run_until_complete(self._connection.execute(self._sql))

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "kvitto.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_cluster: PostgresCluster) -> Iterator[_Emptied]:
    """A migrated PostgreSQL database of this worker's own."""
    template = postgres_cluster.template("store_head", upgrade)
    dsn = postgres_cluster.create_database(template=template)
    database = _Emptied(dsn)
    yield database
    database.close()
    postgres_cluster.drop_database(dsn)


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A migrated, empty SQLite database."""
    path = tmp_path / "kvitto.db"
    shutil.copyfile(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(migrated_postgres: _Emptied) -> str:
    """A migrated, empty PostgreSQL database."""
    migrated_postgres.empty()
    return migrated_postgres.dsn


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database, once of each kind."""
    address: str = request.getfixturevalue(f"{request.param}_url")
    return address


@pytest.fixture
async def house(url: str, clock: FakeClock) -> AsyncIterator[House]:
    """A started store with one account."""
    house = House(url, clock)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def postgres_house(postgres_url: str, clock: FakeClock) -> AsyncIterator[House]:
    """The same on PostgreSQL alone, for what many nodes do."""
    house = House(postgres_url, clock)
    await house.start()
    yield house
    await house.stop()
