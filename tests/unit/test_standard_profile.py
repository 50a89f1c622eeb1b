"""The profile of endpoints that want no vendor's manners (P10, P11)."""

import math

import pytest

from kvitto.callbacks.standard import OFFSETS_S, judge
from kvitto.core.model import CallbackDue
from kvitto.core.status import Reason, Status
from kvitto.dialects.base import RetryDecision
from tests.support.sinch import message

FIRST = 1_773_065_100_000


def due(attempts: int = 0) -> CallbackDue:
    began = FIRST if attempts else None
    return CallbackDue(
        7,
        "a1",
        "sinch",
        "https://shop.example/dlr",
        message(Status.DELIVERED, Reason.DELIVERED),
        False,
        attempts,
        FIRST,
        began,
    )


def test_p10_ten_tries_at_the_pages_instants():
    hours = 3_600_000
    tries: list[int] = []
    for attempt in range(10):
        decision = judge(due(attempt), 500, None, FIRST if not tries else FIRST + tries[-1])
        if decision.retry_at is None:
            break
        tries.append(decision.retry_at - FIRST)
    minutes = [5 / 60, 5 + 5 / 60, 35 + 5 / 60]
    later = [2, 7, 17, 31, 51, 75]
    assert tries == [*(round(m * 60_000) for m in minutes), *(h * hours + 2_105_000 for h in later)]
    assert attempt == 9
    assert tries[-1] == OFFSETS_S[-1] * 1000 == (75 * 3600 + 35 * 60 + 5) * 1000


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_p11_any_2xx_is_success(status):
    assert judge(due(), status, None, FIRST) == RetryDecision(True, None)


@pytest.mark.parametrize("status", [None, 199, 300, 301, 400, 401, 404, 409, 429, 500, 503, 999])
def test_p11_everything_else_is_tried_again(status):
    assert judge(due(), status, None, FIRST) == RetryDecision(False, FIRST + 5_000)


def test_p11_410_disables_and_the_callback_is_kept():
    assert judge(due(), 410, None, FIRST) == RetryDecision(False, FIRST + 5_000, gone=True)


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s"), [(0, 5), (4, 5), (60, 60), (10**9, 86_400), (math.inf, 5), (math.nan, 5)]
)
def test_p11_retry_after_moves_the_next_try_out_and_never_nearer(retry_after_s, wait_s):
    assert judge(due(), 503, retry_after_s, FIRST) == RetryDecision(False, FIRST + wait_s * 1000)


def test_p11_retry_after_does_not_lengthen_the_schedule():
    assert judge(due(9), 503, 60.0, FIRST + 10**9) == RetryDecision(False, None)
