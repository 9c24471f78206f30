"""``simlstm teacher label``: from pairs to silver scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from scripts.teaching.judges import Judge, open_judge
from scripts.teaching.labelling import check_finite, label_pairs, partial_file, write_labels
from scripts.teaching.outputs import check_target
from scripts.teaching.ranges import match_range
from simlstm.data.formats import read_pairs
from simlstm.data.pairs import PairData
from simlstm.training.provenance import command_line, describe_data, describe_software


@dataclass(frozen=True, slots=True)
class _Range:
    """Gold scores whose scale the silver ones take; ``calibrate``: the judges read their pairs, too."""

    gold: PairData
    calibrate: bool

    def reference(self, scores: NDArray[np.float32], judge: Judge) -> NDArray[np.float32]:
        """Return the scores of a judge whose ranks go to the gold ones: of the gold pairs, or those that it gave."""
        if not self.calibrate:
            return scores
        reference = judge.score(self.gold.sentences1, self.gold.sentences2).float().numpy()
        check_finite(reference, self.gold.name)
        return reference

    def move(self, scores: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
        """Bring scores to the scale of the gold ones, rank by rank: [P] to [P]."""
        return match_range(scores, reference, self.gold.scaled_targets())

    def describe(self) -> dict[str, Any]:
        return {"calibrate" if self.calibrate else "like": describe_data([self.gold])[0]}


def label_file(
    folders: Sequence[Path],
    source: str,
    out: Path,
    *,
    format: str,
    name: str | None,
    like: str | None,
    calibrate: str | None,
    both_orders: bool,
    batch_size: int,
    max_tokens: int,
    bfloat16: bool,
    device: torch.device,
    chunk_size: int = 4096,
) -> str:
    """Score the pairs of a file, and write them as graded pairs.

    The score of several judges is the mean of theirs, each first brought to one scale, and the mean to that scale
    again: judges that err in different ways are right together more often (Hansen and Salamon 1990).

    Args:
        folders: Of the judges, see `open_judge`.
        source: Pairs of any format; their own targets are not looked at.
        out: A file that must not exist; its extension says how it is written.
        format: Of all files.
        name: The collection that the column ``source`` names; None keeps each pair's own.
        like: Scored pairs whose scores the silver ones shall be distributed like.
        calibrate: Scored pairs that the judge reads, too: its scores there become theirs, rank by rank.
        both_orders: Whether a cross-encoder reads each pair twice.
        batch_size: Pairs or sentences computed at once.
        max_tokens: Of a transformer.
        bfloat16: Whether a transformer computes in bfloat16.
        device: Where it computes.
        chunk_size: Pairs between two writings.

    Returns:
        What came out, in one line.

    Raises:
        ValueError: For data, a judge or a target that cannot be used.
    """
    if like is not None and calibrate is not None:
        raise ValueError("like, calibrate: both came; allowed: one of them")
    if len(folders) > 1 and like is None and calibrate is None:
        raise ValueError(f"{len(folders)} models came, each with a scale of its own; needed: like or calibrate")
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise ValueError(f"{missing[0]}: there is no such folder; allowed: a checkpoint's or a transformer's")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError("a model came twice, and would count twice; name each of them once")
    check_target(out)
    pairs = read_pairs(source, format=format)
    scale = _read_range(like, calibrate, format)
    settings = {
        "batch_size": batch_size,
        "max_tokens": max_tokens,
        "bfloat16": bfloat16,
        "both_orders": both_orders,
        "device": device.type,
    }
    partials = [partial_file(out, number) for number in range(len(folders))]
    means: list[NDArray[np.float64]] = []
    described: list[dict[str, Any]] = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(pairs) * len(folders))
        for folder, partial in zip(folders, partials, strict=True):
            judge = open_judge(
                folder,
                device=device,
                max_tokens=max_tokens,
                batch_size=batch_size,
                bfloat16=bfloat16,
                both_orders=both_orders,
            )
            judged = {key: judge.description[key] for key in ("kind", "files_sha256")}
            scores = label_pairs(
                judge.score,
                pairs,
                partial,
                identity={"judge": judged, "data": pairs.sha256, **settings},
                chunk_size=chunk_size,
                advance=lambda rows: progress.advance(task, rows),
            )
            given = [scores.astype(np.float64)]
            if scale is not None:
                reference = scale.reference(scores, judge)
                given = [scale.move(each, reference) for each in (scores, reference)]
            shares = [each / len(folders) for each in given]
            means = shares if not means else [mean + share for mean, share in zip(means, shares, strict=True)]
            described.append(judge.description)
            del judge  # before the next one is loaded
    # The mean of several is narrower than each of them.
    final = means[0] if scale is None or len(folders) == 1 else scale.move(*means)
    record: dict[str, Any] = {
        "judges": described,
        "data": describe_data([pairs]),
        "settings": settings,
        "range": None if scale is None else scale.describe(),
        "command": command_line(),
        **describe_software(device),
    }
    write_labels(pairs, final, out, source=name, record=record)
    for partial in partials:
        partial.unlink(missing_ok=True)
    return f"{out}: {len(pairs):,} pairs, mean score {final.clip(0, 1).mean():.3f}"


def _read_range(like: str | None, calibrate: str | None, format: str) -> _Range | None:
    if (source := like or calibrate) is None:
        return None
    gold = read_pairs(source, format=format)
    if gold.kind != "graded":
        raise ValueError(f"{gold.name}: {gold.kind} targets came; allowed: graded scores")
    return _Range(gold, calibrate=calibrate is not None)
