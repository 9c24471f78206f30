"""The OpenAPI document, and answers held against it."""

import base64
import json
import math

import jsonschema_rs
import numpy as np
from hypothesis import find
from hypothesis import strategies as st

from api.app import create_app
from api.settings import Settings
from tests.api.bodies import bodies, post_routes

DOCUMENT = create_app(Settings()).openapi()
ROUTES = dict(post_routes(DOCUMENT))
JSON = {"content-type": "application/json"}


def post(client, path, body):
    """Send a body; escapes carry what UTF-8 cannot."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers=JSON)


def check(path, response):
    """Hold an answer against the OpenAPI document, and see that nothing in it is infinite or a fault."""
    documented = DOCUMENT["paths"][path]["post"]["responses"]
    status = str(response.status_code)
    # What a version does not have yet, it may say so if its document does.
    assert response.status_code < 500 or (status == "501" and status in documented), response.text[:1000]
    assert status in documented or "default" in documented, f"{path} does not document {status}"
    schema = documented.get(status, documented.get("default"))["content"]["application/json"]["schema"]
    assert response.headers["content-type"].startswith("application/json")
    answer = json.loads(response.content, parse_constant=_not_finite)
    complete = dict(schema) | {"components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(complete).validate(answer)
    for key, value in leaves(answer):
        if isinstance(value, float):
            assert math.isfinite(value)
        if key == "embedding" and isinstance(value, str):
            assert np.isfinite(np.frombuffer(base64.b64decode(value), dtype="<f4")).all()
    return answer


def leaves(value, key=None):
    match value:
        case dict():
            for name, item in value.items():
                yield from leaves(item, name)
        case list():
            for item in value:
                yield from leaves(item, key)
        case _:
            yield key, value


def _not_finite(name):
    raise AssertionError(f"{name} in an answer")


def least_body(path, text):
    """Return the least body of a route, with this text wherever one is needed."""
    return find(bodies(DOCUMENT, ROUTES[path], st.just(text), plain=True), lambda body: isinstance(body, dict))
