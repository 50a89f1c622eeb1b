"""SQLite behind the store: one file, one writer, readers beside it.

WAL with ``synchronous=FULL``: a commit that has returned is on the disk (P1, P2). Only one connection of the process
writes; another process (the command line beside a server) may write too and waits its turn up to ``BUSY_S``. The
statements
take many rows a call (``kvitto.store.statements``).

Must not know: what the statements mean. Next: ``kvitto.store.commits``.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import CallbackState, ContentKind, Feed, Notify, ReceiptOutcome
from kvitto.core.status import ErrorSource, PartState, Reason, Status
from kvitto.store.statements import CHUNK, ROWS_MARK, SIZES, Compiled, Row, RowByRow, Statement, compile_for

__all__ = ["FEW_ROWS", "SqliteDatabase", "SqliteTx"]

BUSY_S: Final = 10.0
"""How long to wait for another process that is writing; its transactions are short."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA cache_size=-65536",  # 64 MiB
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=16000",  # pages: 64 MiB of WAL; seldom, because one transaction pays for each
    "PRAGMA journal_size_limit=134217728",
)

FEW_ROWS: Final = 16
"""Up to so many updates run row by row: a list of rows is put into tables of its own first, which costs about as much
as so many calls (ADR 0012).
"""

_SIZE_FOR: Final = [next(size for size in SIZES if size >= count) for count in range(CHUNK + 1)]

_HIGHEST: Final = (
    "SELECT (SELECT max(seq) FROM event), (SELECT max(id) FROM callback), (SELECT max(id) FROM receipt),"
    " (SELECT max(seq) FROM dispatched), (SELECT value FROM high_water WHERE name = 'serial')"
)

_TRANSIENT: Final = (
    "full",
    "locked",
    "busy",
    "i/o",
    "unable to open",
    "readonly",
    "read-only",
    "malformed",
    "not a database",
)


# A value that is not exactly an int or a str makes sqlite3 search for an adapter, and to find none costs three times as
# much as to bind it: for NULL, which most values are, and for every word of an enum. NULL stays NULL; asking an empty
# dictionary says so without a call of Python's.
_NOTHING: Final[dict[None, None]] = {}
sqlite3.register_adapter(type(None), _NOTHING.get)
for _words in (Status, Reason, ErrorSource, PartState, Notify, ContentKind, ReceiptOutcome, CallbackState, Feed):
    sqlite3.register_adapter(_words, str)


class SqliteTx:
    """One connection, used by one thread at a time."""

    def __init__(self, path: str, *, read_only: bool) -> None:
        self._compiled: dict[Statement, Compiled] = {}
        self._next_id = 0  # 0: ask the tables
        self._sizes: dict[tuple[str, int], str] = {}
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=2048
            )
            for pragma in _PRAGMAS:
                self._connection.execute(pragma)
            if read_only:
                self._connection.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            raise _translated(error) from error

    def run(self, statement: Statement, rows: Sequence[Row] | None = None, /, **parameters: Any) -> list[Any]:
        """Run a statement; see ``kvitto.store.statements.Tx``."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = compile_for("sqlite", statement)
        values = compiled.values(parameters)
        if compiled.rows_at is None:
            return self._call(compiled, compiled.sql, values)
        rows = rows or ()
        if compiled.each is not None and len(rows) <= FEW_ROWS:
            return self._call_each(compiled.each, rows)
        result: list[Any] = []
        step = len(rows) if compiled.whole else CHUNK
        for start in range(0, len(rows), step or 1):
            chunk = rows[start : start + step]
            count = len(chunk)
            size = _SIZE_FOR[count] if count <= CHUNK else 1 << (count - 1).bit_length()
            filling = [None] * (compiled.width * (size - count))
            given = [*values[: compiled.rows_at], *chain.from_iterable(chunk), *filling, *values[compiled.rows_at :]]
            result.extend(self._call(compiled, self._sized(compiled, size), given))
        return result

    def _sized(self, compiled: Compiled, size: int) -> str:
        sql = self._sizes.get((compiled.sql, size))
        if sql is None:
            row = "(" + ",".join("?" * compiled.width) + ")"
            sql = self._sizes[compiled.sql, size] = compiled.sql.replace(ROWS_MARK, ",".join([row] * size))
        return sql

    def _call(self, compiled: Compiled, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            cursor = self._connection.execute(sql, values)
            return cursor.fetchall() if compiled.returns else []
        except sqlite3.Error as error:
            raise _translated(error) from error

    def _call_each(self, each: RowByRow, rows: Sequence[Row]) -> list[Any]:
        try:
            self._connection.executemany(each.sql, each.values(rows))
        except sqlite3.Error as error:
            raise _translated(error) from error
        return []

    def new_ids(self, count: int) -> range:
        """Return numbers after the highest in use; the write lock keeps others from taking them."""
        first = self._next_id
        if not first:
            row = self._connection.execute(_HIGHEST).fetchone()
            first = 1 + max(number or 0 for number in row)
        self._next_id = first + count
        return range(first, first + count)

    def begin(self) -> None:
        """Start a transaction that may write."""
        self._next_id = 0
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable: returns after the fsync."""
        self._execute("COMMIT")

    def rollback(self) -> None:
        """Forget what was not committed; bears that nothing was begun."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _execute(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except sqlite3.Error as error:
            raise _translated(error) from error


def _translated(error: sqlite3.Error) -> Exception:
    """Make "the disk is full" and the like a ``StoreUnavailable``; a mistake of ours stays what it is."""
    text = str(error).lower()
    if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError) and any(word in text for word in _TRANSIENT):
        return StoreUnavailable(f"the database file cannot be used: {error}")
    return error


class SqliteDatabase:
    """Makes connections to one file."""

    remote = False

    def __init__(self, path: str) -> None:
        self._path = path

    def open_writer(self) -> SqliteTx:
        """A connection for the writing thread."""
        return SqliteTx(self._path, read_only=False)

    def open_reader(self) -> SqliteTx:
        """A connection that cannot write."""
        return SqliteTx(self._path, read_only=True)
