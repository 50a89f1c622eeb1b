"""P10: each profile's schedule, attempt by attempt, as its page says; what is tried again and what is not (P11)."""

from collections.abc import Callable

import pytest

from kvitto.callbacks import standard
from kvitto.core.model import Account, CallbackDue, ContentKind, MessageView
from kvitto.core.status import NO_ERROR, Note, Reason, Status
from kvitto.dialects.base import Dialect, RetryDecision
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.sinch import SinchDialect
from tests.support.clock import FakeClock

ACCOUNT = Account(id="A", name="n", service_plan_id="p", username="u")
VIEW = MessageView(
    "M", "B", "A", "46701234567", Status.DELIVERED, Reason.DELIVERED, 0, None, NO_ERROR, 1, Note.NONE, 0, None,
    ContentKind.TEXT, None,
)  # fmt: skip
DUE = CallbackDue(7, "A", "d", "http://a.example/", VIEW, False, 0, 0, None)

Judge = Callable[[CallbackDue, int | None, float | None, int], RetryDecision]


def by(dialect: Dialect) -> Judge:
    return lambda due, status, retry_after_s, now: dialect.judge(due, ACCOUNT, status, b"", retry_after_s, now)


MINUTE, HOUR = 60.0, 3600.0
PROFILES: list[tuple[str, Judge, list[float], float]] = [
    ("sinch", by(SinchDialect()), [5.0 * 2**retry for retry in range(15)], 0.0),
    (
        "infobip",
        by(InfobipDialect()),
        [sum(MINUTE * (1 + step * step) for step in range(retry + 1)) for retry in range(20)],
        0.0,
    ),
    ("ninebits", by(NinebitsDialect()), [30, 60, 120, 240, 480, 960, 1920, 3600], 0.1),
    (
        "standard",
        standard.judge,
        [
            sum([5, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24))][: retry + 1])
            for retry in range(9)
        ],
        0.0,
    ),
]


@pytest.mark.parametrize(("name", "judge", "offsets_s", "jitter"), PROFILES, ids=[one[0] for one in PROFILES])
def test_p10_each_attempt_comes_at_its_documented_time(
    clock: FakeClock, name: str, judge: Judge, offsets_s: list[float], jitter: float
):
    first_at, due = clock.now(), DUE
    for offset_s in offsets_s:
        decision = judge(due, 503, None, clock.now())
        assert not decision.done
        assert decision.retry_at is not None
        after_s = (decision.retry_at - first_at) / 1000
        assert offset_s - 1 <= after_s <= offset_s * (1 + jitter) + 1, name
        clock.advance((decision.retry_at - clock.now()) / 1000)
        due = due._replace(attempts=due.attempts + 1, first_failed_at=first_at)
    assert judge(due, 503, None, clock.now()).retry_at is None, "the last attempt was the last"


@pytest.mark.parametrize(("name", "judge", "offsets_s", "jitter"), PROFILES, ids=[one[0] for one in PROFILES])
def test_p26_after_a_long_stop_no_attempt_is_lost_and_none_comes_at_once(
    clock: FakeClock, name: str, judge: Judge, offsets_s: list[float], jitter: float
):
    due = DUE._replace(attempts=len(offsets_s) - 1, first_failed_at=clock.now())
    clock.advance(30 * 86_400)
    retry_at = judge(due, 503, None, clock.now()).retry_at
    assert retry_at is not None
    assert retry_at >= clock.now() + 1000


@pytest.mark.parametrize(("name", "judge"), [(one[0], one[1]) for one in PROFILES if one[0] in ("sinch", "standard")])
def test_p11_retry_after_moves_the_next_attempt_out_but_never_nearer(clock: FakeClock, name: str, judge: Judge):
    assert judge(DUE, 503, 100.0, clock.now()).retry_at == clock.now() + 100_000
    assert judge(DUE, 503, 1.0, clock.now()).retry_at == clock.now() + 5_000


@pytest.mark.parametrize(
    ("judge", "final"),
    [(PROFILES[0][1], {301, 400, 404, 410}), (PROFILES[1][1], set()), (PROFILES[2][1], {400, 404, 410}),
     (PROFILES[3][1], set())],
    ids=[one[0] for one in PROFILES],
)  # fmt: skip
def test_p11_what_is_final_is_the_profiles_own(clock: FakeClock, judge: Judge, final: set[int]):
    for status in (301, 400, 404, 410, 429, 500, 503):
        assert (judge(DUE, status, None, clock.now()).retry_at is None) == (status in final), status
    assert judge(DUE, None, None, clock.now()).retry_at is not None
