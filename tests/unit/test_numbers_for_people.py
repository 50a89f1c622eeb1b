"""Numbers for people: international form and country; nothing that is taken or refused depends on them."""

import subprocess
import sys

import phonenumbers
import pytest

from kvitto.reports.countries import NAMES
from kvitto.reports.numbers import spell


@pytest.mark.parametrize(
    ("number", "shown", "country"),
    [
        ("46701740611", "+46 70 174 06 11", "Sweden"),
        ("41793026731", "+41 79 302 67 31", "Switzerland"),
        ("2348020000000", "+234 802 000 0000", "Nigeria"),
        ("16135550123", "+1 613-555-0123", "Canada"),
        ("12025550123", "+1 202-555-0123", "United States"),
        ("80012345678", "+800 1234 5678", "International"),
        ("999123456720", "+999123456720", ""),
        ("12345", "+12345", ""),
        ("", "", ""),
        ("Kvitto", "Kvitto", ""),
        ("4" * 300, "+" + "4" * 300, ""),
    ],
)
def test_a_number_is_shown_in_groups_with_its_country(number, shown, country):
    assert spell(number) == (shown, country)


def test_every_country_that_has_numbers_has_a_name():
    assert set(phonenumbers.SUPPORTED_REGIONS) <= set(NAMES)
    assert all(code.isascii() and len(code) == 2 and code.isupper() and name for code, name in NAMES.items())


def test_a_server_that_nobody_looks_at_never_reads_the_numbering_plans():
    look = "import sys, kvitto.app, kvitto.cli; sys.exit('phonenumbers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False, timeout=60).returncode == 0
