"""The README says what the program does: its tables are compared with the code."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_group

from kvitto.cli import cli
from kvitto.cli.fields import FIELDS
from kvitto.simulator import NUMBERS, make_scenario

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_magic_numbers_are_the_simulators():
    shown = dict(re.findall(r"\| (\d\d) \| ([^|]+?) (?=\|)", README))
    assert shown == {number: row.description for number, row in NUMBERS.items()}


def test_every_account_setting_is_documented():
    assert re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE) == list(FIELDS)


@pytest.mark.parametrize("command", sorted(get_group(cli).commands))
def test_every_command_is_documented(command):
    assert f"`kvitto {command}" in README


def test_the_scenario_is_one_and_does_what_its_words_say():
    [text] = re.findall(r"```toml\n(\[default\.ids\].*?)```", README, re.DOTALL)
    scenario = make_scenario(tomllib.loads(text))
    assert (scenario.default.ids.response.base, scenario.default.ids.text.width) == ("hex", 10)
    assert [outcome.share for outcome in scenario.default.outcomes] == [0.9, 0.1]
    assert [(rule.prefix, rule.answers[0].status) for rule in scenario.rules] == [(("46709",), 0x58)]
