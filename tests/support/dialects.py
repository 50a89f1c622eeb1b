"""Every dialect behind one face, for tests that ask the same of all: send something, read a message, post a report.

Each dialect is driven through its own routes alone, as the doors do it. What is read comes back as ``Shown``: the ids,
the number, and the words of the status columns of docs/status.md 3, so that tests can hold them against that table.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kvitto.core.model import Account, CallbackDue, FeedPage, MessagePage, MessageView, Submission
from kvitto.core.operations import Send
from kvitto.dialects.base import Answer, Call, Dialect, Route
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.sinch import SinchDialect

__all__ = ["DIALECTS", "NOW", "Face", "Shown", "account"]

NOW = 1_773_065_100_250
NUMBER = "46701740611"


def account(**settings: Any) -> Account:
    """An account with a callback URL, and what is named."""
    known = {"id": "a1", "name": "shop", "service_plan_id": "plan1", "username": "shop", "callback_secret": "whsec_x"}
    return Account(**({**known, "callback_url": "https://shop.example/dlr"} | settings))


class Shown(NamedTuple):
    """One recipient's report. ``words``: as docs/status.md 3 has them, one text for each of the dialect's columns."""

    batch_id: str
    message_id: str | None
    recipient: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Face:
    """One dialect. ``column``: where its columns begin in the table; ``bodies``: sends by name."""

    dialect: Dialect
    columns: tuple[str, ...]
    send_path: str
    bodies: Mapping[str, Mapping[str, Any]]
    read_path: str
    result: Callable[[MessageView], Any]
    shown: Callable[[Any], Shown]
    """From the JSON of a report, posted or read (the latter unwrapped by ``unwrap``)."""
    unwrap: Callable[[Any], Any]

    @property
    def name(self) -> str:
        """The word that is stored."""
        return self.dialect.name

    def route(self, method: str, path: str) -> Route:
        """The route with exactly this template."""
        return next(one for one in self.dialect.routes if (one.method, one.path) == (method, path))

    def submit(self, wish: str = "plain", owner: Account | None = None) -> Submission:
        """What one of its sends asks for."""
        body = json.dumps(self.bodies[wish]).encode()
        operation = self.route("POST", self.send_path).read(_call("POST", self.send_path, body), owner or account())
        assert isinstance(operation, Send)
        return operation.submission

    def read(self, view: MessageView, owner: Account | None = None) -> Shown:
        """The message as a client of this dialect reads it."""
        route = self.route("GET", self.read_path)
        operation = route.read(_call("GET", self.read_path, params=_params(view)), owner or account())
        answer: Answer = route.write(operation, self.result(view))
        assert answer.status == 200, answer
        return self.shown(self.unwrap(json.loads(answer.body)))

    def post(self, view: MessageView, owner: Account | None = None) -> Shown:
        """The message as it is called back in this dialect."""
        due = CallbackDue(1, view.account_id, self.name, "https://shop.example/dlr", view, False, 0, NOW, None)
        posted = json.loads(self.dialect.render((due,), owner or account()))
        return self.shown(posted["results"][0] if "results" in posted else posted)


def _params(view: MessageView) -> dict[str, str]:
    return {
        "service_plan_id": "plan1",
        "batch_id": view.batch_id,
        "recipient": view.recipient,
        "reference_id": view.batch_id,
        "msisdn": view.recipient,
    }


def _call(method: str, path: str, body: bytes = b"", params: Mapping[str, str] | None = None) -> Call:
    return Call(method, params or {"service_plan_id": "plan1"}, {}, "application/json", {}, body, NOW, path)


def _sinch(value: Any) -> Shown:
    return Shown(value["batch_id"], None, value["recipient"], (f"{value['status']} / {value['code']}",))


def _ninebits(value: Any) -> Shown:
    words = f"{value['status']} / {value['dlvrd']} / {value['error_code']}"
    return Shown(value["ref"], value["sms_id"], value["msisdn"], (words,))


def _infobip(value: Any) -> Shown:
    status, error = value["status"], value["error"]
    return Shown(
        value["bulkId"],
        value["messageId"],
        value["to"],
        (
            f"{status['groupId']} {status['groupName']} / {status['id']} {status['name']}",
            f"{error['groupId']} / {error['id']} {error['name']} / {str(error['permanent']).lower()}",
        ),
    )


_SINCH = {"from": "Kvitto", "to": [NUMBER], "body": "Hello", "callback_url": "https://shop.example/own"}
_NINEBITS = {"from": "Kvitto", "to": NUMBER, "content": "Hello"}


def _infobip_body(**webhooks: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"sender": "Kvitto", "destinations": [{"to": NUMBER}], "content": {"text": "Hello"}}
    if webhooks:
        message["webhooks"] = {"delivery": webhooks}
    return {"messages": [message]}


DIALECTS: tuple[Face, ...] = (
    Face(
        dialect=SinchDialect(),
        columns=("Sinch",),
        send_path="/xms/v1/{service_plan_id}/batches",
        bodies={
            "plain": _SINCH,
            "none": {**_SINCH, "delivery_report": "none"},
            "summary": {**_SINCH, "delivery_report": "summary"},
            "full": {**_SINCH, "delivery_report": "full"},
            "per_recipient": {**_SINCH, "delivery_report": "per_recipient"},
            "per_recipient_final": {**_SINCH, "delivery_report": "per_recipient_final"},
        },
        read_path="/xms/v1/{service_plan_id}/batches/{batch_id}/delivery_report/{recipient}",
        result=lambda view: view,
        shown=_sinch,
        unwrap=lambda value: value,
    ),
    Face(
        dialect=NinebitsDialect(),
        columns=("9bits",),
        send_path="/ng/v1/sendsms",
        bodies={
            "plain": _NINEBITS,
            "yes": {**_NINEBITS, "delivery_report": "yes"},
            "no": {**_NINEBITS, "delivery_report": False},
        },
        read_path="/ng/v1/deliveryreports/{reference_id}",
        result=lambda view: MessagePage(1, [view]),
        shown=_ninebits,
        unwrap=lambda value: value["data"][0],
    ),
    Face(
        dialect=InfobipDialect(),
        columns=("Infobip status", "Infobip error"),
        send_path="/sms/3/messages",
        bodies={
            "plain": _infobip_body(),
            "url": _infobip_body(url="https://shop.example/own"),
            "intermediate": _infobip_body(url="https://shop.example/own", intermediateReport=True),
            "no": _infobip_body(notify=False),
        },
        read_path="/sms/3/reports",
        result=lambda view: FeedPage([view]),
        shown=_infobip,
        unwrap=lambda value: value["results"][0],
    ),
)
"""All there are; what is added here is asked the same as the others."""
