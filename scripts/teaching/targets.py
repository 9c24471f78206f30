"""The scored pairs that a teacher is tuned on: several files, and chosen collections of each."""

from collections.abc import Sequence

from simlstm.data.pairs import PairData


def only_sources(data: Sequence[PairData], wanted: Sequence[str]) -> list[PairData]:
    """Keep the pairs of some collections; a file that names none stays whole.

    Args:
        data: Pairs of each file.
        wanted: Values of the column ``source``; none keeps everything.

    Raises:
        ValueError: For a collection that no file has, with those there are.
    """
    known = sorted({source for pairs in data for source in pairs.sources or ()})
    if missing := [source for source in wanted if source not in known]:
        raise ValueError(f"only: {missing[0]!r} came; the files have: {', '.join(known) or 'no column source'}")
    if not wanted:
        return list(data)
    chosen = set(wanted)
    kept = [
        pairs
        if pairs.sources is None
        else pairs.select(row for row, source in enumerate(pairs.sources) if source in chosen)
        for pairs in data
    ]
    return [pairs for pairs in kept if len(pairs)]


def by_source(data: Sequence[PairData]) -> list[PairData]:
    """Cut files into their collections: scores are compared with each other only where one hand has given them.

    Raises:
        ValueError: For pairs without scores or labels.
    """
    parts: list[PairData] = []
    for pairs in data:
        if pairs.kind == "positive":
            raise ValueError(f"{pairs.name}: paraphrases without targets came; allowed: scores or 0/1 labels")
        rows: dict[str, list[int]] = {}
        for row, source in enumerate(pairs.sources or [""] * len(pairs)):
            rows.setdefault(source, []).append(row)
        parts += [pairs.select(chosen) for chosen in rows.values()]
    return parts
