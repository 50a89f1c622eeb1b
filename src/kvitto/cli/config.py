"""``kvitto config`` and ``kvitto db``: the settings with where each came from, and the database's schema."""

import json

import typer

from kvitto.app import migrate as migrate_database
from kvitto.cli.common import ConfigOption, DataOption, JsonOption, print_json, print_rows, read_settings, say

__all__ = ["commands", "database"]

commands = typer.Typer(no_args_is_help=True, help="Settings.")
database = typer.Typer(no_args_is_help=True, help="The database.")


@commands.command()
def show(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Show every setting with its value and source; secrets are masked."""
    sources = read_settings(config, data).sources()
    if as_json:
        print_json([setting._asdict() for setting in sources])
        return
    print_rows(
        ("setting", "value", "source"),
        [(setting.key, json.dumps(setting.value, ensure_ascii=False), setting.source) for setting in sources],
    )


@database.command()
def migrate(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Bring the schema up to date. The server does so by itself at its start."""
    revision = migrate_database(read_settings(config, data))
    if as_json:
        print_json({"revision": revision})
    else:
        say(f"The schema is at {revision}.")
