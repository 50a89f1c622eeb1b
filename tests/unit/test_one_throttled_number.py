"""One number that the SMSC throttles for ever must not hold up the others on its link (docs/smpp.md 1.10; R11).

The submitter's arithmetic in small: the link's ``Pacer``, the part's own wait (``refusal_delay_ms``) and who is to
blame (``Offenders``), told the time.
"""

import pytest

from kvitto.core.retry import refusal_delay_ms
from kvitto.core.throttle import Offenders, Pacer

TICK_S = 0.05
RUN_S = 120.0
WARM_S = 5.0
DEMAND = 100


def _healthy_parts_sent(numbers: int, *, idle_s: float = 0.0) -> int:
    """Parts that leave in ``RUN_S`` s at ``DEMAND`` a second, beside ``numbers`` that are always answered 0x58.

    Whatever a second did not take is lost to the count, so that a late rush makes up for nothing. The healthy ones come
    after ``idle_s``.
    """
    pacer, offenders = Pacer(0.0, 0.0), Offenders()
    due = {number: (0.0 if idle_s else WARM_S) + number * TICK_S for number in range(numbers)}
    attempts = dict.fromkeys(due, 0)
    sent, now, waiting = 0, 0.0, 0.0
    while now < RUN_S:
        waiting = min(waiting + DEMAND * TICK_S, DEMAND) if now >= idle_s else 0.0
        leaving = pacer.allowance(now, int(waiting))
        pacer.sent(leaving, now)
        sent, waiting = sent + leaving, waiting - leaving
        for number in due:
            if now >= due[number] and pacer.allowance(now, 1):
                pacer.sent(1, now)
                attempts[number] += 1
                if not offenders.blame(number, sent):
                    pacer.slow_down(now)
                due[number] = now + refusal_delay_ms(attempts[number], throttled=True) / 1000
        now += TICK_S
    return sent


@pytest.mark.parametrize("numbers", [1, 3, 10])
def test_r11_numbers_throttled_for_ever_leave_the_link_its_pace(numbers: int):
    assert _healthy_parts_sent(numbers) >= 0.9 * _healthy_parts_sent(0)


def test_r11_an_idle_link_whose_only_part_is_throttled_is_soon_fast_again():
    """The batch comes after 20 s; nothing is accepted before, so every throttle is the link's matter."""
    assert _healthy_parts_sent(1, idle_s=20.0) >= 0.8 * _healthy_parts_sent(0, idle_s=20.0)


def test_r11_a_part_throttled_again_while_nothing_is_accepted_slows_its_link():
    offenders = Offenders()
    assert [offenders.blame("a", 0), offenders.blame("a", 0), offenders.blame("a", 1)] == [False, False, True]


def test_r11_another_part_that_is_throttled_slows_its_link_whatever_was_accepted():
    offenders = Offenders()
    assert [offenders.blame("a", 0), offenders.blame("b", 5)] == [False, False]


def test_p27_more_parts_than_a_few_that_are_throttled_again_and_again_are_the_links_matter():
    offenders = Offenders()
    assert not any(offenders.blame(number, turn) for turn in range(3) for number in range(100))
