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


def checked_texts(value: Any) -> str | list[str]:
    """Return a string or an array of strings, or refuse what it is with a sentence."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        message = "it is {kind}; a string or an array of strings is needed"
        raise PydanticCustomError("texts", message, {"kind": kind_of(value)})
    return checked_list(value)


def checked_list(value: Any) -> list[str]:
    """Return an array of strings, or refuse what it is with a sentence."""
    if not isinstance(value, list):
        raise PydanticCustomError("texts", "it is {kind}; an array of strings is needed", {"kind": kind_of(value)})
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
    PlainValidator(checked_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
TextList = Annotated[
    list[str],
    PlainValidator(checked_list),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
