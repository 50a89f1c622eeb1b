"""Refusals in 9bits' words: an HTTP status and an object that says it again, in short and at length
(docs/dialects/ninebits.md 3.4).

Must not know: what a request looks like. Next: ``kvitto.dialects.ninebits.requests``.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from kvitto.dialects.base import Answer, DialectError, Problem

__all__ = ["JSON", "ErrorBody", "invalid", "refuse", "too_large", "unsupported_media"]

JSON: Final = "application/json"


class ErrorBody(msgspec.Struct):
    """The error object: the HTTP status once more, the case in short, and what to mend."""

    status_code: int
    error: str
    message: str


_ENCODER: Final = msgspec.json.Encoder()

_SHORT: Final[Mapping[int, str]] = {
    400: "Invalid request",
    401: "Unauthorized",
    402: "Insufficient balance",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Request too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
}
"""The ``error`` of each status."""

_PROBLEMS: Final[Mapping[Problem, tuple[int, str]]] = {
    Problem.UNAUTHORIZED: (401, "send the account's token as Authorization: Bearer <token>"),
    Problem.ACCOUNT_DISABLED: (403, "the account is disabled"),
    Problem.QUOTA_SPENT: (402, "to: more recipients than the account's quota has left"),
    Problem.SENDER_NOT_ALLOWED: (403, "from: not among the account's sender ids"),
    Problem.NO_SENDER: (400, "from: required"),
    Problem.NO_CALLBACK_URL: (400, "delivery_report: the account has no callback URL"),
    Problem.TOO_MANY_PARTS: (400, "content: more parts than the account may send"),
    Problem.NOT_FOUND: (404, "nothing of the account has this path or id"),
    Problem.METHOD_NOT_ALLOWED: (405, "the path is there, for the methods of the Allow header"),
    Problem.ALREADY_DISPATCHED: (409, "dispatch has begun"),
    Problem.TOO_LARGE: (413, "a body may have 1048576 bytes"),
    Problem.KEY_REUSED: (409, "Idempotency-Key: used before for another request"),
    Problem.INVALID_KEY: (400, "Idempotency-Key: 1 to 255 visible characters"),
    Problem.INVALID_CURSOR: (400, "page: not one of ours"),
    Problem.THROTTLED: (429, "too many requests at a time; try again after Retry-After seconds"),
    Problem.INTERNAL: (500, "our fault; nothing was accepted"),
    Problem.UNAVAILABLE: (503, "nothing was accepted; try again after Retry-After seconds"),
}
"""Total over ``Problem``. The words are ours throughout: other dialects' names of fields mean nothing to a client."""

_RETRY_AFTER_S: Final[Mapping[Problem, int]] = {Problem.THROTTLED: 1, Problem.UNAVAILABLE: 5}


def refuse(problem: Problem, *, retry_after_s: int | None = None, allow: str = "") -> Answer:
    """Say a problem; 429 and 503 always carry ``Retry-After``, 401 ``WWW-Authenticate``, 405 ``Allow``."""
    headers: list[tuple[str, str]] = []
    if problem is Problem.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", "Bearer"))
    if problem is Problem.METHOD_NOT_ALLOWED and allow:
        headers.append(("Allow", allow))
    wait_s = _RETRY_AFTER_S.get(problem) if retry_after_s is None else retry_after_s
    if wait_s is not None:
        headers.append(("Retry-After", str(wait_s)))
    status, message = _PROBLEMS[problem]
    return _answer(status, message, tuple(headers))


def invalid(field: str, text: str) -> DialectError:
    """400: ``field`` is missing or wrong; ``text`` says what is expected, never the value."""
    return DialectError(_answer(400, f"{field}: {text}" if field else text))


def too_large() -> DialectError:
    """413: the body is over the dialect's own limit, which lies below the server's."""
    return DialectError(refuse(Problem.TOO_LARGE))


def unsupported_media() -> DialectError:
    """415: declared as something else than JSON."""
    return DialectError(_answer(415, "Content-Type: application/json, or none"))


def _answer(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, _ENCODER.encode(ErrorBody(status, _SHORT[status], message)), JSON, headers)
