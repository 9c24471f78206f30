"""Add scores to a file of pairs, chunk by chunk, with memory that does not grow with the file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from simlstm.data.errors import DataError
from simlstm.data.layouts import USUAL_NAMES
from simlstm.evaluation.row_reader import Row, RowReader
from simlstm.evaluation.row_writer import open_writer
from simlstm.models.similarity import SimilarityModel

ADDED = {"score": "float32", "probability": "float32", "is_match": "bool", "truncated": "bool"}


@dataclass(frozen=True, slots=True)
class ScoringSummary:
    """What was written: rows, and how many of them had a sentence beyond the model's limit."""

    rows: int
    truncated: int


def score_file(
    model: SimilarityModel,
    source: str | Path,
    target: str | Path,
    *,
    sentence1: str | None = None,
    sentence2: str | None = None,
    prefix: str = "",
    chunk_size: int = 8_192,
    batch_size: int = 256,
    advance: Callable[[int], None] = lambda rows: None,
) -> ScoringSummary:
    """Copy a file of pairs with the columns score, probability, is_match and truncated added.

    Args:
        model: Scores the pairs; without a calibration, probability and is_match are empty.
        source: CSV, TSV, JSON lines or Parquet, told by the extension; columns with names.
        target: The same kinds; replaced only when everything is written.
        sentence1: Column of the first sentence; found by its usual names when None.
        sentence2: Column of the second sentence.
        prefix: Goes before the names of the added columns.
        chunk_size: Rows in memory at once.
        batch_size: Sentences encoded at once.
        advance: Called with the number of rows after each chunk.

    Raises:
        DataError: For a row that cannot be scored or written, or has an added column already, naming its line;
            `target` is left as it was.
        ValueError: For columns that are not there, or that are there already, or a target whose folder is not there.
    """
    reader = RowReader.open(source)
    columns = (_column(reader, "sentence1", sentence1), _column(reader, "sentence2", sentence2))
    added = [f"{prefix}{name}" for name in ADDED]
    if taken := [name for name in added if name in reader.columns]:
        raise ValueError(f"{source}: has a column {taken[0]!r} already; give the added ones a prefix (--prefix model_)")
    types = dict(zip(added, ADDED.values(), strict=True))
    total = truncated = 0
    rows = reader.rows()
    with open_writer(target, [*reader.columns, *added], types=types, schema=reader.schema) as writer:
        while chunk := list(islice(rows, chunk_size)):
            for line, row in chunk:  # a row of JSON lines may have keys that the first one lacks
                if taken := [name for name in added if name in row]:
                    raise DataError(
                        f"{reader.path}:{line}: has a value {taken[0]!r} already; "
                        "give the added ones a prefix (--prefix model_)"
                    )
            pairs = [tuple(_sentence(reader, line, row, column) for column in columns) for line, row in chunk]
            results = list(_score(model, pairs, batch_size))
            for (_, row), values in zip(chunk, results, strict=True):
                row.update(zip(added, values, strict=True))
            writer.write(chunk)
            total += len(chunk)
            truncated += sum(values[-1] for values in results)
            advance(len(chunk))
    return ScoringSummary(total, truncated)


def _score(
    model: SimilarityModel, pairs: list[tuple[str, ...]], batch_size: int
) -> Iterator[tuple[float, float | None, bool | None, bool]]:
    """Yield score, probability, is_match and truncated of each pair."""
    texts = [first for first, _ in pairs] + [second for _, second in pairs]
    # One token more than allowed shows which texts are cut.
    token_ids = model.tokenizer.encode(texts, max_tokens=model.max_tokens + 1)
    too_long = [len(ids) > model.max_tokens for ids in token_ids]
    embeddings = model.encode_tokens([ids[: model.max_tokens] for ids in token_ids], batch_size=batch_size)
    scores = model.score_embeddings(embeddings[: len(pairs)], embeddings[len(pairs) :])
    probabilities = None if model.calibration is None else model.probability_of(scores)
    for index, score in enumerate(scores):
        yield (
            _shortest(score),
            None if probabilities is None else _shortest(probabilities[index]),
            None if model.threshold is None else bool(score >= model.threshold),
            too_long[index] or too_long[len(pairs) + index],
        )


def _shortest(value: np.float32) -> float:
    """Return the float whose text is the shortest that reads back as this float32: 0.1, not 0.10000000149."""
    return float(str(value))


def _column(reader: RowReader, meaning: str, given: str | None) -> str:
    """Return the column of a sentence, in the file's own spelling."""
    if given is not None:
        if given not in reader.columns:
            raise ValueError(f"{meaning}: got {given!r}; {reader.path} has the columns {', '.join(reader.columns)}")
        return given
    by_name = {name.lower(): name for name in reversed(reader.columns)}
    for usual in USUAL_NAMES[meaning]:
        if usual in by_name:
            return by_name[usual]
    raise ValueError(
        f"{reader.path}: no column is {', '.join(USUAL_NAMES[meaning])}; name the column of {meaning}: "
        f"there are {', '.join(reader.columns)}"
    )


def _sentence(reader: RowReader, line: int, row: Row, column: str) -> str:
    """Return one sentence, or name the row that has none."""
    value: Any = row.get(column)
    if not isinstance(value, str):
        came = "nothing" if value is None else f"{value!r:.80}"
        raise DataError(f"{reader.path}:{line}: {column} is {came}; allowed: text")
    return value
