"""Parts of a subject, by the names that somebody typed."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

Kind = TypeVar("Kind", bound=StrEnum)


def chosen_parts(kind: type[Kind], names: Sequence[str] | None) -> list[Kind]:
    """Return the parts of these names; all of them when none is named.

    Args:
        kind: The subject's parts.
        names: As they came.

    Raises:
        ValueError: for a name that is none of the subject's; says which there are.
    """
    known = {part.value: part for part in kind}
    for name in names or ():
        if name not in known:
            raise ValueError(f"--part: {name!r} came; {', '.join(known)} are allowed")
    return [known[name] for name in names or known]
