"""The migrated database is what ``schema`` says, migrations bear repetition and company, hot statements use indexes."""

import asyncio
import json
import multiprocessing
import re
import sqlite3
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from kvitto.core.errors import StoreUnavailable
from kvitto.store.migrations import upgrade
from kvitto.store.schema import metadata
from kvitto.store.sqlite import SqliteTx
from kvitto.store.statements import ROWS_MARK, Statement, compile_for
from kvitto.store.verbs import (
    accounts,
    admission,
    bulks,
    callbacks,
    changes,
    counting,
    dispatch,
    endpoints,
    feed,
    idempotency,
    loading,
    logs,
    lookup,
    moves,
    notices,
    once,
    orphans,
    overdue,
    plain_ends,
    queries,
    querying,
    receipts,
    reconciliation,
    record,
    replays,
    rerouting,
    retention,
    schedules,
    search,
    tallies,
    telling,
    tokens,
    tries,
    turns,
    underway,
    unread,
    users,
    wholes,
)
from tests.support.postgres import PostgresCluster


def differences(connection) -> list:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return [one for one in compare_metadata(context, metadata) if not is_comment(one)]


def is_comment(difference) -> bool:
    """What a column means is told in ``schema`` alone, not in the database."""
    return isinstance(difference, list) and all(one[0] == "modify_comment" for one in difference)


def shape(connection) -> dict:
    """Columns (order, nullability) and indexes by table, alembic's own table left out."""
    found = inspect(connection)
    return {
        name: (
            [(column["name"], column["nullable"]) for column in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(
                (index["name"], tuple(index["column_names"]), bool(index["unique"]))
                for index in found.get_indexes(name)
            ),
        )
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def test_sqlite_migrated_is_what_the_schema_says(migrated_file: Path, tmp_path: Path):
    made = create_engine(f"sqlite:///{tmp_path / 'made.db'}", poolclass=NullPool)
    migrated = create_engine(f"sqlite:///{migrated_file}", poolclass=NullPool)
    metadata.create_all(made)
    with made.connect() as expected, migrated.connect() as connection:
        assert differences(connection) == []
        assert shape(connection) == shape(expected)
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%' ORDER BY name"
        rows: list[dict] = [dict(one.exec_driver_sql(query).all()) for one in (expected, connection)]
    assert {name: normal(sql) for name, sql in rows[1].items()} == {name: normal(sql) for name, sql in rows[0].items()}


def normal(sql: str) -> str:
    """One definition's words, whatever the spacing: WITHOUT ROWID, AUTOINCREMENT and the indexes' conditions matter."""
    text = re.sub(r"CONSTRAINT \w+ ", "", sql)
    return re.sub(r"\s+", "", text).lower()


@pytest.mark.postgres
async def test_postgres_migrated_is_what_the_schema_says(postgres_cluster: PostgresCluster, migrated_postgres):
    from sqlalchemy.ext.asyncio import create_async_engine

    async def described(dsn: str, work):
        engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), poolclass=NullPool)
        async with engine.begin() as connection:
            result = await connection.run_sync(work)
        await engine.dispose()
        return result

    def indexes(connection) -> dict:
        rows = connection.exec_driver_sql(
            "SELECT indexname, regexp_replace(indexdef, ' ON \\w+\\.', ' ON ')"
            " FROM pg_indexes WHERE schemaname = 'public'"
        ).all()
        collations = connection.exec_driver_sql(
            "SELECT table_name || '.' || column_name,"
            " coalesce(collation_name, '') || data_type || coalesce(column_default, '')"
            " FROM information_schema.columns WHERE table_schema = 'public'"
        ).all()
        return {name: text for name, text in [*rows, *collations] if "alembic" not in name}

    fresh = postgres_cluster.create_database()
    try:
        await described(fresh, metadata.create_all)
        assert await described(migrated_postgres.dsn, differences) == []
        assert await described(migrated_postgres.dsn, shape) == await described(fresh, shape)
        assert await described(migrated_postgres.dsn, indexes) == await described(fresh, indexes)
    finally:
        postgres_cluster.drop_database(fresh)


def test_migrating_again_changes_nothing(url: str):
    upgrade(url)
    upgrade(url)


def _upgrade_after(start, url: str) -> None:
    start.wait(30)
    upgrade(url)


def migrate_together(url: str) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=_upgrade_after, args=(start, url)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_two_processes_may_migrate_one_file_at_once(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'fresh.db'}"
    assert migrate_together(url) == [0, 0]
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        assert differences(connection) == []


@pytest.mark.postgres
def test_two_processes_may_migrate_one_postgres_at_once(postgres_dsn: str):
    assert migrate_together(postgres_dsn) == [0, 0]
    upgrade(postgres_dsn)


def test_a_database_that_cannot_be_reached_is_said_to_be_unavailable(tmp_path: Path):
    with pytest.raises(StoreUnavailable, match=r"unable to open database file$"):
        upgrade(f"sqlite:///{tmp_path}/no/such/directory/k.db")


