"""9bits calls without a server: a request line and a body in, the operation or the refusal out."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kvitto.core.ids import message_ids
from kvitto.core.model import Account, Batch, ContentKind, MessageView, NewBatch, NewMessage, Notify, Submission
from kvitto.core.operations import Send
from kvitto.core.status import NO_ERROR, Note, Reason, Status, StatusError
from kvitto.core.text import count_parts
from kvitto.dialects.base import Answer, Call, DialectError, Route
from kvitto.dialects.ninebits import ROUTES

__all__ = ["NOW", "account", "batch_of", "call", "message", "read", "refusal", "route_of", "send", "shown", "stored"]

NOW = 1_773_065_100_250
"""2026-03-09 14:05:00.250 UTC."""
BATCH_ID = "01JB2K7M9QX4T6V8W0Y2Z40000"
CALLBACK = "https://shop.example/dlr"


def account(**settings: Any) -> Account:
    """An account with nothing set but what is named."""
    known = {"id": "a1", "name": "shop", "service_plan_id": "plan1", "username": "shop", "callback_secret": "whsec_x"}
    return Account(**(known | settings))


def route_of(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route for a path, and what its names stand for."""
    given = path.split("/")
    for route in ROUTES:
        template = route.path.split("/")
        if route.method == method and len(template) == len(given):
            pairs = list(zip(template, given, strict=True))
            if all(name.startswith("{") or name == value for name, value in pairs):
                return route, {name[1:-1]: value for name, value in pairs if name.startswith("{")}
    raise AssertionError(f"no route for {method} {path}")


def call(method: str, target: str, body: Any = None, *, content_type: str = "application/json", now: int = NOW) -> Call:
    """A call as the server would hand it over; ``body``: octets, or a JSON value."""
    path, query = urlsplit(target).path, urlsplit(target).query
    octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Call(
        method, route_of(method, path)[1], parse_qs(query, keep_blank_values=True), content_type, {}, octets, now
    )


def read(method: str, target: str, body: Any = None, *, owner: Account | None = None, **more: Any) -> Any:
    """The operation that a request becomes."""
    made = call(method, target, body, **more)
    return route_of(method, urlsplit(target).path)[0].read(made, owner or account())


def body(**fields: Any) -> dict[str, Any]:
    """A send's body with the needed fields; ``from_`` is ``from``; a field set to ``...`` is left out."""
    given: dict[str, Any] = {"from": "myCode", "to": ["2348020000000"], "content": "Your parcel is here."}
    given |= {"from" if name == "from_" else name: value for name, value in fields.items()}
    return {name: value for name, value in given.items() if value is not ...}


def send(owner: Account | None = None, **fields: Any) -> Send:
    """A send with these fields beside the needed ones."""
    operation = read("POST", "/ng/v1/sendsms", body(**fields), owner=owner)
    assert isinstance(operation, Send)
    return operation


def refusal(target: str | None = None, given: Any = None, **more: Any) -> tuple[int, str, str]:
    """The refusal of a send with these fields, or of any request: status, short and long words."""
    owner, content_type = more.pop("owner", None), more.pop("content_type", "application/json")
    try:
        if target is not None:
            method = "GET" if given is None else "POST"
            operation = read(method, target, given, owner=owner, content_type=content_type)
        else:
            operation = read("POST", "/ng/v1/sendsms", body(**more), owner=owner, content_type=content_type)
    except DialectError as error:
        return told(error.answer)
    raise AssertionError(f"not refused: {operation}")


def told(answer: Answer) -> tuple[int, str, str]:
    """What a refusal says: exactly three keys, and the status twice."""
    value = shown(answer)
    assert list(value) == ["status_code", "error", "message"]
    assert value["status_code"] == answer.status
    return answer.status, value["error"], value["message"]


def shown(answer: Answer) -> Any:
    """The JSON of an answer, which says that it is JSON."""
    assert answer.content_type == "application/json"
    return json.loads(answer.body)


def batch_of(submission: Submission, **fields: Any) -> Batch:
    """The batch that admission would store for it."""
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
        "expire_at": (submission.send_at or NOW) + submission.validity_default_ms,
        "cancelled_at": None,
        "feedback": submission.feedback,
        "extra": submission.extra,
    }
    return Batch(**(known | fields))


def stored(submission: Submission) -> NewBatch:
    """What the store would give back for it."""
    parts = count_parts(submission.content.text)
    ids = message_ids(BATCH_ID, len(submission.recipients))
    messages = [NewMessage(id, to, parts) for id, to in zip(ids, submission.recipients, strict=True)]
    return NewBatch(batch_of(submission), messages)


def message(status: Status, reason: Reason, error: StatusError = NO_ERROR, **fields: Any) -> MessageView:
    """One recipient's message."""
    known: dict[str, Any] = {
        "id": BATCH_ID[:22] + "0001",
        "batch_id": BATCH_ID,
        "account_id": "a1",
        "recipient": "2348020000000",
        "status": status,
        "reason": reason,
        "since_at": NOW + 7_000,
        "done_at": None,
        "error": error,
        "parts": 1,
        "notes": Note.NONE,
        "created_at": NOW,
        "client_reference": None,
        "kind": ContentKind.TEXT,
        "max_parts": None,
        "dialect": "ninebits",
        "smsc_message_id": "0A1B2C3D",
    }
    return MessageView(**(known | fields))
