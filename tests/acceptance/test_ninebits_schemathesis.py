"""schemathesis against the running server, by the 9bits dialect's own document: what it says is what happens.

Left out is one check, that every request which fits the schema is accepted: a schema cannot say that a text has at most
eleven parts, or a time lies at most seven days ahead.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from kvitto.dialects.ninebits.openapi import document
from tests.support.server import ServerProcess, reserve_port

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
    unsupported_method,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    simulator = {"simulator.port": reserve_port()}
    with ServerProcess(tmp_path_factory.mktemp("schemathesis"), settings=simulator) as running:
        yield running


@pytest.fixture(scope="module")
def token(server):
    return server.create_account("shop").api_token


OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(document()).get_all_operations() if isinstance(found, Ok)
]


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_the_document_says_what_the_server_does(operation, mode, server, token):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def ask(case):
        case.call_and_validate(
            base_url=server.origin, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=10
        )

    ask()
