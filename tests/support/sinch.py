"""Sinch calls without a server: a request line and a body in, the operation or the refusal out."""

import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from kvitto.core.model import Account, Batch, ContentKind, MessageView, Notify, Submission
from kvitto.core.operations import Send
from kvitto.core.status import NO_ERROR, Note, Reason, Status, StatusError
from kvitto.dialects.base import Answer, Call, DialectError, Route
from kvitto.dialects.sinch import ROUTES
from kvitto.dialects.sinch.times import parse_timestamp

__all__ = ["NOW", "PLAN", "account", "at", "batch_of", "call", "message", "read", "refusal", "route_of", "send"]

PLAN = "/xms/v1/plan1"
BATCH_ID = "01KVT7Q4M8Z2X5B9C3D6F0G1HJ"


def at(text: str) -> int:
    """The instant that a timestamp names."""
    instant = parse_timestamp(text)
    assert instant is not None
    return instant


NOW = at("2031-03-09T05:06:01.120Z")


def account(**settings: Any) -> Account:
    """An account with nothing set but what is named."""
    known = {"id": "a1", "name": "shop", "service_plan_id": "plan1", "username": "shop", "callback_secret": "whsec_x"}
    return Account(**(known | settings))


def route_of(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route for a path, literal segments first, and what its names stand for (percent-decoded)."""
    given = path.split("/")
    found = []
    for route in ROUTES:
        template = route.path.split("/")
        if route.method != method or len(template) != len(given):
            continue
        if all(name.startswith("{") or name == value for name, value in zip(template, given, strict=True)):
            params = {n[1:-1]: unquote(v) for n, v in zip(template, given, strict=True) if n.startswith("{")}
            found.append((len(params), route, params))
    assert found, f"no route for {method} {path}"
    _, route, params = min(found, key=lambda candidate: candidate[0])
    return route, params


def call(method: str, target: str, body: Any = None, *, content_type: str = "application/json", now: int = NOW) -> Call:
    """A call as the server would hand it over; ``body``: octets, or a JSON value."""
    path, query = urlsplit(target).path, urlsplit(target).query
    _, params = route_of(method, path)
    octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Call(method, params, parse_qs(query, keep_blank_values=True), content_type, {}, octets, now)


def read(method: str, target: str, body: Any = None, *, owner: Account | None = None, **more: Any) -> Any:
    """The operation that a request becomes; ``target`` is the path after the service plan, with its query."""
    made = call(method, PLAN + target, body, **more)
    return route_of(method, urlsplit(PLAN + target).path)[0].read(made, owner or account())


def refusal(method: str, target: str, body: Any = None, **more: Any) -> tuple[int, str, str]:
    """The refusal of a request: status, code and text of the error object, "" where it has none."""
    try:
        operation = read(method, target, body, **more)
    except DialectError as error:
        return told(error)
    raise AssertionError(f"not refused: {operation}")


def told(error: DialectError) -> tuple[int, str, str]:
    """What a refusal says."""
    answer = error.answer
    if not answer.body:
        return answer.status, "", ""
    assert answer.content_type == "application/json"
    shown = json.loads(answer.body)
    assert list(shown) == ["code", "text"]
    return answer.status, shown["code"], shown["text"]


def send(**fields: Any) -> Submission:
    """The submission of a send with these fields beside the needed ones; ``from_`` is ``from``."""
    operation = read("POST", "/batches", body(**fields))
    assert isinstance(operation, Send)
    return operation.submission


def body(**fields: Any) -> dict[str, Any]:
    """A send's body with the needed fields; a field set to ``...`` is left out."""
    given: dict[str, Any] = {"from": "46701740605", "to": ["46701740611"], "body": "Your parcel is here"}
    given |= {"from" if name == "from_" else name: value for name, value in fields.items()}
    return {name: value for name, value in given.items() if value is not ...}


def batch_of(submission: Submission, **fields: Any) -> Batch:
    """The batch that admission would store for it."""
    begin_at = submission.send_at or NOW
    known: dict[str, Any] = {
        "id": BATCH_ID,
        "account_id": "a1",
        "dialect": submission.dialect,
        "sender": submission.sender,
        "recipients": submission.recipients,
        "content": submission.content,
        "notify": submission.notify or Notify.NONE,
        "callback_url": submission.callback_url,
        "client_reference": submission.client_reference,
        "created_at": NOW,
        "modified_at": NOW,
        "send_at": submission.send_at,
        "expire_at": submission.expire_at or begin_at + submission.validity_default_ms,
        "cancelled_at": None,
        "feedback": submission.feedback,
        "extra": submission.extra,
    }
    return Batch(**(known | fields))


def message(status: Status, reason: Reason, error: StatusError = NO_ERROR, **fields: Any) -> MessageView:
    """One recipient's message."""
    known: dict[str, Any] = {
        "id": BATCH_ID[:22] + "0001",
        "batch_id": BATCH_ID,
        "account_id": "a1",
        "recipient": "46701740611",
        "status": status,
        "reason": reason,
        "since_at": at("2031-03-09T05:06:04.512Z"),
        "done_at": None,
        "error": error,
        "parts": 1,
        "notes": Note.NONE,
        "created_at": NOW,
        "client_reference": None,
        "kind": ContentKind.TEXT,
        "max_parts": None,
    }
    return MessageView(**(known | fields))


def shown(answer: Answer) -> Any:
    """The JSON of an answer, which must be compact and say that it is JSON."""
    assert answer.content_type == "application/json"
    value = json.loads(answer.body)
    assert json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() == answer.body
    assert b"null" not in answer.body
    return value
