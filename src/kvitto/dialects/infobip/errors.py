"""Refusals in Infobip's words: two shapes of error body, in JSON or XML (docs/dialects/infobip.md 8).

Versions 1 and 2, bulks and sessions answer with ``requestError``, version 3 with ``ApiError`` and all its five keys.
What the reading of a request finds wrong is an ``Invalid``, which knows no shape; ``told`` gives it the request's own.

Must not know: what a request looks like. Next: ``kvitto.dialects.infobip.forms``.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, NamedTuple, TypeVar

from kvitto.dialects.base import Answer, Call, DialectError, Problem
from kvitto.dialects.infobip import wire
from kvitto.dialects.infobip.forms import Form, answer, form_of

__all__ = ["Invalid", "Unsupported", "refuse", "told"]


class Invalid(Exception):
    """A request that breaks a rule: which field, and what it must be."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(field, text)
        self.field = field
        self.text = text


class Unsupported(Exception):
    """A body that is neither declared as JSON nor as XML."""


_Result = TypeVar("_Result")


def told(read: Callable[[Call, Any], _Result]) -> Callable[[Call, Any], _Result]:
    """Let what ``read`` finds wrong become the answer that the caller's version and format have for it."""

    @wraps(read)
    def reads(call: Call, account: Any) -> _Result:
        try:
            return read(call, account)
        except Invalid as wrong:
            raise DialectError(_refusal(form_of(call), _BAD_REQUEST, wrong.text, wrong.field)) from None
        except Unsupported:
            raise DialectError(_refusal(form_of(call), _UNSUPPORTED, "")) from None

    return reads


class _Words(NamedTuple):
    """A refusal: HTTP status, the word of versions 1 and 2, the code of version 3, the sentence for people."""

    status: int
    word: str
    code: str
    text: str


_BAD_REQUEST: Final = _Words(400, "BAD_REQUEST", "E400", "Bad request")
_UNSUPPORTED: Final = _Words(
    415, "UNSUPPORTED_MEDIA_TYPE", "E415", "Unsupported media type: application/json or application/xml"
)

_GENERAL_ERROR: Final = _Words(500, "GENERAL_ERROR", "E500", "Something went wrong. Please contact support.")
"""Also while the store is away (P24, P25): the vendor has no 503, and SDK 5 understands none."""

_WORDS: Final[Mapping[Problem, _Words]] = {
    Problem.UNAUTHORIZED: _Words(401, "UNAUTHORIZED", "E401", "Invalid login details"),
    Problem.ACCOUNT_DISABLED: _Words(403, "UNAUTHORIZED", "E403", "Unauthorized access"),
    Problem.QUOTA_SPENT: _Words(403, "FORBIDDEN", "E403", "Not enough credits"),
    Problem.SENDER_NOT_ALLOWED: _Words(403, "FORBIDDEN", "E403", "Sender is not allowed"),
    Problem.NO_SENDER: _Words(400, "BAD_REQUEST", "E400", "Sender is missing"),
    Problem.NO_CALLBACK_URL: _Words(400, "BAD_REQUEST", "E400", "URL for reports is missing"),
    Problem.TOO_MANY_PARTS: _Words(400, "BAD_REQUEST", "E400", "Message too long"),
    Problem.NOT_FOUND: _Words(404, "NOT_FOUND", "E404", "Requested resource not found"),
    Problem.METHOD_NOT_ALLOWED: _Words(405, "METHOD_NOT_ALLOWED", "E405", "Method not allowed"),
    Problem.ALREADY_DISPATCHED: _Words(400, "BAD_REQUEST", "E400", "Bulk has been sent or canceled already"),
    Problem.TOO_LARGE: _Words(413, "REQUEST_ENTITY_TOO_LARGE", "E413", "Request is too large"),
    Problem.THROTTLED: _Words(429, "TOO_MANY_REQUESTS", "E429", "Too many requests"),
    Problem.UNAVAILABLE: _GENERAL_ERROR,
    Problem.INTERNAL: _GENERAL_ERROR,
    Problem.KEY_REUSED: _Words(409, "CONFLICT", "E409", "Idempotency-Key has been used for another request"),
    Problem.INVALID_KEY: _Words(
        400, "BAD_REQUEST", "E400", "Idempotency-Key must be visible ASCII characters, 255 at most"
    ),
    Problem.INVALID_CURSOR: _Words(400, "BAD_REQUEST", "E400", "cursor is not one of ours"),
}
"""Total over ``Problem``."""

_BULK_NOT_FOUND: Final = "Bulk not found"
_FIELDS: Final[Mapping[Problem, str]] = {
    Problem.INVALID_CURSOR: "cursor",
    Problem.INVALID_KEY: "Idempotency-Key",
    Problem.KEY_REUSED: "Idempotency-Key",
}
_BODY: Final = "body"
"""The name under which the body as a whole is said to be wrong."""
_RETRY_AFTER_S: Final[Mapping[Problem, int]] = {Problem.THROTTLED: 1, Problem.UNAVAILABLE: 5}

_DESCRIPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "E400": ("Request cannot be processed.", "Check the request against the documentation."),
    "E401": ("The request lacks valid credentials.", "Check the credentials and the Authorization header."),
    "E403": ("The account may not do this.", "Ask the operator of the account."),
    "E404": ("Requested resource not found.", "Check the address and the ids."),
    "E405": ("The method is not allowed here.", "Check the method against the documentation."),
    "E409": ("The request contradicts an earlier one.", "Use a new Idempotency-Key for a new request."),
    "E413": ("The request is too large.", "Send it in smaller ones."),
    "E415": ("The content type is not supported.", "Send application/json or application/xml."),
    "E429": ("Too many requests.", "Try again after the time in Retry-After."),
    "E500": ("Something went wrong.", "Try again, or ask the operator."),
}
"""Version 3: what happened, and what to do about it; the vendor leaves the wording free."""


def refuse(
    problem: Problem,
    form: Form,
    *,
    text: str = "",
    retry_after_s: int | None = None,
    allow: str = "",
    bulk: bool = False,
) -> Answer:
    """Say a problem in Infobip's words; 401 names its schemes, 405 has ``Allow``, 429 and a store that is away
    ``Retry-After``.

    ``bulk``: what is not found is a scheduled bulk.
    """
    headers: list[tuple[str, str]] = []
    if problem is Problem.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", 'Basic realm="sms"'))
    if problem is Problem.METHOD_NOT_ALLOWED and allow:
        headers.append(("Allow", allow))
    wait_s = _RETRY_AFTER_S.get(problem) if retry_after_s is None else retry_after_s
    if wait_s is not None:
        headers.append(("Retry-After", str(wait_s)))
    words = _WORDS[problem]
    if bulk and problem is Problem.NOT_FOUND:
        words = words._replace(text=_BULK_NOT_FOUND)
    return _refusal(form, words, "", _FIELDS.get(problem, ""), tuple(headers))


def _refusal(
    form: Form, words: _Words, violation: str, field: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """``violation``: of ``field``, "" for the body as a whole; without one, the sentence that the words have."""
    if violation:
        field = field or _BODY
    if form.version == 3:
        description, action = _DESCRIPTIONS[words.code]
        said = wire.Violation(field, violation or words.text)
        violations = [said] if field or words.status == 400 else []
        body: object = wire.ApiError(words.code, description, action, violations, [])
        return answer(form, words.status, "ApiError", body, headers)
    exception = wire.ServiceException(words.word, words.text)
    if violation:
        exception.validation_errors = {field: [violation]}
    return answer(form, words.status, "ApiException", wire.V1Error(wire.RequestError(exception)), headers)
