"""The tests' own clock behaves as clocks do."""

import pytest

from kvitto.core.clock import Clock
from tests.support.clock import FakeClock


def test_time_stands_still_until_it_is_moved(clock: FakeClock):
    as_the_house_sees_it: Clock = clock
    before = as_the_house_sees_it.now(), as_the_house_sees_it.monotonic()
    assert before == (as_the_house_sees_it.now(), as_the_house_sees_it.monotonic())
    assert clock.advance(1.5) == before[0] + 1_500
    assert (clock.now(), clock.monotonic()) == (before[0] + 1_500, before[1] + 1.5)


def test_a_jump_moves_the_wall_clock_alone(clock: FakeClock):
    before = clock.now(), clock.monotonic()
    clock.jump(-3_600)
    assert (clock.now(), clock.monotonic()) == (before[0] - 3_600_000, before[1])


def test_time_does_not_pass_backwards(clock: FakeClock):
    with pytest.raises(ValueError, match="forwards"):
        clock.advance(-1)
