"""The tables of ``/kvitto/v1`` agree with each other; ids, instants and problems in the forms people see."""

from pathlib import Path

import msgspec
import pytest

from kvitto.core.endpoint import Endpoint, EndpointStats, endpoint_number
from kvitto.core.record import Replay, ReplayState
from kvitto.dialects.base import Problem
from kvitto.intake.admit import Denial
from kvitto.intake.api import views, wire
from kvitto.intake.api.doors import credentials_of
from kvitto.intake.api.handlers import Handlers
from kvitto.intake.api.openapi import document, text
from kvitto.intake.api.problems import answer_denial, from_validation
from kvitto.intake.api.routes import OPERATIONS

COPY = Path(__file__).parents[2] / "docs" / "openapi" / "kvitto.json"


def test_the_copy_in_the_docs_is_the_document():
    assert COPY.read_text() == text(), "python -m kvitto.intake.api.openapi > docs/openapi/kvitto.json"


def test_every_operation_has_a_handler_of_its_name_and_a_place_in_the_document():
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    for name in names:
        assert callable(getattr(Handlers, name))
    described = {
        operation["operationId"]: operation for item in document()["paths"].values() for operation in item.values()
    }
    assert set(described) == set(names)
    for operation in OPERATIONS:
        answers = set(described[operation.name]["responses"])
        assert {str(operation.status), "400", "401", "403", "429", "500", "503"} <= answers
        assert ("requestBody" in described[operation.name]) == (operation.body is not None)
        keyed = any(one["name"] == "Idempotency-Key" for one in described[operation.name]["parameters"])
        assert keyed == operation.creates


def test_every_reference_leads_somewhere():
    known = set(document()["components"]["schemas"])
    references = {part.split('"')[0] for part in text().split("#/components/schemas/")[1:]}
    assert references
    assert references <= known


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("cb_1795318864546_2", (2, 1795318864546)),
        ("17", (17, None)),
        ("cb_1_2_3_0123456789abcdef", None),
        ("cb_x_2", None),
        ("-1", None),
        ("", None),
        ("1" * 19, None),
    ],
)
def test_callback_ids_are_read_as_shown(value, read):
    assert views.read_callback_id(value) == read


def test_a_callbacks_id_is_its_webhook_id():
    assert views.read_callback_id(views.callback_id(7, 123)) == (7, 123)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01.5+01:00", 1500),
        ("1970-01-01T00:00:01", None),
        ("1969-12-31T23:59:59Z", None),
        ("soon", None),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_instants_need_a_zone(value, at):
    assert views.read_instant(value) == at


@pytest.mark.parametrize(
    ("shape", "given", "field", "limit"),
    [
        (wire.PageQuery, {"limit": 501}, "limit", "<= 500"),
        (wire.PageQuery, {"odd": 1}, "odd", ""),
        (wire.ReplayIn, {}, "since", ""),
        (wire.ReplayIn, {"since": "2020-01-01", "states": ["done", "odd"]}, "states[1]", ""),
        (wire.EndpointIn, {"name": "a", "url": "http://a/" + "b" * 2048}, "url", "length <= 2048"),
    ],
)
def test_a_broken_shape_names_field_and_limit(shape, given, field, limit):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, shape, strict=False)
    refusal = from_validation(caught.value)
    assert (refusal.field, refusal.limit) == (field, limit)


def test_every_denial_of_the_doors_has_its_problem():
    statuses = {
        Problem.UNAUTHORIZED: 401,
        Problem.ACCOUNT_DISABLED: 403,
        Problem.NOT_FOUND: 404,
        Problem.METHOD_NOT_ALLOWED: 405,
        Problem.TOO_LARGE: 413,
        Problem.THROTTLED: 429,
        Problem.INTERNAL: 500,
        Problem.UNAVAILABLE: 503,
    }
    for problem, status in statuses.items():
        answer = answer_denial(Denial(problem, "why", retry_after_s=3), "GET")
        shown = msgspec.json.decode(answer.body)
        assert (answer.status, answer.content_type, shown["status"]) == (status, "application/problem+json", status)
        assert ("Retry-After", "3") in answer.headers
        assert shown["type"].startswith("urn:kvitto:problem:")


def test_credentials_are_a_token_or_a_name_and_password():
    found = credentials_of({"authorization": "bearer  abc"})
    assert found is not None
    assert found.token == "abc"
    basic = credentials_of({"authorization": "Basic dXNlcjpwYTpzcw=="})
    assert basic is not None
    assert (basic.username, basic.password) == ("user", "pa:ss")
    for wrong in ("", "Bearer", "Basic dXNlcg==", "Basic ???", "Basic AHU6cA==", "App x"):
        assert credentials_of({"authorization": wrong}) is None


def test_an_endpoint_is_shown_without_anything_secret():
    secret = "never shown"
    one = Endpoint(
        id=endpoint_number("a", "http://a.example/"),
        account_id="a",
        origin="http://a.example:80",
        secret=secret,
        old_secret=secret,
        headers=(("X-Key", secret),),
        username="user",
        password=secret,
        ca_pem="PEM",
        client_cert_pem="PEM",
        client_key_pem=secret,
    )
    shown = msgspec.json.encode(views.detail_out(one, EndpointStats(0, 0, None)))
    assert secret.encode() not in shown
    assert msgspec.json.decode(shown)["header_names"] == ["X-Key"]


@pytest.mark.parametrize(
    ("state", "first", "cursor", "last", "progress"),
    [
        (ReplayState.RUNNING, 1, 0, 10, 0.0),
        (ReplayState.RUNNING, 1, 5, 10, 0.5),
        (ReplayState.DONE, 1, 5, 10, 1.0),
        (ReplayState.RUNNING, 1, 0, 0, 1.0),
        (ReplayState.CANCELLED, 11, 12, 20, 0.2),
    ],
)
def test_progress_goes_from_none_to_all(state, first, cursor, last, progress):
    one = Replay(1, None, None, (), None, None, 1.0, 0, state, first, cursor, last, 0, 0, 0)
    assert views.progress_of(one) == progress
