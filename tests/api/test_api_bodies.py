"""Reading and writing JSON: two parsers that agree, and arrays written in one piece or in many."""

import asyncio
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies import answer, array_of, read_json
from api.errors import ApiError

# Integers beyond 64 bits become floating-point numbers, which no field of any request takes.
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(value=VALUES, ascii_only=st.booleans())
def test_what_is_read_is_what_the_standard_library_reads(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    if "Infinity" in json.dumps(value):
        return
    assert read_json(text.encode()) == json.loads(text)
    assert read_json(b"\xef\xbb\xbf" + text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (rb'["\ud83d", "\ud83d\ude00", "\udc00\ud800"]', ["\ufffd", "\U0001f600", "\ufffd\ufffd"]),
        (rb'{"\ud800": "\u0000"}', {"\ufffd": "\x00"}),
        (b" [1.0, -0.0, 1e5] ", [1.0, -0.0, 1e5]),
    ],
)
def test_edges_are_read(body, value):
    assert read_json(body) == value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,]", b"nan", b"[NaN]", b'"\xff"', b'{"a" 1}', b"1 2", b"'a'", b"[" * 9999]
)
def test_what_is_no_json_is_refused(body):
    with pytest.raises(ApiError) as caught:
        read_json(body)
    assert (caught.value.status_code, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize("numbers", [0, 10**9])
def test_an_array_is_the_same_in_one_piece_and_in_many(numbers):
    rows = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    content = {"rows": asyncio.run(array_of(rows, numbers)), "empty": asyncio.run(array_of(iter(()), numbers))}
    read = json.loads(answer(content).body)
    np.testing.assert_array_equal(np.array(read["rows"], dtype=np.float32), rows)
    assert read["empty"] == []
