"""The OpenAPI 3.1 document of the dialect, built from the routes and the wire shapes (docs/openapi/sinch.json).

Run as a program it prints the document, so that the copy in the docs can be made anew::

    python -m kvitto.dialects.sinch.openapi > docs/openapi/sinch.json

Must not know: where the server listens. Next: ``kvitto.dialects.sinch.wire``.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kvitto.dialects.base import Route
from kvitto.dialects.sinch import ROUTES, wire
from kvitto.dialects.sinch.errors import JSON, ErrorBody
from kvitto.dialects.sinch.statuses import STATUS_NAMES

__all__ = ["document", "text"]

_Schema = dict[str, Any]


class _Operation(NamedTuple):
    """What the document says of one route; schemas by their shapes, ``None`` for no body."""

    name: str
    summary: str
    body: type[msgspec.Struct] | None
    status: int
    result: type[msgspec.Struct] | None
    refusals: tuple[int, ...]
    query: tuple[str, ...] = ()


_READS: Final = (400, 404)
_WRITES: Final = (400, 403, 413, 415)

_OPERATIONS: Final[Mapping[tuple[str, str], _Operation]] = {
    ("POST", "/batches"): _Operation("sendBatch", "Send a batch", wire.BatchIn, 201, wire.BatchOut, _WRITES),
    ("GET", "/batches"): _Operation(
        "listBatches",
        "List batches of the last 14 days, newest first",
        None,
        200,
        wire.BatchPageOut,
        (400,),
        ("page", "page_size", "from", "start_date", "end_date", "client_reference"),
    ),
    ("POST", "/batches/dry_run"): _Operation(
        "dryRun",
        "Count what a batch would be; nothing is stored or sent",
        wire.BatchIn,
        200,
        wire.DryRunOut,
        _WRITES,
        ("per_recipient", "number_of_recipients"),
    ),
    ("GET", "/batches/{batch_id}"): _Operation("getBatch", "Get a batch", None, 200, wire.BatchOut, (404,)),
    ("POST", "/batches/{batch_id}"): _Operation(
        "updateBatch",
        "Change a batch that is not dispatched yet",
        wire.BatchUpdateIn,
        200,
        wire.BatchOut,
        (*_WRITES, 404),
    ),
    ("PUT", "/batches/{batch_id}"): _Operation(
        "replaceBatch",
        "Replace a batch that is not dispatched yet",
        wire.BatchIn,
        200,
        wire.BatchOut,
        (*_WRITES, 404),
    ),
    ("DELETE", "/batches/{batch_id}"): _Operation("cancelBatch", "Cancel a batch", None, 200, wire.BatchOut, (404,)),
    ("POST", "/batches/{batch_id}/delivery_feedback"): _Operation(
        "sendDeliveryFeedback", "Say that messages arrived", wire.FeedbackIn, 202, None, (400, 404, 413, 415)
    ),
    ("GET", "/batches/{batch_id}/delivery_report"): _Operation(
        "getDeliveryReport",
        "Get a batch's delivery report",
        None,
        200,
        wire.DeliveryReportOut,
        _READS,
        ("type", "status", "code"),
    ),
    ("GET", "/batches/{batch_id}/delivery_report/{recipient}"): _Operation(
        "getRecipientDeliveryReport", "Get one recipient's report", None, 200, wire.RecipientReportOut, (404,)
    ),
    ("GET", "/delivery_reports"): _Operation(
        "listDeliveryReports",
        "List finished recipient reports, newest first",
        None,
        200,
        wire.RecipientReportPageOut,
        (400,),
        ("page", "page_size", "start_date", "end_date", "status", "code", "client_reference"),
    ),
}
"""Beside each route of ``ROUTES``: what a reader of the document wants to know. A test checks that none is missing."""

_ALWAYS: Final = (401, 429, 500, 503)

_REFUSALS: Final[Mapping[int, str]] = {
    400: "Malformed, or a limit is broken.",
    401: "The token is missing, unknown, or not of this service plan.",
    403: "Understood, but it cannot be done.",
    404: "No such batch, recipient, or report type.",
    413: "The body is larger than the server takes.",
    415: "The body is not declared as application/json.",
    429: "Too many requests; see Retry-After.",
    500: "Our fault.",
    503: "A part that is needed is down; see Retry-After.",
}
_WITH_OBJECT: Final = frozenset({400, 403, 413})

_DATE: Final[_Schema] = {"type": "string", "description": "ISO-8601 timestamp or date; without a zone it is UTC."}
_STATUSES: Final[_Schema] = {"type": "array", "items": {"type": "string", "enum": list(STATUS_NAMES)}}
_QUERY: Final[Mapping[str, tuple[str, _Schema]]] = {
    "page": ("Page, from 0.", {"type": "integer", "minimum": 0, "maximum": wire.PAGE_MAX, "default": 0}),
    "page_size": (
        "Entries a page.",
        {"type": "integer", "minimum": 1, "maximum": wire.PAGE_SIZE_MAX, "default": wire.PAGE_SIZE_DEFAULT},
    ),
    "from": ("Any of these senders.", {"type": "array", "items": {"type": "string"}}),
    "start_date": ("At or after; 24 hours ago when missing.", _DATE),
    "end_date": ("Before.", _DATE),
    "client_reference": ("Exactly this reference.", {"type": "string"}),
    "per_recipient": ("List the recipients too.", {"type": "boolean", "default": False}),
    "number_of_recipients": (
        "How many recipients to list.",
        {
            "type": "integer",
            "minimum": 0,
            "maximum": wire.DRY_RUN_RECIPIENTS_MAX,
            "default": wire.DRY_RUN_RECIPIENTS_DEFAULT,
        },
    ),
    "type": ("Without or with recipients.", {"type": "string", "enum": ["summary", "full"], "default": "summary"}),
    "status": ("Any of these statuses, in either case.", _STATUSES),
    "code": ("Any of these codes.", {"type": "array", "items": {"type": "integer"}}),
}

_PATH: Final[Mapping[str, str]] = {
    "service_plan_id": "The service plan whose token is presented.",
    "batch_id": "A batch's id.",
    "recipient": "A phone number, as bare digits or with a plus sign.",
}

_PLAN: Final = "/xms/v1/{service_plan_id}"
_SHAPES: Final = (
    wire.BatchIn,
    wire.BatchUpdateIn,
    wire.FeedbackIn,
    wire.BatchOut,
    wire.BatchPageOut,
    wire.DryRunOut,
    wire.DeliveryReportOut,
    wire.RecipientReportOut,
    wire.RecipientReportPageOut,
    ErrorBody,
)
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "BatchIn": ("to", "body"),
    "FeedbackIn": ("recipients",),
    "MediaBody": ("url",),
}
"""Required fields that are decoded as if they were not: a missing one is a broken constraint, not a wrong shape."""


def document() -> _Schema:
    """Return the whole document as JSON values."""
    _, schemas = msgspec.json.schema_components(_SHAPES, ref_template="#/components/schemas/{name}")
    for name, fields in _REQUIRED.items():
        _require(schemas[name], fields)
    paths: dict[str, _Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kvitto: the Sinch dialect",
            "version": "1",
            "description": "The Sinch SMS API (XMS) as spoken here. Unknown fields and parameters are ignored.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "webhooks": {
            "deliveryReport": _webhook("One report a batch: summary or full.", wire.DeliveryReportOut),
            "recipientDeliveryReport": _webhook("One report a recipient.", wire.RecipientReportOut),
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
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
    told = _OPERATIONS[route.method, route.path.removeprefix(_PLAN)]
    described: _Schema = {
        "operationId": told.name,
        "summary": told.summary,
        "parameters": [
            *(_path_parameter(segment[1:-1]) for segment in route.path.split("/") if segment.startswith("{")),
            *(_query_parameter(name) for name in told.query),
        ],
        "responses": _responses(told),
    }
    if told.body is not None:
        described["requestBody"] = {"required": True, "content": _content(told.body)}
    return described


def _path_parameter(name: str) -> _Schema:
    return {"name": name, "in": "path", "required": True, "description": _PATH[name], "schema": {"type": "string"}}


def _query_parameter(name: str) -> _Schema:
    description, schema = _QUERY[name]
    parameter: _Schema = {"name": name, "in": "query", "description": description, "schema": schema}
    if schema["type"] == "array":
        parameter.update(style="form", explode=False)
    return parameter


def _responses(told: _Operation) -> _Schema:
    success: _Schema = {"description": "Done." if told.result else "Taken."}
    if told.result is not None:
        success["content"] = _content(told.result)
    responses = {str(told.status): success}
    for status in sorted({*told.refusals, *_ALWAYS}):
        responses[str(status)] = {"description": _REFUSALS[status]}
        if status in _WITH_OBJECT:
            responses[str(status)]["content"] = _content(ErrorBody)
    return responses


def _webhook(summary: str, shape: type[msgspec.Struct]) -> _Schema:
    return {
        "post": {
            "summary": summary,
            "requestBody": {"content": _content(shape)},
            "responses": {"200": {"description": "Taken; 5xx, 429 and no answer are tried again."}},
        }
    }


def _content(shape: type[msgspec.Struct]) -> _Schema:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


if __name__ == "__main__":
    sys.stdout.write(text())
