"""The OpenAPI document of the Sinch dialect: complete, and the same as the copy in the docs."""

from pathlib import Path

import msgspec

from kvitto.dialects.sinch import ROUTES
from kvitto.dialects.sinch.openapi import document, text

COPY = Path(__file__).parents[2] / "docs" / "openapi" / "sinch.json"


def test_the_copy_in_the_docs_is_the_document():
    assert COPY.read_text() == text(), "python -m kvitto.dialects.sinch.openapi > docs/openapi/sinch.json"


def test_every_route_is_in_the_document_and_nothing_else():
    paths = document()["paths"]
    assert {(method.upper(), path) for path, item in paths.items() for method in item} == {
        (route.method, route.path) for route in ROUTES
    }


def test_operation_ids_are_unique_and_every_path_name_is_a_parameter():
    seen = []
    for path, item in document()["paths"].items():
        for operation in item.values():
            seen.append(operation["operationId"])
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert named == {segment[1:-1] for segment in path.split("/") if segment.startswith("{")}
            assert {"401", "429", "500", "503"} <= set(operation["responses"])
    assert len(seen) == len(set(seen))


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
    assert schemas["BatchIn"]["required"] == ["to", "body"]
    assert schemas["BatchIn"]["properties"]["to"]["maxItems"] == 1000
    assert "default" not in schemas["BatchIn"]["properties"]["to"]
    assert schemas["FeedbackIn"]["properties"]["recipients"]["type"] == "array"
    assert set(schemas["RecipientReportOut"]["required"]) == {"at", "batch_id", "code", "recipient", "status", "type"}


def test_the_document_is_plain_json():
    assert msgspec.json.decode(text()) == document()
