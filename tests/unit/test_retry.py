"""Schedules of retries: offsets from the first failure, and nothing in a flood."""

import pytest

from kvitto.core.retry import doubling, offsets_schedule, reconnect_delay_s, refusal_delay_ms

T0 = 1_773_065_100_000
SINCH = doubling(5, 81_920)


def test_p10_the_sinch_schedule_has_fifteen_retries_from_5_to_81920_s():
    offsets = []
    for attempts in range(1, 16):
        planned = SINCH(attempts, T0, T0)
        assert planned is not None
        offsets.append((planned - T0) / 1000)
    assert offsets == [5 * 2**n for n in range(15)]
    assert offsets[-1] == 81_920
    assert SINCH(16, T0, T0) is None


def test_offsets_count_from_the_first_failure_not_from_the_last_attempt():
    assert SINCH(3, T0, T0 + 11_000) == T0 + 20_000


def test_p26_a_retry_whose_time_has_passed_keeps_the_schedules_gap_instead_of_coming_at_once():
    a_day_later = T0 + 86_400_000
    assert SINCH(1, T0, a_day_later) == a_day_later + 5_000
    assert SINCH(5, T0, a_day_later) == a_day_later + 40_000


def test_p26_a_clock_that_went_back_does_not_bring_retries_forward():
    assert SINCH(2, T0, T0 - 3_600_000) == T0 + 10_000


def test_a_schedule_may_be_any_list_of_offsets():
    schedule = offsets_schedule([60, 120])
    assert [schedule(attempts, T0, T0) for attempts in (1, 2, 3)] == [T0 + 60_000, T0 + 120_000, None]


@pytest.mark.parametrize(("attempts", "ms"), [(1, 2_000), (2, 4_000), (3, 8_000), (6, 60_000), (1000, 60_000)])
def test_r11_a_temporary_refusal_waits_longer_each_time_up_to_a_minute(attempts: int, ms: int):
    assert refusal_delay_ms(attempts, throttled=False) == ms


@pytest.mark.parametrize(("attempts", "ms"), [(1, 1_000), (2, 2_000), (3, 4_000), (7, 60_000), (1000, 60_000)])
def test_r11_a_throttled_part_waits_as_long_as_its_link_at_first_and_then_longer(attempts: int, ms: int):
    assert refusal_delay_ms(attempts, throttled=True) == ms


def test_r11_an_operator_may_set_how_long_a_throttled_part_waits_at_first():
    assert [refusal_delay_ms(n, throttled=True, throttle_pause_s=0.25) for n in (1, 2)] == [250, 500]
    assert [refusal_delay_ms(n, throttled=True, throttle_pause_s=90) for n in (1, 2)] == [90_000, 90_000]


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (7, 60), (100_000, 60)])
def test_r13_reconnecting_doubles_from_one_second_to_sixty(failures: int, seconds: int):
    assert reconnect_delay_s(failures, 0.0) == seconds
    assert seconds * 0.8 <= reconnect_delay_s(failures, 1.0) < seconds


def test_r13_an_operator_may_set_the_bounds_of_reconnecting():
    assert [reconnect_delay_s(n, 0.0, first_s=0.5, longest_s=3) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 3]
