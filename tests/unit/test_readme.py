"""The README says what the program does: its tables are compared with the code."""

import re
from pathlib import Path

import pytest
from typer.main import get_group

from kvitto.cli import cli
from kvitto.cli.fields import FIELDS
from kvitto.simulator import NUMBERS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_magic_numbers_are_the_simulators():
    shown = dict(re.findall(r"\| (\d\d) \| ([^|]+?) (?=\|)", README))
    assert shown == {number: row.description for number, row in NUMBERS.items()}


def test_every_account_setting_is_documented():
    assert re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE) == list(FIELDS)


@pytest.mark.parametrize("command", sorted(get_group(cli).commands))
def test_every_command_is_documented(command):
    assert f"`kvitto {command}" in README
