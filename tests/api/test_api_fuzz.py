"""Texts and bodies that Hypothesis makes, on every POST route that the OpenAPI document has."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.bodies import bodies, property_names
from tests.api.document import DOCUMENT, ROUTES, check, least_body, post

MARK = "zqxj" * 250
FAST = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

PIECES = st.sampled_from(
    ["", " ", "\x00", "\ud800", "\udfff\ud800", "\ud83d", "e\u0301", "\u0301" * 30, "\u202eabc\u202c", "שלום",
     "مرحبا بك", "\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "你好", "ｆｕｌｌ", "ﷺ", "İ", "ß", "dog",
     "\r\n", "\ufeff", "\uffff", "\U0010ffff", "\x7f\x1b[2J", "<unk>", "[PAD]", "##ing", "\u2028", "1e309", "NaN"]
)  # fmt: skip
# st.text leaves surrogates out by default; JSON can carry halves of them.
TEXT = st.lists(PIECES | st.text(st.characters(codec=None), max_size=20), max_size=6).map("".join)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("path", ROUTES)
@FAST
@given(data=st.data())
def test_any_text_is_answered_or_refused(client, path, data):
    check(path, post(client, path, data.draw(bodies(DOCUMENT, ROUTES[path], TEXT))))


@pytest.mark.parametrize("path", ROUTES)
@FAST
@given(data=st.data())
def test_any_text_in_the_needed_fields_alone_is_answered(client, path, data):
    text = TEXT.filter(bool)  # some dialects refuse the empty one
    body = data.draw(bodies(DOCUMENT, ROUTES[path], text, plain=True))
    if isinstance(body.get("text_1"), list):
        body["text_2"] = body["text_1"]  # vLLM's arrays are equally long, which no schema says
    response = post(client, path, body)
    check(path, response)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ROUTES)
@FAST
@given(body=st.binary(max_size=200) | ANY_JSON)
def test_any_body_is_answered_or_refused(client, path, body):
    check(path, post(client, path, body))


@pytest.mark.parametrize("path", ROUTES)
@FAST
@given(data=st.data())
def test_a_body_with_one_thing_wrong(client, path, data):
    body = data.draw(bodies(DOCUMENT, ROUTES[path], TEXT).filter(lambda body: isinstance(body, dict)))
    names = sorted(body)
    name = data.draw(st.sampled_from(names) | TEXT)
    match data.draw(st.sampled_from(["replaced", "missing", "torn", "doubled", "wrapped"])):
        case "replaced":
            body[name] = data.draw(ANY_JSON)
        case "missing":
            body.pop(name, None)
        case "torn":
            written = json.dumps(body).encode()
            body = written[: data.draw(st.integers(0, len(written)))]
        case "doubled":
            body = json.dumps(body)[:-1].encode() + b"," + json.dumps({name: data.draw(ANY_JSON)}).encode()[1:]
        case "wrapped":
            body = {name: body}
    check(path, post(client, path, body))


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("wrong", [MARK, [MARK], [[MARK]], {MARK: MARK}, [{MARK: 1}], [[1, MARK]]], ids=range(6))
def test_a_refusal_repeats_nothing_of_the_values_that_came(client, path, wrong):
    for name in property_names(DOCUMENT, ROUTES[path]):
        # The name of a model is no text; what is said of it is tried in test_api_echo.py.
        response = post(client, path, least_body(path, MARK) | ({} if name == "model" else {name: wrong}))
        check(path, response)
        assert response.status_code == 200 or MARK[:20] not in response.text, f"of {name}"


@pytest.mark.parametrize("path", ROUTES)
def test_bodies_made_to_cost(client, path):
    least = least_body(path, "dog")
    nested = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    for body in (nested, json.dumps(least)[:-1].encode() + b',"more":' + nested + b"}"):
        assert check(path, post(client, path, body))
    wide = {f"field{number}": number for number in range(5000)}
    for body in (wide, least | wide, *({**least, name: [wide] * 20} for name in least)):
        response = post(client, path, body)
        check(path, response)
        assert response.status_code == 200 or len(response.content) < 3000
    for name in least:
        response = post(client, path, least | {name: [None, {}, 7] * 1000})
        check(path, response)
        assert response.status_code >= 400
        assert len(response.content) < 3000
