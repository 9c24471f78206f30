"""What the OpenAPI document says of failures."""

import json

from tests.api.document import DOCUMENT


def test_no_route_promises_the_frameworks_own_error_shape():
    promising = [
        f"{method} {path}: {status}"
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status, response in operation["responses"].items()
        if "HTTPValidationError" in json.dumps(response)
    ]
    assert not promising
