"""SQL that tells in which order transactions become visible, where several processes write (P30).

Numbers drawn from a sequence rise in the order of the drawing, not of the commits: who reads up to the highest number
he sees, and later goes on from there, skips what a slower transaction commits below it. So each event carries its
transaction, and readers stop before the oldest one that is still open. SQLite has one writer and needs none of this.

Must not know: what is read. Next: ``kvitto.store.verbs.reconciliation``.
"""

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement

__all__ = ["CurrentTx", "OldestOpenTx"]


class CurrentTx(ColumnElement[int]):
    """The number of the transaction that runs this; NULL on SQLite."""

    inherit_cache = True
    type = BigInteger()


class OldestOpenTx(ColumnElement[int]):
    """All transactions with lower numbers have ended, whoever began them; NULL on SQLite."""

    inherit_cache = True
    type = BigInteger()


@compiles(CurrentTx, "postgresql")
def _current(element: CurrentTx, compiler: Any, **_: Any) -> str:
    return "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"


@compiles(OldestOpenTx, "postgresql")
def _oldest(element: OldestOpenTx, compiler: Any, **_: Any) -> str:
    return "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"


@compiles(CurrentTx, "sqlite")
@compiles(OldestOpenTx, "sqlite")
def _none(element: ColumnElement[int], compiler: Any, **_: Any) -> str:
    return "NULL"
