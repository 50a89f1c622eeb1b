"""Tables of networks and prices: given, the demo's own, or none; a wrong one stops the start and is named."""

from pathlib import Path

import pytest

from kvitto.app import App, read_numbering_table, read_price_list
from kvitto.core.clock import SystemClock
from kvitto.core.errors import SettingsError
from kvitto.settings import load


def settings(**keys):
    return load(environ={}, overrides={key.replace("__", "."): value for key, value in keys.items()})


def test_without_tables_nothing_is_known_and_all_is_free():
    assert read_numbering_table(settings()) is None
    assert read_price_list(settings()).price("24001") == (0.0, "EUR")
    priced = settings(pricing__default_price=0.5, pricing__currency="SEK")
    assert read_price_list(priced).price("24001") == (0.5, "SEK")


def test_the_demo_has_small_tables_of_its_own():
    demo = settings(demo__enabled=True)
    numbering = read_numbering_table(demo)
    assert numbering is not None
    assert len(numbering) > 10
    network = numbering.mccmnc("46701740611")
    assert network == "24001"
    price, currency = read_price_list(demo).price(network)
    assert price > 0
    assert currency == "EUR"


def test_given_files_are_read(tmp_path: Path):
    (tmp_path / "n.csv").write_text("prefix,mcc,mnc,network,country\n4670,240,99,Own,SE\n")
    (tmp_path / "p.csv").write_text("mccmnc,price,currency\n24099,1.5,SEK\n")
    given = settings(numbering__file=tmp_path / "n.csv", pricing__file=tmp_path / "p.csv", demo__enabled=True)
    numbering = read_numbering_table(given)
    assert numbering is not None
    assert read_price_list(given).price(numbering.mccmnc("46701740611")) == (1.5, "SEK")


def test_wrong_tables_stop_the_start_each_with_key_file_line_value_reason_and_source(tmp_path: Path):
    (tmp_path / "n.csv").write_text("prefix,mcc,mnc,network,country\n4670,24,99,Own,SE\n")
    (tmp_path / "p.csv").write_bytes(b"mccmnc,price,currency\n24099,1.5,\xff\n")
    with pytest.raises(SettingsError) as caught:
        App(settings(numbering__file=tmp_path / "n.csv", pricing__file=tmp_path / "p.csv"), SystemClock())
    assert list(map(str, caught.value.problems)) == [
        f'numbering.file = "{tmp_path}/n.csv" (command line): line 2: mcc = "24": must have 3 digits',
        f'pricing.file = "{tmp_path}/p.csv" (command line): octet 32 is no UTF-8',
    ]


def test_a_table_that_cannot_be_read_stops_the_start(tmp_path: Path):
    path = tmp_path / "n.csv"
    path.touch()
    given = settings(numbering__file=path)
    path.unlink()
    with pytest.raises(SettingsError, match=r"n\.csv.*No such file"):
        App(given, SystemClock())
