"""Refusals of ``/kvitto/v1``: one shape for all of them, RFC 9457's problem object, naming field and limit.

Must not know: routes. Next: ``kvitto.intake.api.doors``.
"""

import re
from typing import Final, NamedTuple

import msgspec

from kvitto.dialects.base import Problem
from kvitto.intake.admit import Denial
from kvitto.intake.api.wire import ProblemOut
from kvitto.intake.exchange import Response

__all__ = ["PROBLEM_JSON", "Refusal", "answer_denial", "answer_refusal", "bad_field", "from_validation", "not_found"]

PROBLEM_JSON: Final = "application/problem+json"
_TYPE: Final = "urn:kvitto:problem:"


class _Kind(NamedTuple):
    status: int
    title: str


_KINDS: Final = {
    "invalid_field": _Kind(400, "A field is wrong"),
    "invalid_json": _Kind(400, "The body is no JSON"),
    "invalid_cursor": _Kind(400, "The cursor is none that was handed out"),
    "invalid_key": _Kind(400, "The Idempotency-Key is none"),
    "unauthorized": _Kind(401, "Who are you?"),
    "account_disabled": _Kind(403, "The account is disabled"),
    "not_found": _Kind(404, "There is none such"),
    "method_not_allowed": _Kind(405, "Not with this method"),
    "conflict": _Kind(409, "It contradicts what is there"),
    "key_reused": _Kind(409, "The Idempotency-Key was used for another request"),
    "too_large": _Kind(413, "The body is too large"),
    "unsupported_media": _Kind(415, "The body is not declared as application/json"),
    "throttled": _Kind(429, "Too much at once"),
    "internal": _Kind(500, "Our fault"),
    "unavailable": _Kind(503, "The database is away"),
}
"""Every problem there is. A problem's ``type`` is ``urn:kvitto:problem:`` and its word here."""

_OF_PROBLEM: Final = {
    Problem.UNAUTHORIZED: "unauthorized",
    Problem.ACCOUNT_DISABLED: "account_disabled",
    Problem.NOT_FOUND: "not_found",
    Problem.METHOD_NOT_ALLOWED: "method_not_allowed",
    Problem.TOO_LARGE: "too_large",
    Problem.THROTTLED: "throttled",
    Problem.UNAVAILABLE: "unavailable",
    Problem.KEY_REUSED: "key_reused",
}
_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<where>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")
_BOUND: Final = re.compile(r"(?:<=|>=|<|>|length) (?:<=|>=|<|>)? ?[0-9.]+|regex '.*'")


class Refusal(Exception):
    """A request that is not performed. ``word``: of ``_KINDS``; ``field``, ``limit``: what it is about."""

    def __init__(
        self,
        word: str,
        detail: str = "",
        *,
        field: str = "",
        limit: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(word)
        self.word = word
        self.detail = detail
        self.field = field
        self.limit = limit
        self.headers = headers


def bad_field(field: str, detail: str, limit: str = "") -> Refusal:
    """A field that is wrong."""
    return Refusal("invalid_field", detail, field=field, limit=limit)


def not_found(what: str) -> Refusal:
    """Nothing of that name belongs to the account."""
    return Refusal("not_found", f"no such {what}", field=what)


def from_validation(error: msgspec.ValidationError) -> Refusal:
    """Say a broken shape in our words: the decoder's message ends in the path of the field."""
    text = str(error)
    found = _AT.match(text)
    what, where = (found["what"], found["where"] or "") if found else (text, "")
    missing = _MISSING.search(what)
    if missing is not None:
        where = f"{where}.{missing['name']}" if where else missing["name"]
    bound = _BOUND.search(what)
    return bad_field(where, what, bound[0] if bound else "")


def answer_refusal(refusal: Refusal) -> Response:
    """Write it."""
    kind = _KINDS[refusal.word]
    problem = ProblemOut(_TYPE + refusal.word, kind.title, kind.status, refusal.detail, refusal.field, refusal.limit)
    return Response(kind.status, msgspec.json.encode(problem), PROBLEM_JSON, refusal.headers)


def answer_denial(denial: Denial, allow: str = "") -> Response:
    """Write what the doors refuse."""
    word = _OF_PROBLEM.get(denial.problem, "internal")
    headers: list[tuple[str, str]] = []
    if word == "unauthorized":
        headers.append(("WWW-Authenticate", 'Bearer realm="kvitto", Basic realm="kvitto"'))
    if denial.retry_after_s is not None:
        headers.append(("Retry-After", str(denial.retry_after_s)))
    if allow:
        headers.append(("Allow", allow))
    return answer_refusal(Refusal(word, denial.text, headers=tuple(headers)))
