"""Trees of concepts: how a table becomes concepts, how near two concepts are, how a pattern chooses some of them."""

from collections.abc import Iterable, Mapping

Path = tuple[str, str, str]
Taxonomy = Mapping[str, Path]

# Relatedness of two different concepts by the number of tree levels they share.
SHARED_LEVELS = (0.0, 0.25, 0.5, 0.75)


def parse_taxonomy(table: str) -> dict[str, Path]:
    """Read lines of ``level.level.level: concept concept …`` into a path for each concept.

    Args:
        table: One line for each leaf of the tree; blank lines are skipped.

    Returns:
        The path of each concept, in the order of the table. The concept itself is not part of its path.

    Raises:
        ValueError: When a concept stands twice, or a path has other than three levels.
    """
    taxonomy: dict[str, Path] = {}
    for line in filter(None, map(str.strip, table.splitlines())):
        path, concepts = line.split(":")
        if path.count(".") != 2:
            raise ValueError(f"table: path {path!r} has {path.count('.') + 1} levels; 3 are allowed")
        first, second, third = path.split(".")
        for concept in concepts.split():
            if concept in taxonomy:
                raise ValueError(f"table: concept {concept!r} stands twice; each is allowed once")
            taxonomy[concept] = (first, second, third)
    return taxonomy


def relatedness(taxonomy: Taxonomy, first: str, second: str) -> float:
    """Return how near two concepts of one tree are, in [0, 1]; 1 only for the same concept; symmetric.

    Different concepts get 0.75 when they share all three levels (dog, puppy), 0.5 for two (dog, cat),
    0.25 for one (dog, horse) and 0 for none (dog, car).
    """
    if first == second:
        return 1.0
    path, other = taxonomy[first], taxonomy[second]
    if path[0] != other[0]:
        shared = 0
    elif path[1] != other[1]:
        shared = 1
    else:
        shared = 2 if path[2] != other[2] else 3
    return SHARED_LEVELS[shared]


def under(path: Path, prefix: str) -> bool:
    """Tell whether a path begins with the dotted ``prefix``."""
    levels = tuple(prefix.split("."))
    return path[: len(levels)] == levels


def select(taxonomy: Taxonomy, pattern: str) -> tuple[str, ...]:
    """Return the concepts that a pattern names, in the order of the taxonomy.

    Args:
        taxonomy: The tree to choose from.
        pattern: Words separated by blanks: a concept, a dotted path prefix, or either with ``!`` before it
            to leave it out again.

    Raises:
        ValueError: When a word names nothing, so that a misspelt table is found at once.
    """
    chosen: set[str] = set()
    for word in pattern.split():
        name = word.removeprefix("!")
        concepts = {name} if name in taxonomy else {key for key, path in taxonomy.items() if under(path, name)}
        if not concepts:
            raise ValueError(f"pattern: {name!r} is neither a concept nor a path; one of them is allowed")
        chosen = chosen - concepts if word.startswith("!") else chosen | concepts
    return ordered(taxonomy, chosen)


def ordered(taxonomy: Taxonomy, concepts: Iterable[str]) -> tuple[str, ...]:
    """Return concepts in the order of the taxonomy: never in the order of a set, which differs between processes."""
    wanted = set(concepts)
    return tuple(key for key in taxonomy if key in wanted)