def test_a_url_that_is_none_is_said_without_what_stands_in_it():
    with pytest.raises(StoreUnavailable, match="cannot be read") as caught:
        upgrade("postgresql://kvitto:secret-word@127.0.0.1:port/kvitto")
    assert "secret-word" not in str(caught.value)


def test_a_database_of_a_newer_version_is_said_to_be_unavailable(tmp_path: Path):
    with sqlite3.connect(tmp_path / "k.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    with pytest.raises(StoreUnavailable, match="9999"):
        upgrade(f"sqlite:///{tmp_path}/k.db")


@pytest.mark.postgres
def test_what_postgres_says_against_migrating_is_told_without_the_librarys_link(postgres_dsn: str):
    asyncio.run(_in_the_way(postgres_dsn))
    with pytest.raises(StoreUnavailable, match="already exists") as caught:
        upgrade(postgres_dsn)
    assert "sqlalche" not in str(caught.value)


async def _in_the_way(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE account (id TEXT)")
    await connection.close()


@pytest.mark.postgres
def test_a_server_that_is_away_is_said_to_be_unavailable():
    with pytest.raises(StoreUnavailable):
        upgrade("postgresql://kvitto@127.0.0.1:1/nowhere")


_NO_ACCOUNT = {
    "account",
    "sealed",
    "high_water",
    "link_counter",
    "link_state",
    "pulse",
    "sign_in_failure",
    "sign_in_link",
}


def test_every_table_carries_the_account_and_instants_are_whole_milliseconds():
    for table in metadata.sorted_tables:
        assert table.name in _NO_ACCOUNT or "account_id" in table.c
        for column in table.c:
            if column.name.endswith("_at") and (table.name, column.name) != ("account", "next_due_at"):
                assert column.type.python_type is int


# --- plans ---------------------------------------------------------------------------------------------------------

MODULES = (
    accounts,
    admission,
    bulks,
    callbacks,
    changes,
    counting,
    dispatch,
    lookup,
    moves,
    endpoints,
    feed,
    idempotency,
    loading,
    logs,
    notices,
    once,
    orphans,
    overdue,
    plain_ends,
    queries,
    querying,
    receipts,
    reconciliation,
    record,
    replays,
    rerouting,
    retention,
    tallies,
    telling,
    tokens,
    tries,
    turns,
    users,
    schedules,
    search,
    underway,
    unread,
    wholes,
)
BIG = {
    "attempt",
    "unread",
    "idempotency",
    "message",
    "part",
    "callback",
    "receipt",
    "batch",
    "event",
    "parked_key",
    "feedback",
    "incoming",
    "dispatched",
}
MAY_SCAN = {
    # Asked once, when an operator changes a rate or looks at the backlog: by a partial index, or not hot.
    "accounts._WAITING",
    # ``kvitto trace NUMBER``, newest first: walks the primary key backwards until it has found twenty. An index on the
    # number would cost every message a page of its own in the log of each commit.
    "queries._BY_NUMBER",
    # The newest 20 000 rows of the primary key, for one page.
    "tries._KEPT",
    "tries._TAKEN",
}


def statements() -> list:
    found = []
    for module in MODULES:
        room = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            named = value.items() if isinstance(value, dict) else [("", value)]
            for key, statement in named:
                if isinstance(statement, Statement):
                    found.append(
                        pytest.param(f"{room}.{name}", statement, id=f"{room}.{name}{'.' + key if key else ''}")
                    )
    return found


def plan_of(connection: sqlite3.Connection, statement: Statement) -> list[str]:
    compiled = compile_for("sqlite", statement)
    row = "(" + ",".join("?" * compiled.width) + ")"
    sql = compiled.sql.replace(ROWS_MARK, ",".join([row] * 8))
    rows = connection.execute("EXPLAIN QUERY PLAN " + sql, [None] * sql.count("?")).fetchall()
    return [row[3] for row in rows]


@pytest.fixture(scope="module")
def planned(migrated_file: Path, tmp_path_factory):
    """A migrated file; without statistics, as a server's is."""
    path = tmp_path_factory.mktemp("plans") / "kvitto.db"
    path.write_bytes(migrated_file.read_bytes())
    tx = SqliteTx(str(path), read_only=False)
    yield tx._connection
    tx.close()


@pytest.mark.parametrize(("name", "statement"), statements())
def test_every_statement_searches_big_tables_by_an_index(planned: sqlite3.Connection, name, statement):
    plan = plan_of(planned, statement)
    scans = [step for step in plan if (found := re.match(r"SCAN (\w+)", step)) and found[1] in BIG]
    if name in MAY_SCAN:
        return
    whole = [step for step in scans if "USING" not in step]
    assert whole == [], plan


def test_the_plans_cover_every_verb():
    assert len(statements()) > 60, json.dumps([one.id for one in statements()])
