"""Whether the key beside the data is the database's: asked before anything is sealed or opened with it.

The database keeps one short text sealed with its key. A process that comes with another key, or with none, would store
accounts whose callbacks nobody can sign, and could not read those that are there: it is refused. A key is made only for
a database that never had one. Must not know: settings, accounts' fields. Next: ``kvitto.store.sealing``.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import bindparam, literal, select
from sqlalchemy.dialects.postgresql import insert

from kvitto.store import schema as t
from kvitto.store.commits import Database
from kvitto.store.sealing import KEY_FILE, Seal, SealBroken, make_key, read_seal
from kvitto.store.statements import Statement, Str, Tx

__all__ = ["open_seal"]

_TEXT: Final = "kvitto"
_CHECK: Final = "key check"

_KEPT: Final = Statement(lambda _: select(t.sealed.c.value).where(t.sealed.c.name == literal(_CHECK)))
_OF_AN_ACCOUNT: Final = Statement(lambda _: select(t.account.c.callback_secret).limit(1))
# On PostgreSQL another process may be at the same place: this then waits for its commit, and keeps what it kept.
_KEEP: Final = Statement(
    lambda _: (
        insert(t.sealed).values(name=literal(_CHECK, Str), value=bindparam("value", type_=Str)).on_conflict_do_nothing()
    )
)


def open_seal(database: Database, data_dir: Path) -> Seal:
    """Return the seal of a data directory, sure to be the database's; the first to come makes key and check value.

    Blocking, on a connection of its own. Raises: SealBroken, saying what to do, when the key is missing or another
    one's; StoreUnavailable; OSError when the key cannot be written.
    """
    reader = database.open_reader()
    try:
        sample = _sample(reader)
    finally:
        reader.close()
    return _first(database, data_dir) if sample is None else _checked(sample, data_dir)


def _sample(tx: Tx) -> str | None:
    """Something that was sealed with the database's key, None in a new one."""
    rows = tx.run(_KEPT) or tx.run(_OF_AN_ACCOUNT)
    return str(rows[0][0]) if rows else None


def _checked(sample: str, data_dir: Path) -> Seal:
    seal, path = read_seal(data_dir), data_dir.resolve() / KEY_FILE
    advice = (
        f"put the {KEY_FILE} that was made with the database there (from its server's data directory, or from a"
        " backup), or name that directory with --data"
    )
    if seal is None:
        raise SealBroken(f"the database is sealed with a key, and {path} is missing: {advice}")
    try:
        seal.unseal(sample)
    except SealBroken as wrong:
        raise SealBroken(f"{path} is not the key of this database: {advice}") from wrong
    return seal


def _first(database: Database, data_dir: Path) -> Seal:
    """Keep a check value. A key made here is taken away again where another directory's process came before us."""
    made = read_seal(data_dir) is None and make_key(data_dir)
    seal = read_seal(data_dir)
    if seal is None:
        raise SealBroken(f"{data_dir / KEY_FILE} was there, and is gone")
    tx = database.open_writer()
    try:
        tx.begin()
        tx.run(_KEEP, value=seal.seal(_TEXT))
        sample = _sample(tx)
        tx.commit()
    finally:
        tx.close()
    try:
        return _checked(sample or "", data_dir)
    except SealBroken:
        if made:
            (data_dir / KEY_FILE).unlink(missing_ok=True)
        raise
