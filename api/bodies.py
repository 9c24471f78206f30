"""JSON bodies: read strictly, written fast."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import orjson
from fastapi import Response

from api.errors import ApiError

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NUMBERS_WRITTEN_ON_THE_EVENT_LOOP = 65_536  # a few milliseconds


def read_json(body: bytes) -> Any:
    """Parse a body: UTF-8 only, no NaN, half surrogate pairs replaced by U+FFFD as the WHATWG encoder does.

    Raises:
        ApiError: 400, saying what is wrong and where.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_leniently(body)


def _read_leniently(body: bytes) -> Any:
    """Read what the fast parser refuses, be it allowed (a BOM, half surrogate pairs) or not, and say what is wrong."""
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
        return _without_surrogates(value) if _SURROGATE_ESCAPE.search(body) else value
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: {error.reason} at byte {error.start}"
        raise ApiError(400, "invalid_json", message) from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ApiError(400, "invalid_json", message) from error
    except RecursionError as error:
        raise ApiError(400, "invalid_json", "the body is nested too deeply") from error
    except ValueError as error:  # NaN and its kind, and integers of more digits than Python parses
        raise ApiError(400, "invalid_json", f"the body is not JSON: {error}") from error


def answer(content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Write an answer with status 200; arrays of NumPy are written as they are, float32 in its shortest form."""
    return Response(_write(content), headers=headers, media_type="application/json")


async def array_of(items: Iterable[object], numbers: int) -> object:
    """Write an array that becomes part of an answer; a large one in a thread, item by item.

    One long call into the encoder would hold up all other threads, so a large array is written in many short ones.

    Args:
        items: taken one by one, in the thread where it writes.
        numbers: how many numbers they hold, or what takes as long to write.
    """
    if numbers <= _NUMBERS_WRITTEN_ON_THE_EVENT_LOOP:
        return list(items)
    return await asyncio.to_thread(_in_pieces, items)


def _in_pieces(items: Iterable[object]) -> orjson.Fragment:
    return orjson.Fragment(b"[" + b",".join(map(_write, items)) + b"]")


def _write(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case _:
            return value
