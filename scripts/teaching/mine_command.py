"""``simlstm mine``: from sentences to candidate pairs, or to hard negatives."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from scripts.teaching.candidates import Rows, balanced, join, neighbour_pairs, pair_cosines, random_pairs, without
from scripts.teaching.labelling import COLUMNS, DIGITS
from scripts.teaching.negatives import hard_negatives
from scripts.teaching.neighbours import nearest
from scripts.teaching.outputs import write_record
from scripts.teaching.sentences import both_sides, distinct_sentences, normal_forms, rows_of_pairs
from simlstm.data.formats import read_pairs
from simlstm.data.pairs import PairData
from simlstm.data.sentences import is_text, read_sentences
from simlstm.evaluation.row_reader import Row
from simlstm.evaluation.row_writer import open_writer
from simlstm.models.normalization import normalize_rows
from simlstm.training.teachers import TeacherCache


@dataclass(frozen=True, slots=True)
class Mined:
    """Rows to write.

    Attributes:
        columns: Their names, in order.
        rows: Cells of each row.
    """

    columns: list[str]
    rows: Iterable[tuple[object, ...]]

    def write(self, out: Path, record: Mapping[str, Any]) -> int:
        """Write all rows to a file that appears when it is whole, and its record; returns the number of rows.

        Args:
            out: The file.
            record: Where the rows come from; ``pairs``, their number, is added.
        """
        count = 0
        with open_writer(out, self.columns, types={}) as writer:
            for count, cells in enumerate(self.rows, 1):
                row: Row = dict(zip(self.columns, cells, strict=True))
                writer.write([(count, row)])
            write_record(out, {**record, "pairs": count})
        return count


def mine_candidates(
    teacher: TeacherCache,
    sources: Sequence[str],
    *,
    format: str,
    exclude: Sequence[str],
    known: Sequence[str],
    neighbours: int,
    random: int,
    pairs: int | None,
    bins: int,
    seed: int,
) -> Mined:
    """Pair sentences with near and with random ones.

    Args:
        teacher: Whose vectors say what is near.
        sources: Files of pairs, or texts of one sentence a line.
        format: Of the files of pairs.
        exclude: Files of pairs whose sentences must not occur.
        known: Files of pairs that need no other label, and are left out.
        neighbours: Nearest ones of each sentence.
        random: Random pairs.
        pairs: Pairs that are kept, balanced over the cosine; None keeps all.
        bins: Ranges of the cosine that get a share each.
        seed: Of what is random.

    Returns:
        Columns of ``format = "graded"``; the score is the cosine, cut to [0, 1].

    Raises:
        ValueError: For a file that cannot be read, or fewer than two sentences.
    """
    texts = (text for source in sources for text in _sentences(source, format))
    sentences = distinct_sentences(texts, without=_excluded(exclude, format))
    vectors = _vectors(teacher, sentences)
    near = neighbour_pairs(*_with_bar(vectors, neighbours)) if neighbours else np.empty((0, 2), np.int64)
    found = join(near, random_pairs(len(vectors), random, seed=seed))
    labelled = rows_of_pairs([read_pairs(path, format=format) for path in known], sentences)
    found = without(found, [pair for _, _, pair in labelled])
    cosines = pair_cosines(vectors, found).clip(0, 1)
    if pairs is not None:
        chosen = balanced(cosines, pairs, bins=bins, seed=seed)
        found, cosines = found[chosen], cosines[chosen]
    spoken = list(sentences.values())
    scores = (round(float(cosine), DIGITS) for cosine in cosines)
    rows = ((score, "mined", spoken[a], spoken[b]) for score, (a, b) in zip(scores, found, strict=True))
    return Mined(COLUMNS, rows)


def mine_negatives(
    teacher: TeacherCache,
    sources: Sequence[str],
    *,
    format: str,
    exclude: Sequence[str],
    known: Sequence[str],
    neighbours: int,
    at_most: float,
    margin: float,
    complete: bool,
) -> Mined:
    """Pair the sentences of paraphrases with near ones of other groups, see `hard_negatives`.

    Args:
        teacher: Whose vectors say what is near.
        sources: Files of pairs with 0/1 labels, or of paraphrases.
        format: Of all files.
        exclude: Files of pairs whose sentences must not occur.
        known: Files of further pairs with a label: none of them becomes a negative, and their positives join groups.
        neighbours: Negatives of each sentence, at most.
        at_most: Highest cosine of a negative.
        margin: Least difference to the sentence's own positives.
        complete: Whether the pairs of the sources are written, too, with their labels.

    Returns:
        Columns ``label source sentence1 sentence2``.

    Raises:
        ValueError: For a file that cannot be read or has graded scores, or that leaves no positive pair.
    """
    data = [read_pairs(source, format=format) for source in sources]
    for pairs in data:
        if pairs.kind == "graded":
            raise ValueError(f"{pairs.name}: graded scores came; allowed: 0/1 labels or paraphrases")
    sentences = distinct_sentences(both_sides(data), without=_excluded(exclude, format))
    labelled = rows_of_pairs(data, sentences)
    told = labelled + rows_of_pairs([read_pairs(path, format=format) for path in known], sentences)
    positives = [pair for pairs, row, pair in told if pairs.kind != "graded" and pairs.targets[row] == 1]
    if not positives:
        raise ValueError(f"{', '.join(sources)}: no positive pair is left; negatives are mined for such")
    vectors = _vectors(teacher, sentences)
    found = hard_negatives(vectors, positives, count=neighbours, at_most=at_most, margin=margin)
    found = without(found, [pair for _, _, pair in told])
    return Mined(
        ["label", "source", "sentence1", "sentence2"],
        _labelled_rows(labelled if complete else [], found, list(sentences.values())),
    )


def _labelled_rows(
    labelled: Iterable[tuple[PairData, int, tuple[int, int]]], negatives: Rows, sentences: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    for pairs, row, (first, second) in labelled:
        yield int(pairs.targets[row]), "given", sentences[first], sentences[second]
    for first, second in negatives:
        yield 0, "mined", sentences[first], sentences[second]


def _sentences(source: str, format: str) -> Iterable[str]:
    if format == "auto" or is_text(source):
        return read_sentences(source).sentences
    return both_sides([read_pairs(source, format=format)])


def _excluded(paths: Sequence[str], format: str) -> frozenset[str]:
    return normal_forms(text for path in paths for text in _sentences(path, format))


def _vectors(teacher: TeacherCache, sentences: dict[str, str]) -> Tensor:
    if len(sentences) < 2:
        raise ValueError(f"{len(sentences)} sentences are left; allowed: 2 and more")
    return normalize_rows(torch.from_numpy(teacher.vectors(list(sentences.values()))).float())


def _with_bar(vectors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(vectors))
        return nearest(vectors, count, advance=lambda rows: progress.advance(task, rows))
