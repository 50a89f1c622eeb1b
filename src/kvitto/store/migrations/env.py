"""Alembic's way in: runs the migrations on the database that ``upgrade`` names."""

import asyncio
import sqlite3
import time
from typing import Any, Final

import asyncpg
from alembic import context
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from kvitto.core.errors import StoreUnavailable
from kvitto.store.schema import metadata

__all__: list[str] = []

LOCK: Final = 0x6B766974746F
"""The advisory lock under which PostgreSQL is migrated, so that nodes starting together do it once."""

WAL_TRIES: Final = 100
WAL_PAUSE_S: Final = 0.1


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def _migrate_sqlite(url: str) -> None:
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 30, "isolation_level": None}
    )

    @event.listens_for(engine, "begin")
    def lock_at_once(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine, "connect")
    def use_wal(connection: Any, record: object) -> None:
        _use_wal(connection)

    with engine.begin() as connection:
        _run(connection)
    engine.dispose()


def _use_wal(connection: Any) -> None:
    """Where two make a fresh file at once, one of them is refused at once: for this change SQLite waits for nobody."""
    for again in range(WAL_TRIES, 0, -1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if again == 1 or "locked" not in str(error):
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


async def _migrate_postgres(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine  # not needed, and slow to import, on SQLite

    try:
        engine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=NullPool, hide_parameters=True
        )
    except (ArgumentError, ValueError) as error:
        raise StoreUnavailable("the database's URL cannot be read: postgresql://USER:PASSWORD@HOST:PORT/DB") from error
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


def _migrate(url: str) -> None:
    try:
        if url.startswith("sqlite"):
            _migrate_sqlite(url)
        else:
            asyncio.run(_migrate_postgres(url))
    except DBAPIError as error:  # its own words come with a link to SQLAlchemy's pages, the driver's do not
        raise StoreUnavailable(f"the tables cannot be made or upgraded: {error.orig}") from error
    except (OSError, asyncpg.PostgresError, sqlite3.OperationalError) as error:
        raise StoreUnavailable(f"the tables cannot be made or upgraded: {error}") from error


_migrate(context.config.attributes["url"])
