"""Infobip calls without a server: a request line and a body in, the operation, the answer or the refusal out."""

import json
from itertools import zip_longest
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kvitto.core.ids import message_ids
from kvitto.core.model import Account, Batch, ContentKind, MessageView, NewBatch, NewMessage, Notify, Submission
from kvitto.core.operations import Send
from kvitto.core.status import NO_ERROR, Note, Reason, Status, StatusError
from kvitto.core.text import count_parts
from kvitto.dialects.base import Answer, Call, DialectError, Route
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.infobip.times import parse_date

__all__ = ["BATCH_ID", "NOW", "account", "answered", "at", "call", "message", "read", "refusal", "route_of", "stored"]

BATCH_ID = "01KVT7Q4M8Z2X5B9C3D6F00000"
ONE, TWO, THREE = "41790000001", "41790000002", "41790000003"
DIALECT = InfobipDialect()


def at(text: str) -> int:
    """The instant that a date names."""
    instant = parse_date(text)
    assert instant is not None
    return instant


NOW = at("2031-03-09T05:06:01.120+0000")


def account(**settings: Any) -> Account:
    """An account with a default sender and what is named."""
    known = {"id": "a1", "name": "shop", "service_plan_id": "p", "username": "shop", "default_from": "Bakery"}
    return Account(**(known | settings))


def route_of(method: str, path: str, dialect: InfobipDialect = DIALECT) -> Route:
    """The route for a path; a slash at its end does not matter."""
    (route,) = [one for one in dialect.routes if (one.method, one.path) == (method, path.rstrip("/"))]
    return route


def call(method: str, target: str, body: Any = None, **more: Any) -> Call:
    """A call as the server would hand it over; ``body``: octets, or a JSON value."""
    path, query = urlsplit(target).path, urlsplit(target).query
    octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    known = {
        "content_type": "application/json" if octets else "",
        "headers": {},
        "now": NOW,
    } | more
    return Call(
        method,
        {},
        parse_qs(query, keep_blank_values=True),
        known["content_type"],
        known["headers"],
        octets,
        known["now"],
        path,
    )


def read(
    method: str, target: str, body: Any = None, *, owner: Account | None = None, dialect: Any = DIALECT, **more: Any
) -> Any:
    """The operation, or the answer, that a request becomes."""
    made = call(method, target, body, **more)
    return route_of(method, urlsplit(target).path, dialect).read(made, owner or account())


def refusal(method: str, target: str, body: Any = None, **more: Any) -> tuple[int, Any]:
    """The refusal of a request: its status and its body, JSON read."""
    try:
        operation = read(method, target, body, **more)
    except DialectError as error:
        answer = error.answer
        return answer.status, json.loads(answer.body) if b"json" in answer.content_type.encode() else answer.body
    raise AssertionError(f"not refused: {operation}")


def stored(submission: Submission, *, refused: frozenset[str] = frozenset(), abort: Reason | None = None) -> NewBatch:
    """What a store would give back: one message for each recipient of each text, but those that are refused."""
    wanted = [
        (to, client_id, one.content.text)
        for one in (submission, *submission.more)
        for to, client_id in zip_longest(one.recipients, one.client_ids)
    ]
    kept = [one for one in wanted if one[1] is None or one[1] not in refused]
    batch = Batch(
        BATCH_ID,
        "a1",
        "infobip",
        submission.sender,
        submission.recipients,
        submission.content,
        submission.notify or Notify.NONE,
        submission.callback_url,
        submission.client_reference,
        NOW,
        NOW,
        submission.send_at,
        NOW + submission.validity_default_ms,
        None,
        False,
        submission.extra,
        submission.client_id,
    )
    messages = [
        NewMessage(message_id, to, count_parts(text), None, abort, client_id)
        for message_id, (to, client_id, text) in zip(message_ids(BATCH_ID, len(kept)), kept, strict=True)
    ]
    return NewBatch(batch, messages, refused=refused)


def answered(method: str, target: str, body: Any = None, *, refused: Any = (), abort: Any = None, **more: Any) -> Any:
    """The JSON answer to a send, as if it had been stored."""
    operation = read(method, target, body, **more)
    if isinstance(operation, Answer):
        return json.loads(operation.body)
    assert isinstance(operation, Send)
    answer = route_of(method, urlsplit(target).path).write(
        operation, stored(operation.submission, refused=frozenset(refused), abort=abort)
    )
    assert (answer.status, answer.content_type) == (200, "application/json;charset=UTF-8")
    return json.loads(answer.body)


def message(**fields: Any) -> MessageView:
    """A delivered message as readers and callbacks get it, with what is named."""
    known: dict[str, Any] = {
        "id": "01KVT7Q4M8Z2X5B9C3D6F00001",
        "batch_id": BATCH_ID,
        "account_id": "a1",
        "recipient": ONE,
        "status": Status.DELIVERED,
        "reason": Reason.DELIVERED,
        "since_at": at("2031-03-09T05:06:05.502+0000"),
        "done_at": at("2031-03-09T05:06:05.000+0000"),
        "error": NO_ERROR,
        "parts": 1,
        "notes": Note.NONE,
        "created_at": NOW,
        "client_reference": None,
        "kind": ContentKind.TEXT,
        "max_parts": None,
        "dialect": "infobip",
        "sender": "Bakery",
        "sent_at": NOW,
    }
    return MessageView(**(known | fields))


def network_error(**fields: Any) -> StatusError:
    """An error of a receipt."""
    return StatusError(**fields)
