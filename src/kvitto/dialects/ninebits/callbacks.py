"""Callbacks in 9bits' JSON, and what a receiver's answer means (docs/dialects/ninebits.md 5).

Must not know: how a callback is posted, when it became due. Next: ``kvitto.dialects.ninebits.responses``.
"""

import math
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from kvitto.core.errors import LocalError
from kvitto.core.model import Account, CallbackDue, MessageView
from kvitto.dialects.base import RetryDecision
from kvitto.dialects.ninebits.errors import JSON
from kvitto.dialects.ninebits.responses import report
from kvitto.dialects.ninebits.wire import ENCODER

__all__ = ["MOST_AT_ONCE", "OFFSETS_S", "TIMEOUT_S", "headers", "judge", "render"]

TIMEOUT_S: Final = 10.0
"""Seconds that one attempt may take (section 5.4)."""

MOST_AT_ONCE: Final = 10
"""Requests to one receiver at a time (section 5.4)."""

OFFSETS_S: Final = (30, 60, 120, 240, 480, 960, 1_920, 3_600)
"""Retries come so long after the first try: nine tries in all."""

_JITTER: Final = 0.1
_JITTER_STEPS: Final = 2**32
_RETRY_AFTER_MIN_S: Final = 1.0
"""``Retry-After: 0`` is no permission to knock without a pause."""
_RETRY_AFTER_MAX_S: Final = 3_600.0
_PUT_OFF_MAX_S: Final = 86_400.0
"""A day after the first try, what the receiver puts off counts as tried: nothing is put off for ever."""

_TOO_MANY_REQUESTS: Final = 429
_CONTENT_TYPE: Final = ("Content-Type", JSON)
_DONE: Final = RetryDecision(True, None)
_GIVE_UP: Final = RetryDecision(False, None)


def render(dues: Sequence[CallbackDue], account: Account) -> bytes:
    """Return the body of one callback: the same octets for the same facts in the same time zone, every time."""
    facts = dues[0].facts
    if not isinstance(facts, MessageView):
        raise LocalError("9bits has no report of a batch")
    return ENCODER.encode(report(facts, account.timezone))


def headers(
    due: CallbackDue, body: bytes, account: Account, *, secret: str, nonce: str, now: int
) -> list[tuple[str, str]]:
    """Return the headers of one attempt; Basic credentials are the endpoint's, and come from there."""
    return [_CONTENT_TYPE]


class _Acknowledgement(msgspec.Struct):
    status: int | float | str | None = None


_ACKNOWLEDGEMENT: Final = msgspec.json.Decoder(_Acknowledgement)
_ACKNOWLEDGED: Final = (200, "200")


def judge(
    due: CallbackDue, account: Account, status_code: int | None, body: bytes, retry_after_s: float | None, now: int
) -> RetryDecision:
    """Say what an answer means (section 5.4): a 2xx counts once its body says so, 4xx but 429 is final, else again."""
    if status_code is not None:
        if 200 <= status_code < 300:
            if account.ack == "http" or _acknowledges(body):
                return _DONE
        elif status_code == _TOO_MANY_REQUESTS:
            return _slower(due, retry_after_s, now)
        elif 400 <= status_code < 500:
            return _GIVE_UP
    return RetryDecision(False, _next_try(due, now))


def _acknowledges(body: bytes) -> bool:
    """Whether the answer is a JSON object whose ``status`` is 200, as a number or as text."""
    try:
        return _ACKNOWLEDGEMENT.decode(body).status in _ACKNOWLEDGED
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _slower(due: CallbackDue, retry_after_s: float | None, now: int) -> RetryDecision:
    """429: a ``Retry-After`` moves this try, which then was none; without it, or after a day of it, it counts."""
    if retry_after_s is None or not math.isfinite(retry_after_s):
        return RetryDecision(False, _next_try(due, now), slower=True)
    wait_s = min(max(retry_after_s, _RETRY_AFTER_MIN_S), _RETRY_AFTER_MAX_S)
    counts = due.first_failed_at is not None and now - due.first_failed_at >= _PUT_OFF_MAX_S * 1000
    retry_at = None if counts and due.attempts >= len(OFFSETS_S) else now + round(wait_s * 1000)
    return RetryDecision(False, retry_at, counts=counts, slower=True)


def _next_try(due: CallbackDue, now: int) -> int | None:
    """The next offset from the first try that is still ahead; None after the ninth try.

    Offsets that passed while the server was down are left out, the later ones stand. When all have passed, what is
    left of the nine tries comes after the schedule's gaps: nothing is given up early because a clock jumped (P26).
    """
    tried = due.attempts + 1
    if tried > len(OFFSETS_S):
        return None
    first_at = now if due.first_failed_at is None else due.first_failed_at
    for offset_s in OFFSETS_S[tried - 1 :]:
        planned_at = first_at + _with_jitter(offset_s, due.id, tried)
        if planned_at > now:
            return planned_at
    gap_s = OFFSETS_S[tried - 1] - (OFFSETS_S[tried - 2] if tried > 1 else 0)
    return now + _with_jitter(gap_s, due.id, tried)


def _with_jitter(offset_s: int, number: int, tried: int) -> int:
    """Milliseconds: up to a tenth is added, from the callback's own number, so that the same try has the same time."""
    share = zlib.crc32(b"%d.%d" % (number, tried)) / _JITTER_STEPS
    return round(offset_s * 1000 * (1 + _JITTER * share))
