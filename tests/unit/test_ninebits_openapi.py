"""The OpenAPI document of the 9bits dialect: complete, and the same as the copy in the docs."""

from pathlib import Path

import msgspec

from kvitto.dialects.ninebits import ROUTES, wire
from kvitto.dialects.ninebits.openapi import document, text

COPY = Path(__file__).parents[2] / "docs" / "openapi" / "ninebits.json"


def test_the_copy_in_the_docs_is_the_document():
    assert COPY.read_text() == text(), "python -m kvitto.dialects.ninebits.openapi > docs/openapi/ninebits.json"


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
    references = [line.split('"')[3] for line in text().splitlines() if '"$ref"' in line]
    assert references
    assert {reference.rsplit("/", 1)[1] for reference in references} <= set(known)


def test_what_is_required_is_required():
    schemas = document()["components"]["schemas"]
    assert schemas["SendIn"]["required"] == ["from", "to"]
    assert schemas["SendIn"]["anyOf"] == [{"required": [name]} for name in ("content", "body", "message")]
    assert set(schemas["ReportOut"]["required"]) == set(wire.ReportOut.__struct_encode_fields__)


def test_the_document_is_plain_json():
    assert msgspec.json.decode(text()) == document()
