"""A megabyte of one character, on every POST route of a server whose limits allow it."""

import json

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from tests.api.document import ROUTES, check, least_body, post


@pytest.fixture(scope="module")
def roomy(model):
    limits = {"max_body_bytes": 32 * 2**20, "max_sentence_characters": 2**20}
    with TestClient(create_app(Settings(**limits), model)) as client:
        yield client


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("character", ["x", "狗", "\x00", "\u0301", "\ud800", "\U0001f469"], ids=ascii)
def test_a_megabyte_of_one_character(roomy, path, character):
    text = character * (2**20 // len(character.encode(errors="surrogatepass")))
    # The text is put in afterwards: what makes the body would look at it again and again.
    written = json.dumps(least_body(path, "MARK")).replace("MARK", json.dumps(text)[1:-1])
    response = post(roomy, path, written.encode())
    check(path, response)
    assert response.status_code == (422 if path == "/tokenize" else 200)
