"""Fewer requests a second for an endpoint that asked for it (docs/dialects/ninebits.md 5.4)."""

import pytest

from kvitto.callbacks.pace import CALM_S, Pace


def test_the_first_429_halves_what_was_sent():
    assert Pace(16, 100.0).per_s == 8
    assert Pace(16, 100.0).gap_s(100.0) == 1 / 8


@pytest.mark.parametrize("full", [0, 1, 2])
def test_never_under_one_a_second(full):
    pace = Pace(full, 100.0)
    assert pace.per_s == 1
    pace.halve(101.0, 100.5)
    assert pace.gap_s(101.0) == 1


def test_further_429s_halve_again_but_those_of_one_burst_only_once():
    pace = Pace(16, 100.0)
    pace.halve(100.2, 99.9)
    assert pace.per_s == 8
    pace.halve(101.0, 100.5)
    assert pace.per_s == 4


def test_each_minute_without_one_doubles_until_it_is_over():
    pace = Pace(16, 100.0)
    pace.halve(110.0, 105.0)
    assert pace.gap_s(110.0 + CALM_S - 0.1) == 1 / 4
    assert pace.gap_s(110.0 + CALM_S) == 1 / 8
    assert pace.gap_s(110.0 + 2 * CALM_S) == 1 / 16
    assert pace.gap_s(110.0 + 3 * CALM_S) is None


def test_a_429_begins_the_minute_anew():
    pace = Pace(16, 100.0)
    pace.halve(150.0, 149.0)
    assert pace.gap_s(205.0) == 1 / 4
