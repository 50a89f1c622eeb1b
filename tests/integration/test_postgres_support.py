"""The suite's own PostgreSQL: what the other tests lean on."""

import os

import asyncpg
import pytest

from tests.support.postgres import PostgresCluster, PostgresMissing, find_binaries

pytestmark = pytest.mark.postgres


async def test_a_fresh_database_is_empty_and_speaks_version_15_or_newer(postgres_dsn):
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert connection.get_server_version().major >= 15
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    finally:
        await connection.close()


async def test_databases_of_two_tests_do_not_see_each_other(postgres_cluster: PostgresCluster):
    first, second = postgres_cluster.create_database(), postgres_cluster.create_database()
    assert first != second
    postgres_cluster.execute("CREATE TABLE here ()", database=first.rpartition("/")[2])
    connection = await asyncpg.connect(second)
    try:
        assert await connection.fetchval("SELECT to_regclass('here')") is None
    finally:
        await connection.close()
    for dsn in (first, second):
        postgres_cluster.drop_database(dsn)


def test_the_server_does_not_run_as_root_and_syncs_unless_told_otherwise(postgres_cluster: PostgresCluster):
    assert postgres_cluster.pid is not None
    assert os.stat(f"/proc/{postgres_cluster.pid}").st_uid != 0
    expected = os.environ.get("KVITTO_TEST_POSTGRES_FSYNC", "on")
    assert postgres_cluster.execute("SHOW fsync").strip() == expected


def test_a_template_is_prepared_once_and_copied(postgres_cluster: PostgresCluster):
    prepared: list[str] = []

    def prepare(dsn: str) -> None:
        prepared.append(dsn)
        postgres_cluster.execute("CREATE TABLE made (x int)", database=dsn.rpartition("/")[2])

    name = f"support_{os.getpid()}"
    for _ in range(2):
        dsn = postgres_cluster.create_database(template=postgres_cluster.template(name, prepare))
        rows = postgres_cluster.execute("SELECT to_regclass('made')", database=dsn.rpartition("/")[2])
        assert rows.strip() == "made"
        postgres_cluster.drop_database(dsn)
    assert len(prepared) == 1


def test_what_was_committed_survives_kill_9_and_a_stop(own_postgres: PostgresCluster):
    own_postgres.execute("CREATE TABLE kept AS SELECT 42 AS x")
    own_postgres.kill()
    assert not own_postgres.running
    own_postgres.start()
    assert own_postgres.execute("SELECT x FROM kept").strip() == "42"
    own_postgres.stop()
    assert not own_postgres.running
    own_postgres.start()
    assert own_postgres.execute("SELECT x FROM kept").strip() == "42"


def test_terminated_backends_leave_the_server_running(own_postgres: PostgresCluster):
    own_postgres.terminate_backends("template1")
    assert own_postgres.execute("SELECT 1").strip() == "1"


def test_missing_binaries_are_an_error_that_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: iter(()))
    with pytest.raises(PostgresMissing, match="apt-get install postgresql-15"):
        find_binaries()
