"""``kvitto send``: a text to numbers given or in a file, through the same admission as HTTP.

Beside a running server the batch is in its queue at once; without one it waits for the next start.
Next: ``kvitto.intake.desk``.
"""

import asyncio
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer
from rich.console import Console
from rich.progress import Progress

from kvitto.app import route_rules
from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    JsonOption,
    books,
    find_account,
    print_json,
    read_settings,
    run,
    say,
)
from kvitto.cli.fields import read_sender
from kvitto.core.errors import BadInput, Refused
from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Batch, Content, NewBatch, Submission
from kvitto.core.msisdn import clean
from kvitto.core.operations import Send
from kvitto.intake.admit import Denial
from kvitto.intake.desk import Desk
from kvitto.settings import Settings

__all__ = ["read_number_file", "send"]

DIALECT: Final = "sinch"
"""The view in which such batches are kept; they call nobody back."""
BATCH_RECIPIENTS: Final = 1000
"""Recipients of one batch, as over HTTP; a file is sent in as many batches as it takes."""
TEXT_CHARACTERS: Final = 2000
BATCHES_AT_ONCE: Final = 8
"""Batches that wait for their commit at a time: enough to share commits, and the bar still moves."""

_NUMBER_COLUMNS: Final = frozenset({"to", "number", "msisdn", "phone", "recipient", "mobile"})


def send(
    words: Annotated[
        list[str], typer.Argument(metavar="[NUMBER]... TEXT", help="More numbers after --to, and the text last.")
    ],
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="The account that sends.")],
    sender: Annotated[
        str | None, typer.Option("--from", metavar="SENDER", help="Number or name; the account's when left out.")
    ] = None,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="NUMBER", help="A recipient.")] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--to-file", metavar="FILE", help="CSV (column number or to, else the first), or a number a line."
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Send a text to one or many numbers."""
    *more, text = words
    if len(text) > TEXT_CHARACTERS:
        raise BadInput("TEXT", f"{len(text)} characters; the limit is {TEXT_CHARACTERS}")
    numbers = list(_clean_all(enumerate([*(to or ()), *more], 1), "--to"))
    if to_file is not None:
        numbers += read_number_file(to_file)
    numbers = list(dict.fromkeys(numbers))
    if not numbers:
        raise BadInput("--to", "at least one number, or --to-file")
    submission = Submission(dialect=DIALECT, sender=_read_from(sender), recipients=(), content=Content(text=text))
    sent = run(_send_all(read_settings(config, data), account, submission, numbers, quiet=as_json))
    if as_json:
        print_json({"batch_ids": [batch.id for batch in sent], "recipient_count": len(numbers)})
        return
    for batch in sent:
        say(f"{batch.id}  {batch.message_count} recipient{'s' if batch.message_count > 1 else ''}")


async def _send_all(
    settings: Settings, name: str, submission: Submission, numbers: Sequence[str], *, quiet: bool
) -> list[Batch]:
    sent: list[Batch] = []
    async with books(settings) as store:
        account = await find_account(store, name)
        if account.disabled:
            raise Refused("account_disabled", f"the account {name} is disabled")
        desk = Desk(store, IdMaker(CLOCK), route_for=route_rules(settings))
        pieces = [numbers[at : at + BATCH_RECIPIENTS] for at in range(0, len(numbers), BATCH_RECIPIENTS)]
        with _progress(len(numbers), quiet or len(pieces) == 1) as bar:
            for at in range(0, len(pieces), BATCHES_AT_ONCE):
                group = pieces[at : at + BATCHES_AT_ONCE]
                sent += await asyncio.gather(*[_send_one(desk, account, submission, piece, bar) for piece in group])
    return sent


async def _send_one(desk: Desk, account: Account, submission: Submission, numbers: Sequence[str], bar: "_Bar") -> Batch:
    one = Submission(
        dialect=submission.dialect, sender=submission.sender, recipients=tuple(numbers), content=submission.content
    )
    result = await desk.perform(Send(submission=one), account, CLOCK.now())
    if isinstance(result, Denial):
        raise Refused(result.problem.value, result.text or result.problem.value)
    assert isinstance(result, NewBatch)
    bar.advance(len(numbers))
    return result.batch


# --- numbers ---------------------------------------------------------------------------------------------------------


def read_number_file(path: Path) -> list[str]:
    """Read the numbers of a file: CSV, with or without a head line, or one number a line; empty lines are skipped.

    Raises: BadInput naming the first line that has no number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter=_delimiter(file.readline(), file.seek)))
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise BadInput("--to-file", f"{path}: {wrong}") from None
    rows = [(number, row) for number, row in enumerate(lines, 1) if any(cell.strip() for cell in row)]
    column = 0
    if rows and clean(rows[0][1][0].strip()) is None:
        names = [cell.strip().lower() for cell in rows[0][1]]
        column = next((at for at, name in enumerate(names) if name in _NUMBER_COLUMNS), -1)
        if column < 0:
            raise BadInput("--to-file", f"{path}, line {rows[0][0]}: neither a number nor a column named number")
        rows = rows[1:]
    cells = ((number, row[column] if column < len(row) else "") for number, row in rows)
    return list(_clean_all(cells, f"--to-file {path}, line"))


def _delimiter(first_line: str, rewind: object) -> str:
    assert callable(rewind)
    rewind(0)
    return ";" if ";" in first_line and "," not in first_line else "\t" if "\t" in first_line else ","


def _clean_all(cells: Iterable[tuple[int, str]], where: str) -> Iterator[str]:
    for place, cell in cells:
        number = clean(cell.strip())
        if number is None:
            raise BadInput(f"{where} {place}", "wanted a phone number of 5 to 15 digits, country code first")
        yield number


def _read_from(sender: str | None) -> str | None:
    try:
        return None if sender is None else read_sender(sender)
    except ValueError as wrong:
        raise BadInput("--from", f"wanted {wrong}") from None


# --- the bar ---------------------------------------------------------------------------------------------------------


class _Bar(Protocol):
    def advance(self, numbers: int) -> None:
        """So many more are stored."""


class _NoBar:
    def advance(self, numbers: int) -> None:
        """Show nothing."""


class _ShownBar:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Accepted", total=total)

    def advance(self, numbers: int) -> None:
        self._progress.advance(self._task, numbers)


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[_Bar]:
    """A progress bar on standard error, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _NoBar()
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield _ShownBar(progress, total)
