"""Origins that browsers may call from."""

import re

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:[0-9]{1,5})?")


def split_origins(text: str) -> tuple[str, ...]:
    """Split comma-separated origins.

    Raises:
        ValueError: when one is not written as browsers write it, or ``*`` stands beside another one.
    """
    origins = tuple(origin for origin in (piece.strip() for piece in text.split(",")) if origin)
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"cors_origins: {origin} is no origin; browsers send scheme://host or scheme://host:port, in lower "
                "case, without a path or a slash at the end, and are compared letter by letter"
            )
    if "*" in origins and len(origins) > 1:
        raise ValueError("cors_origins holds * beside other origins: * allows all of them already")
    return origins
