"""Many texts into requests that the server takes."""

import json
from collections.abc import Iterator, Sequence


def write(value: object) -> bytes:
    """Return the JSON of a value, as short as it can be told.

    A lone half of a surrogate pair, which Python's strings may hold and UTF-8 may not, is written as U+FFFD, which the
    server would take it for: so a text has the same size alone and among others.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # UTF-16 tells a lone half from two that belong together.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def slices(sizes: Sequence[int], *, most_items: int, most_bytes: int) -> Iterator[slice]:
    """Cut a sequence into runs within both bounds, in order.

    An item beyond ``most_bytes`` is a run of its own: the server is to say what is wrong with it.

    Args:
        sizes: of each item, in bytes as JSON.
        most_items: of one run, at least 1.
        most_bytes: of one run, with a comma for each item.
    """
    start, held = 0, 0
    for position, size in enumerate(sizes):
        held += size + 1
        if position > start and (held > most_bytes or position - start >= most_items):
            yield slice(start, position)
            start, held = position, size + 1
    if start < len(sizes):
        yield slice(start, len(sizes))
