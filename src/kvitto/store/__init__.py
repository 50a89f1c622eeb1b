"""The memory of the house: domain verbs over SQLite or PostgreSQL.

Read ``api`` for what each verb guarantees, ``schema`` for the tables. Must not know: HTTP, PDUs, vendors.
"""

from collections.abc import Mapping
from pathlib import Path

from kvitto.core.clock import Clock
from kvitto.store import keycheck
from kvitto.store.api import Store
from kvitto.store.commits import Database
from kvitto.store.postgres import PostgresDatabase
from kvitto.store.sealing import Seal
from kvitto.store.sqlite import SqliteDatabase
from kvitto.store.sqlstore import SqlStore

__all__ = ["Store", "open_seal", "open_store"]


def open_store(
    url: str,
    *,
    node: str,
    seal: Seal,
    clock: Clock,
    groups: Mapping[str, str] | None = None,
    readers: int = 2,
    serving: bool = True,
) -> SqlStore:
    """Return the store behind a URL: ``sqlite:///PATH`` or ``postgresql://...``; call ``start`` on it.

    ``groups``: link name -> the group whose message-id space it shares (itself when not told). ``readers``: connections
    that read. ``serving``: False for a
    program beside the server, which leaves the server's claims alone.
    """
    return SqlStore(_database(url), node=node, seal=seal, clock=clock, groups=groups, readers=readers, serving=serving)


def open_seal(url: str, data_dir: Path) -> Seal:
    """Return the seal of a data directory once it is sure to be the key of this database; see ``keycheck``.

    Blocking. Raises: SealBroken, StoreUnavailable.
    """
    return keycheck.open_seal(_database(url), data_dir)


def _database(url: str) -> Database:
    path = url.removeprefix("sqlite:///")
    return PostgresDatabase(url) if path == url else SqliteDatabase(path)
