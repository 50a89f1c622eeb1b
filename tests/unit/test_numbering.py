"""Tables of prefixes and prices: the longest prefix wins, and a wrong line is named."""

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
    ("text", "line", "reason"),
    [
        ("", 1, "header"),
        ("prefix,mcc\n", 1, "header"),
        (HEAD + "46,240,01,Telia\n", 2, "5 fields wanted, 4 found"),
        (HEAD + "46,240,01,Telia,SE\n+47,242,01,Telenor,NO\n", 3, "prefix"),
        (HEAD + "46,24,01,Telia,SE\n", 2, "mcc"),
        (HEAD + "46,240,1,Telia,SE\n", 2, "mnc"),
        (HEAD + "46,240,01,Telia,Sweden\n", 2, "country"),
        (HEAD + "46,240,01,Telia,SE\n46,240,02,Tre,SE\n", 3, "twice"),
    ],
)
def test_a_wrong_numbering_table_is_refused_with_its_line(text, line, reason):
    with pytest.raises(BadTable, match=reason) as caught:
        read_numbering(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2400,0.1,EUR", "mccmnc"),
        ("24001,-1,EUR", "price"),
        ("24001,1e3,EUR", "price"),
        ("24001,0.1,eur", "currency"),
        ("24001,0.1,EUR\n24001,0.2,EUR", "twice"),
    ],
)
def test_a_wrong_price_list_is_refused(row, reason):
    with pytest.raises(BadTable, match=reason):
        read_pricing(PRICES + row + "\n")
