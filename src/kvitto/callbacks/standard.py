"""The profile of endpoints that want no vendor's manners: the schedule and answers of the Standard Webhooks page.

A 2xx is success, 410 says that nobody wants callbacks there any more, everything else is tried again (P10, P11).
Pure. Must not know: sockets, bodies. Next: ``kvitto.callbacks.outbox``; the other profiles are the dialects' ``judge``.
"""

import math
from itertools import accumulate
from typing import Final

from kvitto.core.model import CallbackDue
from kvitto.core.retry import offsets_schedule
from kvitto.dialects.base import RetryDecision

__all__ = ["GAPS_S", "GONE", "OFFSETS_S", "TIMEOUT_S", "judge"]

TIMEOUT_S: Final = 15.0
"""Seconds that one attempt may take, connecting (5 s) included."""

GAPS_S: Final = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Waits before the retries: 5 s, 5 and 30 min, 2, 5, 10, 14, 20 and 24 h, each after the one before it."""

OFFSETS_S: Final = tuple(accumulate(GAPS_S))
"""When the retries come, counted from the first failed attempt: ten tries within 75 h 35 min 5 s. No jitter."""

RETRY_AFTER_MAX_S: Final = 86_400.0

GONE: Final = 410
"""Disables the endpoint."""

_SCHEDULE: Final = offsets_schedule(list(OFFSETS_S))
_DONE: Final = RetryDecision(True, None)


def judge(due: CallbackDue, status_code: int | None, retry_after_s: float | None, now: int) -> RetryDecision:
    """Say what an answer means (``status_code`` None: none came); ``now`` in ms UTC.

    410 is no failure of this callback alone: the endpoint is to be disabled, and what waits for it is kept.
    ``Retry-After``, whatever the status, moves the next try out when it is later than the schedule's.
    """
    if status_code is not None and 200 <= status_code < 300:
        return _DONE
    first_failed_at = now if due.first_failed_at is None else due.first_failed_at
    retry_at = _SCHEDULE(due.attempts + 1, first_failed_at, now)
    if retry_at is not None and retry_after_s is not None and math.isfinite(retry_after_s):
        retry_at = max(retry_at, now + round(min(retry_after_s, RETRY_AFTER_MAX_S) * 1000))
    return RetryDecision(False, retry_at, gone=status_code == GONE)
