"""What every command shares: options, settings, an open store, exit codes, and how things are printed.

With ``--json`` standard output is one JSON document and nothing else; logs and complaints go to standard error. Without
it, people get tables on a terminal, and tab-separated lines where the output goes into a pipe or a file.
Next: ``kvitto.cli`` (the list of commands).
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from kvitto import telemetry
from kvitto.app import open_books
from kvitto.core.clock import SystemClock
from kvitto.core.errors import BadInput, KvittoError, NotFound, Refused, SettingsError, StoreUnavailable
from kvitto.core.model import Account
from kvitto.settings import Settings, load
from kvitto.store.api import Store
from kvitto.store.sqlstore import SqlStore

__all__ = [
    "CLOCK",
    "ConfigOption",
    "DataOption",
    "Exit",
    "JsonOption",
    "books",
    "complain",
    "exit_code_of",
    "find_account",
    "iso",
    "load_settings",
    "print_json",
    "print_pairs",
    "print_rows",
    "read_settings",
    "run",
    "say",
    "table",
]

T = TypeVar("T")

CLOCK: Final = SystemClock()


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    REFUSED = 1  # understood and refused, or what it names does not exist
    USAGE = 2  # a wrong option, setting or value
    STORE = 3  # the database cannot be reached or written


DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Data directory (setting server.data_dir).")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.")]
JsonOption = Annotated[
    bool, typer.Option("--json", metavar="", help="Print JSON, and nothing else, on standard output.")
]


def read_settings(config: Path | None, data: Path | None, **overrides: object) -> Settings:
    """Read the settings and set up the logs. ``overrides``: dotted keys with ``__`` for the dot.

    Raises: SettingsError.
    """
    settings = load_settings(config, data, **overrides)
    log = settings.log
    telemetry.configure(level=log.level, format=log.format, mask_numbers=log.mask_numbers)
    return settings


def load_settings(config: Path | None, data: Path | None, **overrides: object) -> Settings:
    """As ``read_settings``, and leave the logs as they are. Raises: SettingsError."""
    said = {key.replace("__", "."): value for key, value in overrides.items()}
    return load(config=config, overrides={"server.data_dir": data, **said})


@asynccontextmanager
async def books(settings: Settings) -> AsyncIterator[SqlStore]:
    """Open the store for one command, beside a server or without one; the schema is brought up to date.

    Raises: StoreUnavailable; SealBroken when the data directory's key is not the database's.
    """
    store = await open_books(settings, CLOCK, node=f"command-{os.getpid()}")
    try:
        yield store
    finally:
        await store.stop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; Ctrl-C ends it quietly."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def find_account(store: Store, name: str) -> Account:
    """Return the account of that name. Raises: NotFound."""
    found = await store.find_account(name=name)
    if found is None:
        raise NotFound("account", f"no account is called {name}")
    return found[0]


# --- complaints ----------------------------------------------------------------------------------------------------


def complain(error: KvittoError) -> None:
    """Say on standard error what is wrong."""
    problems = error.problems if isinstance(error, SettingsError) else ()
    for line in map(str, problems) if problems else [_words(error)]:
        print(f"kvitto: {telemetry.mask_secrets(line)}", file=sys.stderr)


def _words(error: KvittoError) -> str:
    return error.text if isinstance(error, Refused) else str(error)


def exit_code_of(error: KvittoError) -> Exit:
    """Return the exit code for what was raised."""
    if isinstance(error, StoreUnavailable):
        return Exit.STORE
    return Exit.USAGE if isinstance(error, SettingsError | BadInput) else Exit.REFUSED


# --- printing ------------------------------------------------------------------------------------------------------


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """Print a line for people."""
    print(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> Table:
    """Return a rich table; cells are shown as they are, without markup."""
    made = Table(*columns, title=title, title_justify="left", header_style="bold", highlight=False)
    for row in rows:
        made.add_row(*[_cell(value).replace("[", r"\[") for value in row])
    return made


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Print a table on a terminal, tab-separated lines with a first line of names elsewhere."""
    if sys.stdout.isatty():
        Console().print(table(columns, rows, title))
        return
    print("\t".join(columns))
    for row in rows:
        print("\t".join(_cell(value).replace("\t", " ").replace("\n", " ") for value in row))


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names and values, one a line, the values below each other."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        print(f"{name.ljust(width)}  {_cell(value)}".rstrip())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)


def iso(at: int | None) -> str | None:
    """An instant (ms UTC) as ISO-8601 with milliseconds: ``2031-03-09T05:06:07.089Z``."""
    if at is None:
        return None
    seconds, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
