"""The OpenAPI 3.1 document of the dialect, built from the routes and the wire shapes (docs/openapi/infobip.json).

Run as a program it prints the document, so that the copy in the docs can be made anew::

    python -m kvitto.dialects.infobip.openapi > docs/openapi/infobip.json

Must not know: where the server listens. Next: ``kvitto.dialects.infobip.wire``.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kvitto.dialects.base import Route
from kvitto.dialects.infobip import ROUTES, wire
from kvitto.dialects.infobip.statuses import GROUPS

__all__ = ["document", "text"]

_Schema = dict[str, Any]
_Shape = type[msgspec.Struct]


class _Operation(NamedTuple):
    """What the document says of one route; schemas by their shapes, ``None`` for no body."""

    name: str
    summary: str
    body: _Shape | None
    result: _Shape | None
    query: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    refusals: tuple[int, ...] = (400,)


_WRITES: Final = (400, 403, 409, 413, 415)
_REPORTS: Final = (
    "bulkId",
    "messageId",
    "limit",
    "applicationId",
    "entityId",
    "campaignReferenceId",
    "peek",
)
_LOGS: Final = (
    "from",
    "to",
    "bulkId",
    "messageId",
    "generalStatus",
    "sentSince",
    "sentUntil",
    "limit",
    "mcc",
    "mnc",
    "applicationId",
    "entityId",
    "campaignReferenceId",
)
_LOGS_3: Final = ("sender", "destination", *_LOGS[2:], "useCursor", "cursor")
_QUERY_SEND: Final = (
    "from",
    "to",
    "text",
    "bulkId",
    "flash",
    "transliteration",
    "languageCode",
    "intermediateReport",
    "notify",
    "notifyUrl",
    "notifyContentType",
    "callbackData",
    "validityPeriod",
    "sendAt",
    "username",
    "password",
)


def _sends(version: int) -> dict[tuple[str, str], _Operation]:
    base = f"/sms/{version}/text"
    return {
        ("POST", f"{base}/single"): _Operation(
            f"sendSingle{version}", "Send one text", wire.TextIn, wire.SentOut, refusals=_WRITES
        ),
        ("POST", f"{base}/multi"): _Operation(
            f"sendMulti{version}", "Send several texts", wire.AdvancedIn, wire.SentOut, refusals=_WRITES
        ),
        ("POST", f"{base}/advanced"): _Operation(
            f"sendAdvanced{version}", "Send several texts, all options", wire.AdvancedIn, wire.SentOut, refusals=_WRITES
        ),
    }


def _of_version(version: int) -> dict[tuple[str, str], _Operation]:
    base = f"/sms/{version}"
    sent: _Shape = wire.Sent3ListOut if version == 3 else wire.SentOut
    reports: _Shape = wire.Reports3Out if version == 3 else wire.ReportsOut
    logs: _Shape = wire.Logs3Out if version == 3 else wire.LogsOut
    query = f"{base}/text/query"
    return {
        ("GET", query): _Operation(
            f"sendQuery{version}", "Send by query", None, sent, _QUERY_SEND, ("to",), (400, 403, 409)
        ),
        ("POST", query): _Operation(
            f"postQuery{version}", "Send by query", None, sent, _QUERY_SEND, ("to",), (400, 403, 409, 413)
        ),
        ("GET", f"{base}/reports"): _Operation(
            f"takeReports{version}", "Take unread reports, newest first", None, reports, _REPORTS
        ),
        ("GET", f"{base}/logs"): _Operation(
            f"listLogs{version}", "List messages, newest first", None, logs, _LOGS_3 if version == 3 else _LOGS
        ),
    }


_OPERATIONS: Final[Mapping[tuple[str, str], _Operation]] = {
    **_sends(1),
    **_sends(2),
    ("POST", "/sms/3/messages"): _Operation(
        "sendMessages", "Send several texts", wire.MessagesIn, wire.Sent3ListOut, refusals=_WRITES
    ),
    **_of_version(1),
    **_of_version(2),
    **_of_version(3),
    ("GET", "/sms/1/bulks"): _Operation(
        "getBulk", "When a scheduled bulk leaves", None, wire.BulkOut, ("bulkId",), ("bulkId",), (400, 404)
    ),
    ("PUT", "/sms/1/bulks"): _Operation(
        "moveBulk",
        "Move a scheduled bulk",
        wire.RescheduleIn,
        wire.BulkOut,
        ("bulkId",),
        ("bulkId",),
        (400, 404, 413, 415),
    ),
    ("GET", "/sms/1/bulks/status"): _Operation(
        "getBulkStatus", "Where a scheduled bulk stands", None, wire.BulkStatusOut, ("bulkId",), ("bulkId",), (400, 404)
    ),
    ("PUT", "/sms/1/bulks/status"): _Operation(
        "changeBulkStatus",
        "Hold back, let go on or cancel a scheduled bulk",
        wire.BulkStatusIn,
        wire.BulkStatusOut,
        ("bulkId",),
        ("bulkId",),
        (400, 404, 413, 415),
    ),
    ("POST", "/auth/1/session"): _Operation(
        "openSession", "A token for IBSSO", wire.SessionIn, wire.SessionOut, refusals=(400, 403, 413, 415)
    ),
    ("DELETE", "/auth/1/session"): _Operation("closeSession", "End the session that is presented", None, None),
    ("POST", "/auth/1/oauth2/token"): _Operation(
        "openToken", "A token for Bearer", wire.TokenIn, wire.TokenOut, refusals=(400, 403, 413, 415)
    ),
}
"""Beside each route of ``ROUTES``: what a reader of the document wants to know. A test checks that none is missing."""

_ALWAYS: Final = (401, 429, 500)
_LONG_LINE: Final = 414

_REFUSALS: Final[Mapping[int, str]] = {
    400: "Malformed, or a limit is broken.",
    401: "The credentials are missing or wrong.",
    403: "The account is disabled.",
    404: "No such scheduled bulk.",
    409: "The Idempotency-Key was used for another request.",
    414: "The request line is longer than the server takes; empty.",
    413: "The body is larger than the server takes.",
    415: "The body is declared neither as JSON nor as XML.",
    429: "Too many requests; see Retry-After.",
    500: "Our fault.",
}

_STRING: Final[_Schema] = {"type": "string"}
_FLAG: Final[_Schema] = {"type": "boolean"}
_DATE: Final[_Schema] = {"type": "string", "description": "A date with time; without an offset it is UTC."}
_QUERY: Final[Mapping[str, tuple[str, _Schema]]] = {
    "from": ("The sender.", _STRING),
    "to": ("Phone numbers, repeated or with commas.", _STRING),
    "sender": ("The sender.", _STRING),
    "destination": ("A phone number.", _STRING),
    "text": ("The text.", _STRING),
    "bulkId": ("A bulk's id, the customer's or ours.", {"type": "string", "maxLength": wire.LOG_IDS_MAX_CHARS}),
    "messageId": ("A message's id, the customer's or ours.", {"type": "string", "maxLength": wire.LOG_IDS_MAX_CHARS}),
    "limit": (
        "Entries at most; what is above the operation's own limit counts as that.",
        {"type": "integer", "minimum": 1, "default": wire.LIMIT_DEFAULT},
    ),
    "applicationId": ("Exactly this.", _STRING),
    "entityId": ("Exactly this.", _STRING),
    "campaignReferenceId": ("Exactly this.", _STRING),
    "peek": ("Ours: read without taking.", _FLAG),
    "generalStatus": ("A status group.", {"type": "string", "enum": list(GROUPS.values())}),
    "sentSince": ("At or after.", _DATE),
    "sentUntil": ("At or before.", _DATE),
    "mcc": ("Mobile country code.", {"type": "string", "pattern": "^[0-9]{1,3}$"}),
    "mnc": ("Mobile network code; needs mcc.", {"type": "string", "pattern": "^[0-9]{1,3}$"}),
    "useCursor": ("Answer with a cursor.", _FLAG),
    "cursor": ("Where the page before ended.", _STRING),
    "flash": ("The text pops up.", _FLAG),
    "transliteration": ("Whose letters become GSM letters.", _STRING),
    "languageCode": ("Kept.", _STRING),
    "intermediateReport": ("Push what happens on the way, too.", _FLAG),
    "notify": ("False: no report.", _FLAG),
    "notifyUrl": ("Where reports are pushed.", _STRING),
    "notifyContentType": ("In which format.", {"type": "string", "enum": ["application/json", "application/xml"]}),
    "callbackData": ("Comes back in reports.", {"type": "string", "maxLength": wire.CALLBACK_DATA_MAX_CHARS}),
    "validityPeriod": ("Minutes.", {"type": "integer", "minimum": 1}),
    "sendAt": ("When to send.", _DATE),
    "username": ("Version 1: instead of a header.", _STRING),
    "password": ("Version 1: instead of a header.", _STRING),
}

_ROOTS: Final[tuple[_Shape, ...]] = (
    wire.TextIn,
    wire.AdvancedIn,
    wire.MessagesIn,
    wire.RescheduleIn,
    wire.BulkStatusIn,
    wire.SessionIn,
    wire.TokenIn,
    wire.SentOut,
    wire.Sent3ListOut,
    wire.ReportsOut,
    wire.Reports3Out,
    wire.LogsOut,
    wire.Logs3Out,
    wire.BulkOut,
    wire.BulkStatusOut,
    wire.SessionOut,
    wire.TokenOut,
    wire.V1Error,
    wire.ApiError,
)
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "AdvancedIn": ("messages",),
    "MessagesIn": ("messages",),
    "MessageIn": ("destinations", "content"),
    "WindowIn": ("days",),
    "HourIn": ("hour",),
    "SpeedIn": ("amount",),
    "ValidityIn": ("amount",),
    "RescheduleIn": ("sendAt",),
    "BulkStatusIn": ("status",),
    "SessionIn": ("username", "password"),
    "TokenIn": ("client_id", "client_secret"),
}
"""Required fields that are decoded as if they were not, so that their absence is told by our words."""


def document() -> _Schema:
    """Return the whole document as JSON values."""
    _, schemas = msgspec.json.schema_components(_ROOTS, ref_template="#/components/schemas/{name}")
    for name, fields in _REQUIRED.items():
        _require(schemas[name], fields)
    paths: dict[str, _Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kvitto: the Infobip dialect",
            "version": "1",
            "description": (
                "The Infobip SMS API, versions 1 to 3, as spoken here. Unknown fields and parameters are ignored, null "
                "means absent. XML in and out has the same tree (docs/dialects/infobip.md 3.7)."
            ),
        },
        "security": [{"basic": []}, {"apiKey": []}],
        "paths": paths,
        "webhooks": {
            "reports1": _webhook("Reports of messages sent with version 1 or 2.", wire.ReportsOut),
            "reports3": _webhook("Reports of messages sent with version 3.", wire.Reports3Out),
        },
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "App, IBSSO or Bearer, a space, and the token.",
                },
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }


def text() -> str:
    """Return the document as it stands in the docs: indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"


