"""Fixtures for every test: time by hand, and PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.support.clock import FakeClock
from tests.support.postgres import SKIP_VARIABLE, PostgresCluster, shared_cluster, skip_wanted

__all__: list[str] = []


def _without_postgres() -> None:
    """Skip on purpose only: a machine without PostgreSQL fails the suite."""
    if skip_wanted():
        pytest.skip(f"{SKIP_VARIABLE}=1")


def pytest_report_header() -> str | None:
    """Say at the top what this run leaves out."""
    return f"PostgreSQL: left out on purpose ({SKIP_VARIABLE}=1)" if skip_wanted() else None


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """The run's shared PostgreSQL cluster: make databases in it, do not stop it."""
    _without_postgres()
    with shared_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_dsn(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A fresh, empty database: ``postgresql://user@127.0.0.1:port/name``; dropped after the test."""
    dsn = postgres_cluster.create_database()
    yield dsn
    postgres_cluster.drop_database(dsn)


@pytest.fixture
def own_postgres() -> Iterator[PostgresCluster]:
    """A PostgreSQL cluster for this test alone, which it may stop, kill and start again."""
    _without_postgres()
    cluster = PostgresCluster.temporary()
    yield cluster
    cluster.remove()
