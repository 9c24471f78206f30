"""Requests made up from the OpenAPI document: no 5xx, no undocumented status, no answer of another shape."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.api.dialects import DOCUMENT
from tests.api.live import LiveServer

# Not that every request of a documented shape is answered: no schema says that two arrays are equally long.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def address(model):
    with LiveServer(model) as server:
        yield server.url


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_is_as_the_document_says(case, address):
    if isinstance(case.body, dict):
        case.body.pop("deadline_ms", None)  # one of a millisecond is kept, with 504
    case.call_and_validate(base_url=address, checks=CHECKS)
