"""A clock that jumps moves nobody's deadline, unless it means it (P26)."""

import pytest

from kvitto.core.clock import BELIEVED_AFTER_S, JUMP_MS, SteadyClock, SystemClock
from tests.support.clock import FakeClock

HOUR_S, DAY_S = 3600, 86_400


def test_without_a_jump_it_is_the_wall_clock(clock: FakeClock):
    steady = SteadyClock(clock)
    assert steady.now() == clock.now()
    clock.advance(DAY_S)
    assert steady.now() == clock.now()
    assert steady.monotonic() == clock.monotonic() == DAY_S
    assert steady.jumps == 0


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, DAY_S, -DAY_S])
def test_p26_time_goes_on_as_if_the_wall_clock_had_not_jumped(clock: FakeClock, by_s: int):
    steady, began = SteadyClock(clock), clock.now()
    clock.jump(by_s)
    for passed_s in (0, 1, 600, BELIEVED_AFTER_S - 1):
        clock.advance(passed_s - clock.monotonic())
        assert steady.now() == began + passed_s * 1000
    assert steady.jumps == 1


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, DAY_S, -DAY_S])
def test_p26_a_jump_that_is_taken_back_leaves_no_trace(clock: FakeClock, by_s: int):
    steady = SteadyClock(clock)
    clock.jump(by_s)
    steady.now()
    clock.advance(BELIEVED_AFTER_S - 1)
    steady.now()
    clock.jump(-by_s)
    assert steady.now() == clock.now()
    clock.advance(BELIEVED_AFTER_S)
    assert steady.now() == clock.now()


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, DAY_S, -DAY_S])
def test_p26_a_jump_that_stands_is_believed(clock: FakeClock, by_s: int):
    steady = SteadyClock(clock)
    clock.jump(by_s)
    steady.now()
    clock.advance(BELIEVED_AFTER_S)
    assert steady.now() == clock.now()


def test_p26_a_clock_that_goes_on_jumping_is_not_believed(clock: FakeClock):
    steady, began = SteadyClock(clock), clock.now()
    for jumps in range(1, 10):
        clock.jump(HOUR_S)
        clock.advance(BELIEVED_AFTER_S / 2)
        assert steady.now() == began + round(jumps * BELIEVED_AFTER_S / 2 * 1000)
        assert steady.jumps == jumps


@pytest.mark.parametrize("by_ms", [JUMP_MS, -JUMP_MS])
def test_small_steps_are_followed_at_once(clock: FakeClock, by_ms: int):
    steady = SteadyClock(clock)
    clock.jump(by_ms / 1000)
    assert steady.now() == clock.now()
    assert steady.jumps == 0


def test_the_systems_own_clock_is_steady():
    system = SystemClock()
    steady = SteadyClock(system)
    assert 0 <= system.now() - steady.now() < 5000
    first = steady.monotonic()
    assert steady.monotonic() >= first
