"""Silver scores of many pairs, on the disk chunk by chunk, so that an interrupted labelling goes on where it was."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from scripts.teaching.judges import Score
from scripts.teaching.outputs import check_target, one_line, write_record
from simlstm.data.pairs import PairData
from simlstm.evaluation.row_reader import Row
from simlstm.evaluation.row_writer import open_writer

COLUMNS = ["score", "source", "sentence1", "sentence2"]
DIGITS = 6


def label_pairs(
    score: Score,
    pairs: PairData,
    path: Path,
    *,
    identity: Mapping[str, Any],
    chunk_size: int,
    advance: Callable[[int], None] = lambda rows: None,
) -> NDArray[np.float32]:
    """Score all pairs; scores that an interrupted call has left in the partial file are taken from there.

    Args:
        score: The judge's.
        pairs: What is scored.
        path: The partial file; it stays, the caller removes it when the labels are written.
        identity: What the scores depend on; JSON.
        chunk_size: Pairs between two writings.
        advance: Called with the number of pairs of each chunk.

    Returns:
        float32 [P].

    Raises:
        ValueError: The partial file has another identity, or a score is no finite number.
    """
    header = json.dumps({**identity, "pairs": len(pairs), "chunk_size": chunk_size}, sort_keys=True)
    chunks: list[NDArray[np.float32]] = []
    with path.open("a+b") as file:
        done = _resume(file, header, path)
        if len(done):
            check_finite(done, f"{path}, {pairs.name}")
            advance(len(done))
            chunks.append(done)
        for start in range(len(done), len(pairs), chunk_size):
            stop = start + chunk_size
            chunk = score(pairs.sentences1[start:stop], pairs.sentences2[start:stop]).float().numpy()
            check_finite(chunk, pairs.name, before=start)
            file.write("".join(f"{float(value)!r}\n" for value in chunk).encode())
            file.flush()
            os.fsync(file.fileno())
            chunks.append(chunk)
            advance(len(chunk))
    return np.concatenate(chunks)


def check_finite(scores: NDArray[np.float32], name: str, *, before: int = 0) -> None:
    """Refuse scores that say nothing.

    Args:
        scores: [P].
        name: Of what is scored.
        before: Rows of it before the first score.

    Raises:
        ValueError: Naming the first row, counted from 1.
    """
    if len(wrong := np.flatnonzero(~np.isfinite(scores))):
        row = int(wrong[0])
        raise ValueError(f"{name}, row {before + row + 1}: the judge's score is {scores[row]}; allowed: finite numbers")


def partial_file(out: Path, number: int) -> Path:
    """Return where the scores of one judge are while they are made, judges being counted from 0."""
    return out.with_name(f"{out.name}.partial{number or ''}")


def write_labels(
    pairs: PairData, scores: NDArray[np.float64], out: Path, *, source: str | None, record: Mapping[str, Any]
) -> None:
    """Write pairs with scores in [0, 1], which ``format = "graded"`` reads, and the record beside them.

    Args:
        pairs: The pairs.
        scores: [P]; cut to [0, 1].
        out: Appears only when it is whole.
        source: The collection of all pairs; None keeps each pair's own, and calls what has none "silver".
        record: Where the labels come from; JSON.

    Raises:
        ValueError: There is something already.
    """
    check_target(out)
    with open_writer(out, COLUMNS, types={"score": "float32"}) as writer:
        rows = _rows(pairs, scores.clip(0, 1), source)
        while chunk := [row for _, row in zip(range(8192), rows, strict=False)]:
            writer.write(chunk)
        write_record(out, record)  # the data take their place last: what stands there is whole


def _rows(pairs: PairData, scores: NDArray[np.float64], source: str | None) -> Iterator[tuple[int, Row]]:
    sources = pairs.sources or ["silver"] * len(pairs)
    columns = zip(scores.tolist(), sources, pairs.sentences1, pairs.sentences2, strict=True)
    for number, (value, own, first, second) in enumerate(columns, 1):
        cells = (round(value, DIGITS), source or own, one_line(first), one_line(second))
        yield number, dict(zip(COLUMNS, cells, strict=True))


def _resume(file: IO[bytes], header: str, path: Path) -> NDArray[np.float32]:
    """Return whole lines' scores, cut off a torn one, and leave the file where the next score belongs."""
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1].decode()
    if not whole:
        file.truncate(0)
        file.write(f"{header}\n".encode())
        return np.empty(0, np.float32)
    first, *lines = whole.splitlines()
    if first != header:
        raise ValueError(f"{path}: belongs to another labelling ({first:.200}); remove it to begin anew")
    size = json.loads(header)["chunk_size"]
    # A chunk that was cut short is computed again: the bits of a score may depend on its batch.
    kept = lines if len(lines) == json.loads(header)["pairs"] else lines[: len(lines) // size * size]
    file.truncate(len("\n".join([first, *kept]).encode()) + 1)
    return np.asarray([float(line) for line in kept], np.float32)
