"""Tables of prefixes and prices: the longest prefix wins, and a wrong line is named."""

import re

import pytest

from kvitto.core.numbering import read_numbering
from kvitto.core.pricing import Pricing, read_pricing
from kvitto.core.tables import BadTable

HEAD = "prefix,mcc,mnc,network,country\n"
PRICES = "mccmnc,price,currency\n"


def test_the_longest_prefix_wins():
    table = read_numbering(HEAD + "46,240,01,Telia,SE\n4672,240,02,Tre,se\n\n467,240,05,Other,\n")
    assert [table.mccmnc(number) for number in ("46812345", "46701234567", "46721234567", "4", "4912345")] == [
        "24001",
        "24005",
        "24002",
        None,
        None,
    ]
    assert table.network("46721234567") == ("240", "02", "Tre", "SE")


def test_without_a_list_everything_costs_nothing_in_euros():
    assert Pricing().price(None) == Pricing().price("24001") == (0.0, "EUR")


def test_a_network_without_a_price_has_the_default():
    prices = read_pricing(PRICES + "24001,0.038,SEK\n", 0.05, "EUR")
    assert (prices.price("24001"), prices.price("24002"), prices.price(None)) == (
        (0.038, "SEK"),
        (0.05, "EUR"),
        (0.05, "EUR"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'line 1: header = "": must be prefix,mcc,mnc,network,country'),
        ("prefix,mcc\n", 'line 1: header = "prefix,mcc": must be prefix,mcc,mnc,network,country'),
        (HEAD + "46,240,01,Telia\n", "line 2: 5 fields wanted, 4 found"),
        (
            HEAD + "46,240,01,Telia,SE\n+47,242,01,Telenor,NO\n",
            'line 3: prefix = "+47": must have 1 to 15 digits, country code first, no +',
        ),
        (HEAD + "46,24,01,Telia,SE\n", 'line 2: mcc = "24": must have 3 digits'),
        (HEAD + "46,240,1,Telia,SE\n", 'line 2: mnc = "1": must have 2 or 3 digits'),
        (HEAD + "46,240,01,Telia,Sweden\n", 'line 2: country = "Sweden": must be two letters, or empty'),
        (HEAD + "46,240,01,Telia,SE\n46,240,02,Tre,SE\n", 'line 3: prefix = "46": is there twice'),
        (HEAD + f"{'4' * 100},240,01,Telia,SE\n", f'line 2: prefix = "{"4" * 60}...": must have 1 to 15 digits'),
    ],
)
def test_a_wrong_numbering_table_is_refused_with_line_field_value_and_reason(text, words):
    with pytest.raises(BadTable, match=re.escape(words)) as caught:
        read_numbering(text)
    assert f"line {caught.value.line}:" in words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2400,0.1,EUR", 'line 2: mccmnc = "2400": must have 5 or 6 digits'),
        ("24001,-1,EUR", 'line 2: price = "-1": must be a number such as 0.045'),
        ("24001,1e3,EUR", 'line 2: price = "1e3": must be a number'),
        ("24001,0.1,eur", 'line 2: currency = "eur": must be three capital letters'),
        ("24001,0.1,EUR\n24001,0.2,EUR", 'line 3: mccmnc = "24001": is there twice'),
    ],
)
def test_a_wrong_price_list_is_refused(row, words):
    with pytest.raises(BadTable, match=re.escape(words)):
        read_pricing(PRICES + row + "\n")
