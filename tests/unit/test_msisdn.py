"""Numbers and senders: docs/smpp.md 3.4, docs/dialects/sinch.md 1, R35."""

import pytest

from kvitto.core.msisdn import (
    Address,
    agree7,
    clean,
    is_alphanumeric_sender,
    last_digits,
    source_address,
)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("46701740611", "46701740611"),
        ("+46701740611", "46701740611"),
        ("0046701740611", "46701740611"),
        ("+46 70-174 06 11", "46701740611"),
        ("(+46) [70] 174-0611", "46701740611"),
        (" 00 46 701740611 ", "46701740611"),
        ("12345", "12345"),
        ("123456789012345", "123456789012345"),
        ("00123456789012345", "123456789012345"),
        ("1234", None),
        ("1234567890123456", None),
        ("", None),
        ("+", None),
        ("00", None),
        ("++46701740611", None),
        ("46+701740611", None),
        ("46701740611x", None),
        ("46.701.740.611", None),
        ("٤٦٧٠١٧٤٠٦١١", None),
        ("4670174061²", None),
        ("Kvitto", None),
        ("46701740611\0", None),
        ("46701740611\n", None),
    ],
)
def test_clean(text, digits):
    assert clean(text) == digits


def test_clean_takes_a_stricter_dialects_limits():
    assert clean("12345", min_digits=7) is None
    assert clean("46 701740611", strip="") is None
    assert clean("+46701740611", strip="") == "46701740611"


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("Kvitto", Address(5, 0, "Kvitto")),
        ("24 Shop", Address(5, 0, "24 Shop")),
        ("1", Address(3, 0, "1")),
        ("123456", Address(3, 0, "123456")),
        ("1234567", Address(1, 1, "1234567")),
        ("46701740605", Address(1, 1, "46701740605")),
        ("²", Address(5, 0, "²")),
    ],
)
def test_source_address_by_its_look(sender, address):
    assert source_address(sender) == address


def test_source_address_as_the_customer_or_the_link_says():
    assert source_address("12345", short_code_ton=6) == Address(6, 0, "12345")
    assert source_address("46701740605", short_code_ton=6) == Address(1, 1, "46701740605")
    assert source_address("12345", ton=0, short_code_ton=6) == Address(0, 0, "12345")
    assert source_address("Kvitto", npi=9) == Address(5, 9, "Kvitto")
    assert source_address("46701740605", ton=0, npi=0) == Address(0, 0, "46701740605")


@pytest.mark.parametrize("sender", ["K", "Kvitto", "Kvitto 24/7", "A2", "ABCDEFGHIJK", "Åland", "café"])
def test_alphanumeric_senders(sender):
    assert is_alphanumeric_sender(sender)


@pytest.mark.parametrize(
    "sender", ["", "123", "46701740605", "ABCDEFGHIJKL", "Čau", "!!", "24/7", "🚀", "a\nb", "a\rb"]
)
def test_no_alphanumeric_senders(sender):
    assert not is_alphanumeric_sender(sender)


@pytest.mark.parametrize(
    ("a", "b", "agree"),
    [
        ("46701740611", "46701740611", True),
        ("46701740611", "0701740611", True),
        ("46701740611", "+46 70 174 06 11", True),
        ("46701740611", "1740611", True),
        ("46701740611", "740611", False),
        ("46701740611", "46701740612", False),
        ("12345", "12345", True),
        ("12345", "9912345", False),
        ("", "", False),
        ("Kvitto", "Kvitto", False),
        ("²", "²", False),
    ],
)
def test_r35_agree7(a, b, agree):
    assert agree7(a, b) is agree
    assert agree7(b, a) is agree


def test_last_digits():
    assert [last_digits(text) for text in ("46701740611", "+4670-1740611", "123", "x", "")] == [
        "1740611",
        "1740611",
        "123",
        "",
        "",
    ]
