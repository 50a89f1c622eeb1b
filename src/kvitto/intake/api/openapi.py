"""The OpenAPI 3.1 document of ``/kvitto/v1``, built from the table of operations and the shapes
(docs/openapi/kvitto.json).

Run as a program it prints the document, so that the copy in the docs can be made anew::

    python -m kvitto.intake.api.openapi > docs/openapi/kvitto.json
"""

import sys
from typing import Any, Final

import msgspec
from msgspec import Struct

from kvitto.intake.api import wire
from kvitto.intake.api.problems import PROBLEM_JSON
from kvitto.intake.api.relaying import CallbackLine, HelloLine, PingLine
from kvitto.intake.api.routes import NDJSON, OPERATIONS, ApiOperation
from kvitto.intake.doors import KEY_CHARACTERS

__all__ = ["document", "text"]

_Schema = dict[str, Any]

_ALWAYS: Final = (400, 401, 403, 429, 500, 503)
_REFUSALS: Final = {
    400: "A parameter or field is wrong; the problem names it and its limit.",
    401: "The token, or user name and password, are missing or wrong.",
    403: "The account is disabled.",
    404: "There is none such in this account.",
    409: "It contradicts what is there.",
    413: "The body is larger than the server takes.",
    415: "The body is not declared as application/json.",
    429: "Too much at once; see Retry-After.",
    500: "Our fault.",
    503: "The database is away; see Retry-After.",
}
_PATH: Final = {
    "endpoint": "An endpoint's id (`ep_...`) or name.",
    "callback": "A callback's id (`cb_...`, as in its `webhook-id`) or number.",
    "replay": "A replay's id (`rp_...`).",
    "relay": "The relay's name, as its `hello` said.",
}
_KEY: Final[_Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Requests with the same key are one request, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS, "pattern": "^[!-~]+$"},
}
_LINES: Final = (HelloLine, CallbackLine, PingLine)


def document() -> _Schema:
    """Return the whole document as JSON values."""
    shapes: list[type[Struct]] = [wire.ProblemOut, *_LINES]
    queries = [operation.query for operation in OPERATIONS]
    for operation in OPERATIONS:
        shapes += [shape for shape in (operation.body, operation.result) if shape is not None]
    _, schemas = msgspec.json.schema_components(
        list(dict.fromkeys([*shapes, *queries])), ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, _Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    for query in queries:
        schemas.pop(query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kvitto's own API",
            "version": "1",
            "description": (
                "Endpoints, callbacks and their attempts, replays, events, the relay. Unknown fields are refused; "
                "every refusal is a problem object."
            ),
        },
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }


def text() -> str:
    """Return the document as it stands in the docs: indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"


def _operation(operation: ApiOperation, schemas: _Schema) -> _Schema:
    names = [segment[1:-1] for segment in operation.path.split("/") if segment.startswith("{")]
    query = schemas[operation.query.__name__]
    parameters = [_path_parameter(name) for name in names]
    parameters += [_query_parameter(name, schema) for name, schema in query.get("properties", {}).items()]
    described: _Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*parameters, _KEY] if operation.creates else parameters,
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content("application/json", operation.body)}
    return described


def _path_parameter(name: str) -> _Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH[name],
        "schema": {"type": "string", "minLength": 1},
    }


def _query_parameter(name: str, schema: _Schema) -> _Schema:
    """One field of a query's shape. What may be left out has no null: a query cannot say one."""
    described = dict(schema)
    default = described.pop("default", None)
    if "anyOf" in described:
        described = next(dict(one) for one in described["anyOf"] if one != {"type": "null"})
    if "enum" in described:
        described["enum"] = [word for word in described["enum"] if word is not None]
        described["type"] = "string"
    if default not in (None, ""):
        described["default"] = default
    description = described.pop("description", "")
    return {"name": name, "in": "query", "description": description, "schema": described}


def _responses(operation: ApiOperation) -> _Schema:
    success: _Schema = {"description": "Done."}
    if operation.result is not None:
        success["content"] = _content("application/json", operation.result)
    elif operation.status == 200:
        lines = [{"$ref": f"#/components/schemas/{shape.__name__}"} for shape in _LINES]
        success = {"description": "One JSON object a line.", "content": {NDJSON: {"schema": {"anyOf": lines}}}}
    responses = {str(operation.status): success}
    for status in sorted({*operation.refusals, *_ALWAYS}):
        responses[str(status)] = {"description": _REFUSALS[status], "content": _content(PROBLEM_JSON, wire.ProblemOut)}
    return responses


def _content(media_type: str, shape: type[Struct]) -> _Schema:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


if __name__ == "__main__":
    sys.stdout.write(text())
