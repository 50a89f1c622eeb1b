"""The ``kvitto`` command: argument parsing and printing only; what is done stands in ``app`` and the rooms below it.

Exit codes: 0 done, 1 refused or not found, 2 wrong usage or settings, 3 the database cannot be used (``common.Exit``).
``--data``, ``--config`` and, where something is printed, ``--json`` work on every command. Next: ``kvitto.cli.common``.
"""

import os
import sys
from typing import Annotated

import typer

from kvitto import __version__
from kvitto.cli import account, callback, config, endpoint, link, message, receipt, simulate, user
from kvitto.cli.common import complain, exit_code_of
from kvitto.cli.listen import listen
from kvitto.cli.report import report, trace
from kvitto.cli.send import send
from kvitto.cli.serve import serve
from kvitto.cli.trigger import trigger
from kvitto.cli.verify import verify
from kvitto.core.errors import KvittoError

__all__ = ["cli", "main"]

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A self-hosted SMS delivery-report server: vendor HTTP APIs in, SMPP out, receipts back, callbacks out.",
)
cli.command()(serve)
cli.add_typer(account.commands, name="account")
cli.add_typer(user.commands, name="user")
cli.command()(send)
cli.command()(report)
cli.command()(trace)
cli.add_typer(message.commands, name="message")
cli.add_typer(endpoint.commands, name="endpoint")
cli.add_typer(callback.commands, name="callback")
cli.command()(listen)
cli.command()(trigger)
cli.command()(verify)
cli.add_typer(receipt.commands, name="receipt")
cli.add_typer(link.commands, name="link")
cli.add_typer(simulate.commands, name="simulate")
cli.add_typer(config.commands, name="config")
cli.add_typer(config.database, name="db")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kvitto {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return None


def main() -> None:
    """Run the command line; the process ends with the exit code."""
    os.umask(0o077)  # the database, its key and what beside them we write is for this user alone
    try:
        cli(prog_name="kvitto")
    except KvittoError as error:
        complain(error)
        sys.exit(exit_code_of(error))
    except BrokenPipeError:
        sys.stderr.close()  # a reader like `head` that has seen enough
        sys.exit(1)