def _require(schema: _Schema, names: tuple[str, ...]) -> None:
    schema["required"] = list(names)
    for name in names:
        field = schema["properties"][name]
        field.pop("default", None)
        if "anyOf" in field:
            choices = [choice for choice in field.pop("anyOf") if choice != {"type": "null"}]
            field.update(choices[0] if len(choices) == 1 else {"anyOf": choices})


def _operation(route: Route) -> _Schema:
    told = _OPERATIONS[route.method, route.path]
    described: _Schema = {
        "operationId": told.name,
        "summary": told.summary,
        "parameters": [_parameter(name, required=name in told.required) for name in told.query],
        "responses": _responses(told, wire.ApiError if route.path.startswith("/sms/3") else wire.V1Error),
    }
    if route.open:
        described["security"] = []
    if told.body is not None:
        described["requestBody"] = {"required": True, "content": _content(told.body)}
    return described


def _parameter(name: str, *, required: bool) -> _Schema:
    description, schema = _QUERY[name]
    return {"name": name, "in": "query", "description": description, "schema": schema, "required": required}


def _responses(told: _Operation, refusal: _Shape) -> _Schema:
    responses: _Schema = {"204": {"description": "Done."}}
    if told.result is not None:
        responses = {"200": {"description": "Done.", "content": _content(told.result)}}
    for status in sorted({*told.refusals, *_ALWAYS}):
        responses[str(status)] = {"description": _REFUSALS[status], "content": _content(refusal)}
    if told.query:
        responses[str(_LONG_LINE)] = {"description": _REFUSALS[_LONG_LINE]}
    return responses


def _webhook(summary: str, shape: _Shape) -> _Schema:
    return {
        "post": {
            "summary": summary,
            "requestBody": {"content": _content(shape)},
            "responses": {"200": {"description": "Taken; everything but 2xx is tried again."}},
        }
    }


def _content(shape: _Shape) -> _Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


if __name__ == "__main__":
    sys.stdout.write(text())
