"""Request bodies made from an OpenAPI document, so that tests of the wire need to know no route."""

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

MODEL = "tiny"
# What a served model or a patient deadline needs; every other field holds whatever its schema allows.
_USABLE: Mapping[str, object] = {"model": MODEL, "deadline_ms": 60_000}


def post_routes(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return path and body schema of every POST route that takes JSON; its references stay as they are."""
    for path, operations in document["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/json" in content:
            yield path, content["application/json"]["schema"]


def property_names(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields at the top of a body."""
    match schema:
        case {"$ref": str(reference)}:
            return property_names(document, document["components"]["schemas"][reference.rpartition("/")[2]])
        case {"anyOf": [*options]} | {"oneOf": [*options]} | {"allOf": [*options]}:
            return [name for option in options for name in property_names(document, option)]
        case _:
            return list(schema.get("properties", {}))


def bodies(
    document: Mapping[str, Any], schema: Mapping[str, Any], text: st.SearchStrategy[str], *, plain: bool = False
) -> st.SearchStrategy[Any]:
    """Return bodies of a schema's shape, with these texts wherever a free text may stand.

    Args:
        document: the OpenAPI document, for references.
        schema: of the body.
        text: what stands where a string is wanted.
        plain: only the fields that are needed, and two items in each array, so that arrays are equally long.
    """

    def make(part: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        match part:
            case {"$ref": str(reference)}:
                return make(document["components"]["schemas"][reference.rpartition("/")[2]])
            case {"anyOf": [*options]} | {"oneOf": [*options]}:
                return st.one_of([make(option) for option in options])
            case {"allOf": [only]}:
                return make(only)
            case {"const": value}:
                return st.just(value)
            case {"enum": [*values]}:
                return st.sampled_from(values)
            case {"type": "object", "properties": dict(properties)}:
                fields = {name: _field(name, make(field)) for name, field in properties.items()}
                required = {name: fields.pop(name) for name in part.get("required", [])}
                return st.fixed_dictionaries(required, optional={} if plain else fields)
            case {"type": "object"}:
                return st.dictionaries(text, st.none() | text, max_size=3)
            case {"type": "array"}:
                least, most = (2, 2) if plain else (part.get("minItems", 0), part.get("minItems", 0) + 4)
                return st.lists(make(part.get("items", {})), min_size=least, max_size=most)
            case {"type": "string"}:
                return text
            case {"type": "integer"}:
                least = part.get("minimum", part.get("exclusiveMinimum", -1) + 1)
                return st.integers(least, max(least, part.get("maximum", least + 20)))
            case {"type": "number"}:
                return st.floats(part.get("minimum", 0.0), part.get("maximum", 1.0))
            case {"type": "boolean"}:
                return st.booleans()
            case {"type": "null"}:
                return st.none()
            case _:
                return st.none() | text

    return make(schema)


def _field(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(_USABLE[name]) if name in _USABLE else values
