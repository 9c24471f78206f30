"""The licence that a model card names."""

import re
from pathlib import Path


def licence_of(card: Path) -> str | None:
    """Return the licence in the front matter of a model card; None where there is no card, or it names none.

    Args:
        card: The ``README.md`` of a model's folder.
    """
    if not card.is_file():
        return None
    front = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8-sig", errors="replace"), re.DOTALL)
    found = re.search(r"^license:[ \t]*[\"']?([^\n\"'#]+)", front[1], re.MULTILINE) if front else None
    return (found[1].strip() or None) if found else None
