"""The store: the data directory and its lock, the schema brought up to date, where the database is, its key.

Must not know what the store is asked later. Next: ``kvitto.store``.
"""

import asyncio
from importlib.resources import files
from pathlib import Path
from typing import IO, Final

from alembic.script import ScriptDirectory

from kvitto.core.clock import Clock
from kvitto.core.errors import Refused, StoreUnavailable
from kvitto.reloading import take_lock
from kvitto.settings import Settings
from kvitto.store import open_seal, open_store
from kvitto.store.migrations import upgrade
from kvitto.store.sqlstore import SqlStore

__all__ = ["database_url", "groups_of", "lock_data_dir", "migrate", "open_books"]

NODE: Final = "main"
"""The name under which a server claims work: the same after a restart, so that it takes back what it had."""
DATABASE_FILE: Final = "kvitto.db"


def database_url(settings: Settings) -> str:
    """Return where the store is: the configured PostgreSQL, else the SQLite file in the data directory."""
    configured = settings.store.url.get_secret_value()
    return configured or f"sqlite:///{settings.server.data_dir.resolve() / DATABASE_FILE}"


def migrate(settings: Settings) -> str:
    """Bring the schema up to date, making the data directory when missing; returns the revision it is at.

    Raises: StoreUnavailable.
    """
    _make_data_dir(settings.server.data_dir)
    upgrade(database_url(settings))
    return ScriptDirectory(str(files("kvitto.store.migrations"))).get_current_head() or ""


async def open_books(settings: Settings, clock: Clock, *, node: str = NODE, serving: bool = False) -> SqlStore:
    """Open the store, its schema up to date. Not ``serving``: beside a server, whose claims are left alone.

    Raises: StoreUnavailable; SealBroken when the data directory's key is not the database's.
    """
    await asyncio.to_thread(migrate, settings)
    try:
        seal = await asyncio.to_thread(open_seal, database_url(settings), settings.server.data_dir)
    except OSError as wrong:
        raise StoreUnavailable(f"data directory {settings.server.data_dir}: {wrong.strerror}") from wrong
    store = open_store(
        database_url(settings),
        node=node,
        seal=seal,
        clock=clock,
        groups=groups_of(settings),
        readers=settings.store.readers,
        serving=serving,
    )
    await store.start()
    return store


def groups_of(settings: Settings) -> dict[str, str]:
    """Return the group of each configured link: links of one group share the SMSC's message ids."""
    return {name: link.group or name for name, link in settings.links.items()}


def lock_data_dir(settings: Settings) -> IO[str] | None:
    """One server per SQLite file: two would take back each other's claims (P6). The file tells who it is.

    Returns: what holds the lock until it is closed; None when another server has it, which PostgreSQL bears.
    Raises: Refused when another server runs on the SQLite file; StoreUnavailable.
    """
    directory = settings.server.data_dir
    _make_data_dir(directory)
    try:
        return take_lock(directory)
    except BlockingIOError:
        if not settings.store.url.get_secret_value():
            raise Refused("data_dir_in_use", f"another server runs on the data directory {directory}") from None
        return None
    except OSError as wrong:
        raise StoreUnavailable(f"data directory {directory}: {wrong.strerror}") from wrong


def _make_data_dir(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as wrong:
        raise StoreUnavailable(f"data directory {path}: {wrong.strerror}") from wrong
