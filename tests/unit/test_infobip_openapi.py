"""The OpenAPI document of the Infobip dialect: complete, and the same as the copy in the docs."""

from pathlib import Path

import msgspec

from kvitto.dialects.infobip import ROUTES
from kvitto.dialects.infobip.openapi import document, text

COPY = Path(__file__).parents[2] / "docs" / "openapi" / "infobip.json"


def test_the_copy_in_the_docs_is_the_document():
    assert COPY.read_text() == text(), "python -m kvitto.dialects.infobip.openapi > docs/openapi/infobip.json"


def test_every_route_is_in_the_document_and_nothing_else():
    paths = document()["paths"]
    assert {(method.upper(), path) for path, item in paths.items() for method in item} == {
        (route.method, route.path) for route in ROUTES
    }


def test_operation_ids_are_unique_and_refusals_are_told():
    seen = [operation for item in document()["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in seen}) == len(seen)
    assert all({"400", "401", "429", "500"} <= set(operation["responses"]) for operation in seen)


def test_every_reference_leads_somewhere():
    known = document()["components"]["schemas"]
    references: list[str] = []

    def walk(value):
        if isinstance(value, dict):
            references.extend(ref for key, ref in value.items() if key == "$ref")
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document())
    assert references
    assert {reference.rsplit("/", 1)[1] for reference in references} <= set(known)


def test_required_fields_are_required_and_not_null():
    schemas = document()["components"]["schemas"]
    assert schemas["MessagesIn"]["required"] == ["messages"]
    assert schemas["MessageIn"]["required"] == ["destinations", "content"]
    assert set(schemas["ApiError"]["required"]) == {"errorCode", "description", "action", "violations", "resources"}
    assert {"sentAt", "doneAt", "price", "status", "error"} <= set(schemas["Report1Out"]["required"])


def test_the_document_is_plain_json():
    assert msgspec.json.decode(text()) == document()
