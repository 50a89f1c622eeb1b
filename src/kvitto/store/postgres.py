"""PostgreSQL behind the store, through asyncpg.

A connection lives on an event loop of its own in the thread that uses it, so that verbs are the same plain code as on
SQLite: a statement is one round trip for a whole group (arrays and ``unnest``), and what the loop costs is paid once
a
statement. A lost connection is opened again at the next transaction.

Must not know: what the statements mean. Next: ``kvitto.store.commits``.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from kvitto.core.errors import StoreUnavailable
from kvitto.store.statements import Compiled, Row, Slot, Statement, compile_for

__all__ = ["PostgresDatabase", "PostgresTx"]

CONNECT_S: Final = 5.0
COMMAND_S: Final = 60.0

_T = TypeVar("_T")

_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresIOError,
)
_DRAW: Final = "SELECT nextval('serial') FROM generate_series(1, $1)"


class PostgresTx:
    """One connection, used by one thread at a time."""

    def __init__(self, dsn: str, *, read_only: bool) -> None:
        self._dsn = dsn
        self._read_only = read_only
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection[Any] | None = None
        self._compiled: dict[Statement, Compiled] = {}
        self._in_transaction = False

    def run(self, statement: Statement, rows: Sequence[Row] | None = None, /, **parameters: Any) -> list[Any]:
        """Run a statement; see ``kvitto.store.statements.Tx``."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = compile_for("postgresql", statement)
        columns = list(zip(*rows, strict=True)) if rows else []
        values: list[Any] = []
        for slot, what in compiled.plan:
            if slot is Slot.COLUMN:
                values.append(_without_nul(columns[what]) if columns else ())
            elif slot is Slot.NAME:
                values.append(*_without_nul((parameters[what],)))
            else:
                values.append(what)
        return self._do(self._open().fetch(compiled.sql, *values))

    def new_ids(self, count: int) -> Sequence[int]:
        """Draw numbers from the series: after the rows they are for were locked, so that a message's events rise."""
        if not count:
            return ()
        return sorted(row[0] for row in self._do(self._open().fetch(_DRAW, count)))

    def begin(self) -> None:
        """Start a transaction."""
        self._do(self._open().execute("BEGIN"))
        self._in_transaction = True

    def commit(self) -> None:
        """Make it durable: returns after the server's fsync."""
        connection = self._open()
        self._in_transaction = False
        self._do(connection.execute("COMMIT"))

    def rollback(self) -> None:
        """Forget what was not committed; a connection that cannot even do that is dropped."""
        if not self._in_transaction or self._connection is None:
            return
        self._in_transaction = False
        try:
            self._do(self._connection.execute("ROLLBACK"))
        except StoreUnavailable:
            self._drop()

    def close(self) -> None:
        """Close the connection and its loop."""
        if self._loop.is_closed():
            return
        self._drop()
        self._loop.close()

    def _open(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            if self._in_transaction:  # never go on with half of it on a new connection
                self._drop()
                raise StoreUnavailable("the database cannot be used: the connection was lost within a transaction")
            self._connection = self._do(
                asyncpg.connect(
                    self._dsn,
                    timeout=CONNECT_S,
                    command_timeout=COMMAND_S,
                    statement_cache_size=500,
                    server_settings={
                        "application_name": "kvitto",
                        "default_transaction_read_only": "on" if self._read_only else "off",
                    },
                )
            )
        return self._connection

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._loop.run_until_complete(work)
        except _AWAY as error:
            if not isinstance(error, asyncpg.TransactionRollbackError):
                self._drop()
            raise StoreUnavailable(f"the database cannot be used: {type(error).__name__}") from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._in_transaction = False
        if connection is not None and not connection.is_closed():
            connection.terminate()


def _without_nul(values: Sequence[Any]) -> Sequence[Any]:
    """PostgreSQL's text cannot hold U+0000, which texts from customers and SMSCs may: it is left out."""
    if not any(isinstance(value, str) and "\0" in value for value in values):
        return values
    return [value.replace("\0", "") if isinstance(value, str) else value for value in values]


class PostgresDatabase:
    """Makes connections to one database."""

    remote = True

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def open_writer(self) -> PostgresTx:
        """A connection for the writing thread."""
        return PostgresTx(self._dsn, read_only=False)

    def open_reader(self) -> PostgresTx:
        """A connection that cannot write."""
        return PostgresTx(self._dsn, read_only=True)
