"""One number that the SMSC throttles for ever must not hold up the others on its link (docs/smpp.md 1.10; R11).

The submitter's arithmetic in small: the link's ``Pacer`` and the part's own wait (``refusal_delay_ms``), told the time.
"""

from kvitto.core.retry import refusal_delay_ms
from kvitto.core.throttle import Pacer

TICK_S = 0.05
RUN_S = 120.0
WARM_S = 5.0


def _healthy_parts_sent(*, with_throttled: bool) -> int:
    """Parts that leave in ``RUN_S`` s at 100 waiting per second, beside one part that is always answered 0x58."""
    pacer, sent, attempts, due, credit = Pacer(0.0, 0.0), 0, 0, 0.0, 0.0
    now = 0.0
    while now < RUN_S:
        credit += 100 * TICK_S
        leaving = pacer.allowance(now, int(credit))
        if leaving:
            pacer.sent(leaving, now)
            sent, credit = sent + leaving, credit - leaving
        if with_throttled and now >= max(due, WARM_S) and (leaving or pacer.allowance(now, 1)):
            pacer.sent(1, now)
            attempts += 1
            pacer.slow_down(now)
            due = now + refusal_delay_ms(attempts, throttled=True) / 1000
        now += TICK_S
    return sent


def test_r11_a_number_throttled_for_ever_leaves_the_link_most_of_its_pace():
    assert _healthy_parts_sent(with_throttled=True) >= _healthy_parts_sent(with_throttled=False) // 2
