"""One definition of each statement, for both databases, compiled once, fed with many rows at a time.

A ``Statement`` is SQLAlchemy Core over the tables and, if it works on many rows at once, over ``r``: the rows given
with it. SQLite reads ``r`` from a VALUES list, up to ``CHUNK`` rows a call, PostgreSQL from one array a column. That
is what
makes grouped commits cheap: no per-row cost of the library, and on SQLite the interpreter's lock changes hands once a
call
and not once a row (ADR 0004: executemany in a writing thread costs 200 us a row when the event loop is busy).

Must not know: what the statements mean. Next: ``kvitto.store.verbs``.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import BigInteger, Text, bindparam, column, func, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.expression import FromClause, SelectBase
from sqlalchemy.types import TypeEngine

__all__ = [
    "CHUNK",
    "ROWS_MARK",
    "SIZES",
    "Compiled",
    "Each",
    "Int",
    "Kind",
    "Row",
    "RowByRow",
    "Slot",
    "Statement",
    "Str",
    "Tx",
    "Whole",
    "compile_for",
]

Row = Sequence[Any]
Kind = TypeEngine[Any]
Str: Final[Kind] = Text()
Int: Final[Kind] = BigInteger()

CHUNK: Final = 256
"""Rows in one SQLite call at most."""

SIZES: Final = (*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(80, 129, 16), *range(160, CHUNK + 1, 32))
"""The lengths of list a call may have. Others are filled up with NULL rows, so that few forms of a statement exist; a
NULL row costs nearly what a row costs, so there are more of the short ones.
"""

ROWS_MARK: Final = "__ROWS__"


class Statement:
    """A statement and the shape of what it is fed: ``columns`` of its rows ``r``, if any, and named ``:parameters``.

    ``build`` is called once per database with ``r`` (None when there are no columns). The first column is never NULL
    (SQLite fills a list up with NULL rows).
    """

    whole = False

    def __init__(self, build: Callable[[Any], ClauseElement], /, **columns: Kind) -> None:
        self.build = build
        self.columns = columns


class Whole(Statement):
    """A statement that means something only with all its rows at once: they are never given to it in several calls."""

    whole = True


class Each(Statement):
    """An UPDATE of one row of a table for each row given, and nothing but that: it may be run row by row.

    ``build`` then gets parameters in the place of the columns of ``r``, which it takes as attributes.
    """


class Slot(IntEnum):
    """What goes into one placeholder of a compiled statement."""

    COLUMN = 1  # one column of all rows, as an array
    NAME = 2  # a named parameter
    VALUE = 3  # a constant of the statement


class RowByRow(NamedTuple):
    """The form of a statement for one row. ``take``: from a row given, and the ``constants``, to its placeholders."""

    sql: str
    constants: tuple[Any, ...]
    take: Callable[[Row], Row]

    def values(self, rows: Sequence[Row]) -> list[Row]:
        """The values of each row."""
        take, constants = self.take, self.constants
        return [take((*row, *constants)) for row in rows]


class Compiled(NamedTuple):
    """A statement as one database's driver takes it.

    ``plan``: what goes into each placeholder, in order. ``rows_at``: SQLite: the place in the plan where the rows
    stand; None when it takes none. ``returns``: it gives rows back. ``each``: SQLite: how to run it row by row.
    """

    sql: str
    plan: tuple[tuple[Slot, Any], ...]
    returns: bool
    rows_at: int | None
    width: int
    whole: bool
    each: "RowByRow | None" = None

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The values of the plan, columns left out (SQLite)."""
        return [parameters[what] if slot is Slot.NAME else what for slot, what in self.plan]


class Tx(Protocol):
    """An open transaction, or a reading connection: used in one thread, blocking."""

    def run(self, statement: Statement, rows: Sequence[Row] | None = None, /, **parameters: Any) -> list[Any]:
        """Run a statement; the result's rows are tuples in the order of its columns ([] when it returns none)."""

    def new_ids(self, count: int) -> Sequence[int]:
        """Return ``count`` rising numbers for events, callbacks and receipts that nobody else will use."""


def _sqlite_rows(columns: Mapping[str, Kind]) -> FromClause:
    fields = ", ".join(f"column{index} AS {name}" for index, name in enumerate(columns, 1))
    typed = [column(name, kind) for name, kind in columns.items()]
    given = text(f"SELECT {fields} FROM (VALUES {ROWS_MARK}) WHERE column1 IS NOT NULL")  # noqa: S608  # our own names
    return given.columns(*typed).subquery("r")


def _postgres_rows(columns: Mapping[str, Kind]) -> FromClause:
    arrays = [bindparam(f"rows_{name}", type_=postgresql.ARRAY(kind)) for name, kind in columns.items()]
    typed = [column(name, kind) for name, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*typed).render_derived(name="r")


_FIRST_JOIN: Final = ") AS r JOIN "
_FIRST_CROSS_JOIN: Final = ") AS r CROSS JOIN "
"""To SQLite the same, but that the rows given come first, which is meant, and are read as they are needed. Before a
plain JOIN it puts them into a table of its own, which costs what some rows cost.
"""

_DIALECTS: Final[dict[str, Dialect]] = {"sqlite": sqlite.dialect(paramstyle="qmark"), "postgresql": asyncpg_dialect()}  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1024)
def compile_for(database: str, statement: Statement) -> Compiled:
    """Compile for ``sqlite`` or ``postgresql``; called once a statement and process."""
    rows = None
    if statement.columns:
        rows = (_sqlite_rows if database == "sqlite" else _postgres_rows)(statement.columns)
    element = statement.build(rows)
    compiled: Any = element.compile(dialect=_DIALECTS[database])
    index_of = {f"rows_{name}": index for index, name in enumerate(statement.columns)}
    plan: list[tuple[Slot, Any]] = []
    for name in compiled.positiontup or ():
        if name in index_of:
            plan.append((Slot.COLUMN, index_of[name]))
        elif compiled.binds[name].required:
            plan.append((Slot.NAME, name))
        else:
            plan.append((Slot.VALUE, compiled.params[name]))
    sql = str(compiled)
    if database == "sqlite":
        sql = sql.replace(_FIRST_JOIN, _FIRST_CROSS_JOIN)
    rows_at = sql[: sql.index(ROWS_MARK)].count("?") if ROWS_MARK in sql else None
    returns = isinstance(element, SelectBase) or bool(getattr(element, "_returning", ()))
    each = _row_by_row(statement) if database == "sqlite" and isinstance(statement, Each) else None
    return Compiled(sql, tuple(plan), returns, rows_at, len(statement.columns), statement.whole, each)


def _row_by_row(statement: Each) -> RowByRow:
    given = {name: bindparam(f"row_{name}", type_=kind) for name, kind in statement.columns.items()}
    compiled: Any = statement.build(SimpleNamespace(c=SimpleNamespace(**given))).compile(dialect=_DIALECTS["sqlite"])
    index_of = {f"row_{name}": index for index, name in enumerate(statement.columns)}
    constants = [name for name in compiled.positiontup if name not in index_of]
    index_of |= {name: len(statement.columns) + index for index, name in enumerate(constants)}
    take = itemgetter(*[index_of[name] for name in compiled.positiontup])
    return RowByRow(str(compiled), tuple(compiled.params[name] for name in constants), take)
