"""Dates at Infobip (docs/dialects/infobip.md 1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvitto.dialects.infobip.times import parse_date, write_date

INSTANT = 1_930_798_800_123


@pytest.mark.parametrize(
    "text",
    [
        "2031-03-09T05:00:00.123+0000",
        "2031-03-09T05:00:00.123456+0000",
        "2031-03-09T05:00:00.123Z",
        "2031-03-09T05:00:00.123z",
        "2031-03-09t05:00:00.123",
        "2031-03-09T06:00:00.123+01:00",
        "2031-03-09T06:00:00.123 0100",
        "2031-03-08T23:30:00.123-0530",
        " 2031-03-09T05:00:00.123Z ",
        "2031-03-09 05:00:00.123Z",
    ],
)
def test_i1_all_these_are_one_instant(text):
    assert parse_date(text) == INSTANT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2031-03-09",
        "2031-13-09T05:00Z",
        "2031-02-29T05:00Z",
        "2031-03-09T24:00Z",
        "2031-03-09T05:60Z",
        "2031-03-09T05:00:60Z",
        "2031-03-09T05:00+2400",
        "2031-03-09T05:00+0060",
        "1969-12-31T00:00Z",
        "٢٠٣١-03-09T05:00Z",
        "2031-03-09T05:00:00.1234567890Z",
        "9999-03-09T05:00Z",
    ],
)
def test_i1_these_are_none(text):
    assert parse_date(text) is None


def test_i1_three_decimals_and_an_offset_without_colon():
    assert write_date(INSTANT) == "2031-03-09T05:00:00.123+0000"
    assert write_date(0) == "1970-01-01T00:00:00.000+0000"


@given(st.integers(min_value=0, max_value=253_000_000_000_000))
def test_i1_what_is_written_is_read_again(instant):
    assert parse_date(write_date(instant)) == instant
