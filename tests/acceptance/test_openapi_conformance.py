"""Each dialect's OpenAPI document against the running server: requests made up from it, answers held to it.

Two of the tool's checks are left out on purpose: that everything a document forbids is refused, and that everything it
allows is accepted. The dialects ignore what they do not know, answer a bad number item by item, and know rules between
fields that a schema cannot say; the dialects' own tests have those.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from kvitto.dialects.infobip import openapi as infobip
from kvitto.dialects.ninebits import openapi as ninebits
from kvitto.dialects.sinch import openapi as sinch
from kvitto.intake.api import openapi as kvitto
from kvitto.intake.exchange import HttpLimits

DOCUMENTS = {
    "infobip": infobip.document(),
    "ninebits": ninebits.document(),
    "sinch": sinch.document(),
    "kvitto": kvitto.document(),
}

ENDLESS = {"GET /kvitto/v1/relay"}
"""A stream that stays open: tests/acceptance/test_listen_and_trigger.py reads it."""

HELD_TO = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def operations() -> list[Any]:
    """Every operation of every document."""
    return [
        pytest.param(dialect, result.ok(), id=f"{dialect} {result.ok().label}")
        for dialect, document in DOCUMENTS.items()
        for result in schemathesis.openapi.from_dict(document).get_all_operations()
        if isinstance(result, Ok) and result.ok().label not in ENDLESS
    ]


def credentials(dialect: str, server: Any) -> dict[str, str]:
    return {"Authorization": f"{'App' if dialect == 'infobip' else 'Bearer'} {server.api_token}"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(("dialect", "operation"), operations())
def test_answers_are_as_the_document_says(server, dialect, operation, mode):
    asked = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @BOUNDED
    def hold(case: Any) -> None:
        nonlocal asked
        asked += 1
        if "service_plan_id" in (case.path_parameters or {}):
            case.path_parameters["service_plan_id"] = server.service_plan_id
        if isinstance(case.query, dict) and case.query.get("wait_s"):
            case.query["wait_s"] = 0  # what it waits for does not come
        response = case.call(base_url=server.origin, headers=credentials(dialect, server))
        if response.status_code == 414 and len(str(response.request.url)) > HttpLimits().target_bytes:
            return  # refused before any dialect saw it
        case.validate_response(response, headers=credentials(dialect, server), checks=HELD_TO)

    hold()
    assert asked
