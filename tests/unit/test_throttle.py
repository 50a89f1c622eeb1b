"""Rates and slowing down: the bucket, the slowdown, and the two together."""

import math

import pytest

from kvitto.core.throttle import Pacer, Slowdown, TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = TokenBucket.full(100, 0.0)
    assert bucket.available(0.0) == 5
    bucket = bucket.take(5, 0.0)
    assert bucket.available(0.0) == 0
    assert bucket.ready_at(0.0) == pytest.approx(0.01)
    assert bucket.available(0.01) == 1
    assert bucket.available(100.0) == 5


def test_a_slow_bucket_still_lets_one_part_leave_whole():
    bucket = TokenBucket.full(0.5, 0.0).take(1, 0.0)
    assert bucket.ready_at(0.0) == pytest.approx(2.0)
    assert bucket.available(1.9) == 0
    assert bucket.available(2.0) == 1


def test_a_clock_that_seems_to_stand_or_step_back_gives_nothing_for_free():
    bucket = TokenBucket.full(10, 5.0).take(1, 5.0)
    assert bucket.available(4.0) == bucket.available(5.0) == 0


def test_a_bucket_at_rate_nought_never_is_ready():
    assert TokenBucket.full(0, 0.0).take(1, 0.0).ready_at(0.0) == math.inf


def test_a_new_rate_keeps_what_is_owed():
    bucket = TokenBucket.full(100, 0.0).take(5, 0.0).with_rate(10, 0.0)
    assert bucket.available(0.0) == 0
    assert bucket.ready_at(0.0) == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [7, 50, 333])
def test_p27_over_a_minute_the_rate_is_kept_within_five_per_cent(rate):
    pacer, now, sent = Pacer(rate, 0.0), 0.0, 0
    while now < 60.0:
        count = pacer.allowance(now, 1000)
        pacer.sent(count, now)
        sent += count
        now = max(pacer.ready_at(now), now + 0.001)
    assert sent == pytest.approx(rate * 60, rel=0.05)


def test_r11_a_throttle_stops_for_a_second_then_goes_on_at_half_and_recovers():
    slow = Slowdown.after_throttle(None, 100.0, 10.0)
    assert slow.rate_at(10.0) == slow.rate_at(10.99) == 0.0
    assert slow.rate_at(11.0) == 50.0
    rates = [slow.rate_at(11.0 + second) or 100.0 for second in range(10)]
    assert rates == sorted(rates)
    assert rates[-1] < 100
    assert slow.rate_at(21.1) is None


def test_r11_an_operator_may_set_how_long_the_link_pauses():
    pacer = Pacer(0, 0.0, 0.25)
    pacer.slow_down(10.0)
    assert pacer.ready_at(10.0) == 10.25


def test_r11_a_link_that_had_nothing_to_send_does_not_start_from_almost_nothing():
    pacer = Pacer(0, 0.0)
    pacer.sent(1, 0.0)
    pacer.sent(1, 100.0)
    pacer.slow_down(100.0)
    assert pacer.ready_at(101.0) == pytest.approx(101.02)
    assert pacer.allowance(111.5, 1000) == 1000


def test_r11_idle_minutes_do_not_count_as_a_slow_speed():
    pacer = Pacer(0, 0.0)
    for tick in range(21):
        pacer.sent(100, tick / 10)  # 1 000 a second
    pacer.sent(1, 100.0)
    pacer.slow_down(100.0)
    assert pacer.ready_at(101.0) == pytest.approx(101.002)


def test_r11_a_configured_rate_bounds_where_a_throttled_link_goes_on():
    pacer = Pacer(4, 0.0)
    pacer.slow_down(10.0)
    pacer.sent(1, 11.0)
    assert pacer.ready_at(11.0) == pytest.approx(11.5)


@pytest.mark.parametrize(("sent", "parts_in_ten_s"), [(1, 700), (5, 350)])
def test_r11_only_a_link_that_used_its_slower_rate_is_slowed_further(sent: int, parts_in_ten_s: int):
    pacer = Pacer(0, 0.0)
    pacer.slow_down(10.0)  # 50 parts a second from 11.0 on
    pacer.sent(sent, 11.0)
    pacer.slow_down(11.0)
    count = 0
    for tick in range(1200, 2190):
        parts = pacer.allowance(tick / 100, 2)
        pacer.sent(parts, tick / 100)
        count += parts
    assert count == pytest.approx(parts_in_ten_s, rel=0.1)


def test_r11_throttles_of_one_burst_count_once():
    slow = Slowdown.after_throttle(None, 100.0, 10.0)
    assert Slowdown.after_throttle(slow, 100.0, 10.5) is slow


def test_r11_a_throttle_during_recovery_halves_again_and_keeps_the_aim():
    slow = Slowdown.after_throttle(None, 100.0, 10.0)
    again = Slowdown.after_throttle(slow, 80.0, 11.0)
    assert again.until == 12.0
    assert again.rate_at(12.0) == 25.0
    assert again.target == 100.0


def test_r11_a_throttle_after_recovery_starts_anew():
    slow = Slowdown.after_throttle(None, 100.0, 0.0)
    assert Slowdown.after_throttle(slow, 60.0, 100.0) == Slowdown(until=101.0, rate=30.0, target=60.0)


def test_r11_a_link_is_never_slowed_to_a_standstill():
    slow: Slowdown | None = None
    for now in range(0, 100, 2):
        slow = Slowdown.after_throttle(slow, 3.0, float(now))
    assert slow is not None
    rate = slow.rate_at(100.0)
    assert rate is None or rate >= 1.0


def test_a_pacer_without_a_rate_gives_all_that_is_wanted():
    pacer = Pacer(0, 0.0)
    assert pacer.allowance(0.0, 1000) == 1000
    assert pacer.ready_at(0.0) == 0.0
    assert not pacer.throttled


@pytest.mark.parametrize("rate", [0, 200])
def test_r11_a_throttled_pacer_pauses_goes_on_slower_and_recovers(rate):
    pacer = Pacer(rate, 0.0)
    now = 0.0
    sent: dict[int, int] = {}
    throttled_at = 3.0
    while now < 40.0:
        if throttled_at and now >= throttled_at:
            pacer.slow_down(now)
            throttled_at = 0.0
        count = pacer.allowance(now, 2)  # 200 a second are wanted
        if count:
            pacer.sent(count, now)
            sent[int(now)] = sent.get(int(now), 0) + count
        now = round(now + 0.01, 2)
    assert sent.get(3, 0) <= 2
    assert sent[4] == pytest.approx(100, rel=0.1)
    assert sent[4] < sent[10] < sent[16]
    assert sent[38] == pytest.approx(200, rel=0.05)
    assert not pacer.throttled


def test_a_throttled_pacer_tells_when_to_come_back():
    pacer = Pacer(0, 0.0)
    pacer.sent(10, 0.0)
    pacer.slow_down(0.5)
    assert pacer.throttled
    assert pacer.allowance(0.6, 5) == 0
    assert pacer.ready_at(0.6) == 1.5
    assert pacer.ready_at(1.5) < 1.8
