"""Timestamps on Sinch's wire (docs/dialects/sinch.md 1)."""

from datetime import UTC, datetime

import pytest

from kvitto.dialects.sinch.times import parse_timestamp, write_operator_time, write_timestamp

BASE = int(datetime(2031, 3, 9, 5, 6, 7, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2031-03-09T05:06:07Z", BASE),
        ("2031-03-09T05:06:07", BASE),
        ("2031-03-09t05:06:07z", BASE),
        ("2031-03-09T07:06:07+02:00", BASE),
        ("2031-03-09T07:06:07+0200", BASE),
        ("2031-03-09T07:06:07+02", BASE),
        ("2031-03-08T23:36:07-05:30", BASE),
        ("2031-03-09T05:06:07.0Z", BASE),
        ("2031-03-09T05:06:07.08Z", BASE + 80),
        ("2031-03-09T05:06:07.089Z", BASE + 89),
        ("2031-03-09T05:06:07.089999999Z", BASE + 89),
        ("2031-03-09T05:06:07.386964+00:00", BASE + 386),
        ("2031-03-09T05:06Z", BASE - 7000),
        ("2031-03-09T05:06", BASE - 7000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2024-02-29T00:00Z", 1_709_164_800_000),
    ],
)
def test_s1_timestamps_in(text, at):
    assert parse_timestamp(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2031-03-09",
        "2031-03-09T05Z",
        "2031-03-09 05:06Z",
        "2031-02-29T05:06Z",
        "2031-13-09T05:06Z",
        "2031-03-09T24:00Z",
        "2031-03-09T05:60Z",
        "2031-03-09T05:06:60Z",
        "2031-03-09T05:06:07.Z",
        "2031-03-09T05:06:07.1234567890Z",
        "2031-03-09T05:06:07+24:00",
        "2031-03-09T05:06:07+02:60",
        "2031-03-09T05:06:07Z\n",
        "٢٠٣١-03-09T05:06:07Z",
        "0001-01-01T00:00Z",
        "9999-01-01T00:00Z",
        "1930799167",
    ],
)
def test_s1_what_is_no_timestamp(text):
    assert parse_timestamp(text) is None


def test_s1_a_date_alone_counts_only_where_it_may():
    assert parse_timestamp("2031-03-09", date_allowed=True) == BASE - (5 * 3600 + 6 * 60 + 7) * 1000
    assert parse_timestamp("2031-03-09T05:06:07Z", date_allowed=True) == BASE


@pytest.mark.parametrize(("ms", "decimals"), [(0, "000"), (1, "001"), (89, "089"), (999, "999")])
def test_s1_timestamps_out_have_exactly_three_decimals(ms, decimals):
    assert write_timestamp(BASE + ms) == f"2031-03-09T05:06:07.{decimals}Z"


def test_s1_before_the_epoch_time_still_runs_forwards():
    assert write_timestamp(-1) == "1969-12-31T23:59:59.999Z"


def test_s1_the_operators_time_has_no_decimals_and_never_lies_before_what_it_stands_for():
    minute = BASE - 7_000
    assert write_operator_time(minute) == "2031-03-09T05:06:00Z"
    assert write_operator_time(BASE) == "2031-03-09T05:06:07Z"
    assert write_operator_time(BASE + 1) == "2031-03-09T05:06:08Z"
    assert write_operator_time(-1) == "1970-01-01T00:00:00Z"


def test_s1_what_is_written_is_read_back():
    for at in (0, BASE, BASE + 123, 253_370_764_800_000 - 1):
        assert parse_timestamp(write_timestamp(at)) == at
