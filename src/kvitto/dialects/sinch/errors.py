"""Refusals in Sinch's words: HTTP statuses and the error object of two strings (docs/dialects/sinch.md 3).

400 and 403 always carry the object (the CLX clients read both fields and break without them); the other refusals are
empty, with two exceptions that help a person who reads them: 413 and the 404 of an unknown report type.

Must not know: what a request looks like. Next: ``kvitto.dialects.sinch.requests``.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from kvitto.dialects.base import Answer, DialectError, Problem

__all__ = [
    "JSON",
    "ErrorBody",
    "ErrorCode",
    "bad_format",
    "broken_constraint",
    "error_answer",
    "forbidden",
    "invalid_json",
    "not_found",
    "refuse",
    "unsupported_media",
]

JSON: Final = "application/json"


class ErrorCode(StrEnum):
    """The words of ``code`` (docs/dialects/sinch.md 3)."""

    INVALID_JSON = "syntax_invalid_json"
    INVALID_FORMAT = "syntax_invalid_parameter_format"
    CONSTRAINT = "syntax_constraint_violation"
    UNKNOWN_GROUP = "unknown_group"
    MISSING_CALLBACK_URL = "missing_callback_url"
    ALREADY_DISPATCHED = "batch_already_dispatched"
    ILLEGAL_NUMBER_TYPE = "illegal_number_type"
    BLOCKED_ACCOUNT = "blocked_account"


class ErrorBody(msgspec.Struct):
    """The error object: exactly two strings."""

    code: str
    text: str


_ENCODER: Final = msgspec.json.Encoder()


def error_answer(status: int, code: ErrorCode, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Return an answer with the error object."""
    return Answer(status, _ENCODER.encode(ErrorBody(code.value, text)), JSON, headers)


def invalid_json(text: str) -> DialectError:
    """400: not JSON, or not of the expected shape."""
    return DialectError(error_answer(400, ErrorCode.INVALID_JSON, text))


def bad_format(field: str, text: str) -> DialectError:
    """400: the value of ``field`` has the wrong form; ``text`` says what is expected."""
    return DialectError(error_answer(400, ErrorCode.INVALID_FORMAT, f"{field}: {text}"))


def broken_constraint(field: str, text: str) -> DialectError:
    """400: ``field`` is missing, too long, too many, or out of order; ``text`` names the limit."""
    return DialectError(error_answer(400, ErrorCode.CONSTRAINT, f"{field}: {text}"))


def forbidden(code: ErrorCode, text: str) -> DialectError:
    """403: understood, but it cannot be done."""
    return DialectError(error_answer(403, code, text))


def not_found(field: str = "", text: str = "") -> DialectError:
    """404: empty, or with the error object when a ``field`` of the query is what names the unknown thing."""
    if not field:
        return DialectError(Answer(404))
    return DialectError(error_answer(404, ErrorCode.INVALID_FORMAT, f"{field}: {text}"))


def unsupported_media() -> DialectError:
    """415: a POST or PUT without a JSON ``Content-Type``."""
    return DialectError(Answer(415))


# --- problems outside the dialect's own rules ------------------------------------------------------------------------

_OBJECTS: Final[Mapping[Problem, tuple[int, ErrorCode, str]]] = {
    Problem.ACCOUNT_DISABLED: (403, ErrorCode.BLOCKED_ACCOUNT, "the account is blocked"),
    Problem.QUOTA_SPENT: (403, ErrorCode.BLOCKED_ACCOUNT, "the account's quota of messages is spent"),
    Problem.SENDER_NOT_ALLOWED: (403, ErrorCode.ILLEGAL_NUMBER_TYPE, "from: not among the account's senders"),
    Problem.NO_SENDER: (400, ErrorCode.CONSTRAINT, "from: required, the account has no default sender"),
    Problem.NO_CALLBACK_URL: (
        403,
        ErrorCode.MISSING_CALLBACK_URL,
        "callback_url: required for this delivery_report, the account has no default",
    ),
    Problem.TOO_MANY_PARTS: (400, ErrorCode.CONSTRAINT, "body: more parts than allowed"),
    Problem.ALREADY_DISPATCHED: (403, ErrorCode.ALREADY_DISPATCHED, "the batch has been dispatched already"),
    # Not in the vendor's list of statuses. 413 is what proxies and HTTP libraries understand; the object is for people.
    Problem.TOO_LARGE: (413, ErrorCode.CONSTRAINT, "body: too large"),
    Problem.KEY_REUSED: (409, ErrorCode.CONSTRAINT, "Idempotency-Key: used before for another request"),
    Problem.INVALID_KEY: (400, ErrorCode.INVALID_FORMAT, "Idempotency-Key: 1 to 255 visible ASCII characters"),
    Problem.INVALID_CURSOR: (400, ErrorCode.INVALID_FORMAT, "cursor: not one of ours"),
}

_EMPTY: Final[Mapping[Problem, int]] = {
    Problem.UNAUTHORIZED: 401,
    Problem.NOT_FOUND: 404,
    Problem.METHOD_NOT_ALLOWED: 405,
    Problem.THROTTLED: 429,
    Problem.INTERNAL: 500,
    Problem.UNAVAILABLE: 503,
}

_RETRY_AFTER_S: Final[Mapping[Problem, int]] = {Problem.THROTTLED: 1, Problem.UNAVAILABLE: 5}


def refuse(problem: Problem, *, text: str = "", retry_after_s: int | None = None, allow: str = "") -> Answer:
    """Say a problem in Sinch's words; 429 and 503 always carry ``Retry-After``, 405 ``Allow``.

    A 401 sends ``WWW-Authenticate`` without the word "expired": a client would try to refresh an OAuth token.
    """
    headers: list[tuple[str, str]] = []
    if problem is Problem.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", "Bearer"))
    if problem is Problem.METHOD_NOT_ALLOWED and allow:
        headers.append(("Allow", allow))
    wait_s = _RETRY_AFTER_S.get(problem) if retry_after_s is None else retry_after_s
    if wait_s is not None:
        headers.append(("Retry-After", str(wait_s)))
    if problem in _EMPTY:
        return Answer(_EMPTY[problem], headers=tuple(headers))
    status, code, words = _OBJECTS[problem]
    return error_answer(status, code, text or words, tuple(headers))
