"""The OpenAPI 3.1 document of the dialect, built from the routes and the wire shapes (docs/openapi/ninebits.json).

Run as a program it prints the document, so that the copy in the docs can be made anew::

    python -m kvitto.dialects.ninebits.openapi > docs/openapi/ninebits.json

Must not know: where the server listens. Next: ``kvitto.dialects.ninebits.wire``.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kvitto.dialects.base import Route
from kvitto.dialects.ninebits import ROUTES, wire
from kvitto.dialects.ninebits.errors import JSON, ErrorBody
from kvitto.dialects.ninebits.statuses import STATUS_NAMES

__all__ = ["document", "text"]

_Schema = dict[str, Any]


class _Operation(NamedTuple):
    """What the document says of one route; ``body`` None for no body."""

    name: str
    summary: str
    body: type[msgspec.Struct] | None
    result: type[msgspec.Struct]
    refusals: tuple[int, ...]


_OPERATIONS: Final[Mapping[str, _Operation]] = {
    "/sendsms": _Operation(
        "sendSms", "Send one text to 1 to 1000 recipients", wire.SendIn, wire.SentOut, (400, 402, 403, 409, 413, 415)
    ),
    "/deliveryreports/{reference_id}": _Operation(
        "getDeliveryReports", "Get the reports of a send call", None, wire.ReportPageOut, (400, 403, 404)
    ),
    "/deliveryreports/{reference_id}/{msisdn}": _Operation(
        "getRecipientDeliveryReport", "Get one recipient's report", None, wire.ReportPageOut, (400, 403, 404)
    ),
}
"""Beside each path, without its prefix: what a reader of the document wants to know. A test checks that none is
missing."""

_ALIAS: Final = "/api/v1"
_ALWAYS: Final = (401, 429, 500, 503)
_REFUSALS: Final[Mapping[int, str]] = {
    400: "Not JSON, or a field is missing or wrong; message names it.",
    401: "The token is missing or unknown.",
    402: "The account's quota is spent.",
    403: "The account is disabled, or may not use this sender.",
    404: "No such send call or recipient.",
    409: "The Idempotency-Key came with another request before.",
    413: "The body is over 1 MiB.",
    415: "The body is declared as something else than JSON.",
    429: "Too many requests; see Retry-After.",
    500: "Our fault; nothing was accepted.",
    503: "Nothing was accepted; see Retry-After.",
}

_QUERY: Final[tuple[tuple[str, str, _Schema], ...]] = (
    ("status", "Any of these statuses.", {"type": "array", "items": {"type": "string", "enum": list(STATUS_NAMES)}}),
    ("page", "Page, from 0.", {"type": "integer", "minimum": 0, "maximum": wire.PAGE_MAX, "default": 0}),
    (
        "page_size",
        "Reports a page.",
        {"type": "integer", "minimum": 1, "maximum": wire.PAGE_SIZE_MAX, "default": wire.PAGE_SIZE_DEFAULT},
    ),
)
_PATH: Final[Mapping[str, tuple[str, _Schema]]] = {
    "reference_id": ("The reference_id of a send call.", {"type": "string"}),
    "msisdn": ("A phone number of 5 to 15 digits, also with + or 00.", {"type": "string"}),
}
_SHAPES: Final = (wire.SendIn, wire.SentOut, wire.ReportOut, wire.ReportPageOut, ErrorBody)
_REQUIRED: Final = ("from", "to")
"""Decoded as if they were not, so that a missing one is told like any other fault; beside them one name of the text."""


def document() -> _Schema:
    """Return the whole document as JSON values."""
    _, schemas = msgspec.json.schema_components(_SHAPES, ref_template="#/components/schemas/{name}")
    _require(schemas["SendIn"])
    paths: dict[str, _Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kvitto: the 9bits dialect",
            "version": "1",
            "description": "The 9bits SMS API as spoken here. Unknown fields and parameters are ignored.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "webhooks": {"deliveryReport": _webhook()},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def text() -> str:
    """Return the document as it stands in the docs: indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"


def _require(schema: _Schema) -> None:
    schema["required"] = list(_REQUIRED)
    schema["anyOf"] = [{"required": [name]} for name in ("content", "body", "message")]
    for name in _REQUIRED:
        field = schema["properties"][name]
        field.pop("default", None)
        choices = [choice for choice in field.pop("anyOf", ()) if choice != {"type": "null"}]
        field.update(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})


def _operation(route: Route) -> _Schema:
    prefix = next(prefix for prefix in ("/ng/v1", _ALIAS) if route.path.startswith(prefix))
    told = _OPERATIONS[route.path.removeprefix(prefix)]
    alias = prefix == _ALIAS
    described: _Schema = {
        "operationId": told.name + ("Alias" if alias else ""),
        "summary": told.summary + (" (older path)" if alias else ""),
        "parameters": [
            *(_path_parameter(segment[1:-1]) for segment in route.path.split("/") if segment.startswith("{")),
            *(() if told.body else map(_query_parameter, _QUERY)),
        ],
        "responses": _responses(told),
    }
    if told.body is not None:
        described["requestBody"] = {"required": True, "content": _content(told.body)}
    return described


def _path_parameter(name: str) -> _Schema:
    description, schema = _PATH[name]
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameter(told: tuple[str, str, _Schema]) -> _Schema:
    name, description, schema = told
    parameter: _Schema = {"name": name, "in": "query", "description": description, "schema": schema}
    if schema["type"] == "array":
        parameter.update(style="form", explode=False)
    return parameter


def _responses(told: _Operation) -> _Schema:
    responses: _Schema = {"200": {"description": "Done.", "content": _content(told.result)}}
    for status in sorted({*told.refusals, *_ALWAYS}):
        responses[str(status)] = {"description": _REFUSALS[status], "content": _content(ErrorBody)}
    return responses


def _webhook() -> _Schema:
    return {
        "post": {
            "summary": "One recipient's report, at each change.",
            "requestBody": {"content": _content(wire.ReportOut)},
            "responses": {
                "200": {
                    "description": "Taken, when the body is an object whose status is 200. 4xx but 429: never again."
                }
            },
        }
    }


def _content(shape: type[msgspec.Struct]) -> _Schema:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


if __name__ == "__main__":
    sys.stdout.write(text())
