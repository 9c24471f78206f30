"""Texts in a request: a string or an array of strings, refused with a sentence that says what came instead."""

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def kind_of(value: object) -> str:
    """Return the JSON name of the type of a parsed JSON value, for messages."""
    return _KINDS[type(value)]


def _texts(value: Any) -> str | list[str]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise PydanticCustomError(
            "texts", "it is {kind}; a string or an array of strings is needed", {"kind": kind_of(value)}
        )
    for position, item in enumerate(value):
        if not isinstance(item, str):
            raise PydanticCustomError(
                "texts",
                "item {position} is {kind}; a string is needed",
                {"position": position, "kind": kind_of(item)},
            )
    return value


# One pass with one message, where pydantic's union would report a failure per alternative and per item.
Texts = Annotated[
    str | list[str],
    PlainValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
