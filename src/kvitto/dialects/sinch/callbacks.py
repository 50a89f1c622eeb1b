"""Callbacks in Sinch's JSON, their signature, and what a receiver's answer means (docs/dialects/sinch.md 10).

A body is the report that a reader would get, compact and with its keys in alphabetical order: a client may verify the
signature over the text it gets by parsing the body and writing it again.

Must not know: how a callback is posted, when it became due. Next: ``kvitto.core.retry``.
"""

import math
from collections.abc import Sequence
from typing import Final

from kvitto.core.errors import LocalError
from kvitto.core.model import Account, BatchReport, CallbackDue, MessageView
from kvitto.core.retry import doubling
from kvitto.core.secrets import hmac_base64
from kvitto.dialects.base import RetryDecision
from kvitto.dialects.sinch.errors import JSON
from kvitto.dialects.sinch.responses import batch_report, recipient_report
from kvitto.dialects.sinch.wire import ENCODER

__all__ = ["TIMEOUT_S", "headers", "judge", "render", "signature"]

TIMEOUT_S: Final = 10.0
"""Seconds that one attempt may take (docs/dialects/sinch.md 10)."""

_SCHEDULE: Final = doubling(5, 81_920)
"""Retries 5, 10, 20 .. 81 920 s after the first failed attempt: 15 of them. No jitter."""

_RETRY_AFTER_MAX_S: Final = 86_400.0
"""A receiver may push the next attempt out by a day at most, so that a wild number does not silence its callbacks."""

_CONTENT_TYPE: Final = ("Content-Type", JSON)
_ALGORITHM: Final = ("X-Sinch-Webhook-Signature-Algorithm", "HmacSHA256")

_TOO_MANY_REQUESTS: Final = 429
_DONE: Final = RetryDecision(True, None)
_GIVE_UP: Final = RetryDecision(False, None)


def render(dues: Sequence[CallbackDue], account: Account) -> bytes:
    """Return the body of one callback: the same octets for the same facts, every time."""
    due = dues[0]
    facts = due.facts
    if isinstance(facts, MessageView):
        return ENCODER.encode(recipient_report(facts))
    if isinstance(facts, BatchReport):
        return ENCODER.encode(batch_report(facts, full=due.full))
    raise LocalError("Sinch has no words for operator events")


def signature(body: bytes, secret: str, nonce: str, timestamp: str) -> str:
    """Return Base64(HMAC-SHA256(secret as UTF-8, body "." nonce "." timestamp)) (docs/dialects/sinch.md 10.2)."""
    return hmac_base64(secret.encode(), body + f".{nonce}.{timestamp}".encode())


def headers(
    due: CallbackDue, body: bytes, account: Account, *, secret: str, nonce: str, now: int
) -> list[tuple[str, str]]:
    """Return the headers of one attempt: a fresh ``nonce`` and time each; the key is the whole secret, in UTF-8."""
    timestamp = str(now // 1000)
    return [
        _CONTENT_TYPE,
        ("X-Sinch-Webhook-Signature", signature(body, secret, nonce, timestamp)),
        _ALGORITHM,
        ("X-Sinch-Webhook-Signature-Nonce", nonce),
        ("X-Sinch-Webhook-Signature-Timestamp", timestamp),
    ]


def judge(
    due: CallbackDue, account: Account, status_code: int | None, body: bytes, retry_after_s: float | None, now: int
) -> RetryDecision:
    """Say what an answer means: 2xx done; none, 429 and 5xx again; 3xx and the other 4xx never again.

    ``Retry-After`` on a 429 or 5xx moves the next attempt out when it is later than the schedule's.
    """
    if status_code is not None:
        if 200 <= status_code < 300:
            return _DONE
        if status_code < 500 and status_code != _TOO_MANY_REQUESTS:
            return _GIVE_UP
    first_failed_at = now if due.first_failed_at is None else due.first_failed_at
    retry_at = _SCHEDULE(due.attempts + 1, first_failed_at, now)
    if retry_at is None:
        return _GIVE_UP
    if retry_after_s is not None and status_code is not None and math.isfinite(retry_after_s):
        retry_at = max(retry_at, now + round(min(retry_after_s, _RETRY_AFTER_MAX_S) * 1000))
    return RetryDecision(False, retry_at)
