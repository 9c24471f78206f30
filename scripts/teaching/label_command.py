"""``simlstm teacher label``: from pairs to silver scores."""

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from scripts.teaching.judges import open_judge
from scripts.teaching.labelling import check_finite, label_pairs, write_labels
from scripts.teaching.outputs import check_target
from scripts.teaching.ranges import match_range
from simlstm.data.formats import read_pairs
from simlstm.training.provenance import command_line, describe_data, describe_software


def label_file(
    folder: Path,
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

    Args:
        folder: Of the judge, see `open_judge`.
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
    check_target(out)
    pairs = read_pairs(source, format=format)
    gold = read_pairs(like or calibrate or "", format=format) if like or calibrate else None
    if gold is not None and gold.kind != "graded":
        raise ValueError(f"{gold.name}: {gold.kind} targets came; allowed: graded scores")
    judge = open_judge(
        folder,
        device=device,
        max_tokens=max_tokens,
        batch_size=batch_size,
        bfloat16=bfloat16,
        both_orders=both_orders,
    )
    settings = {
        "batch_size": batch_size,
        "max_tokens": max_tokens,
        "bfloat16": bfloat16,
        "both_orders": both_orders,
        "device": device.type,
    }
    judged = {key: judge.description[key] for key in ("kind", "files_sha256")}
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(pairs))
        scores = label_pairs(
            judge.score,
            pairs,
            out,
            identity={"judge": judged, "data": pairs.sha256, **settings},
            chunk_size=chunk_size,
            advance=lambda rows: progress.advance(task, rows),
        )
    final = scores.astype("float64")
    if gold is not None:
        reference = scores
        if calibrate is not None:
            reference = judge.score(gold.sentences1, gold.sentences2).float().numpy()
            check_finite(reference, gold.name)
        final = match_range(final, reference, gold.scaled_targets())
    record: dict[str, Any] = {
        "judge": judge.description,
        "data": describe_data([pairs]),
        "settings": settings,
        "range": None if gold is None else {"like" if like else "calibrate": describe_data([gold])[0]},
        "command": command_line(),
        **describe_software(device),
    }
    write_labels(pairs, final, out, source=name, record=record)
    return f"{out}: {len(pairs):,} pairs, mean score {final.clip(0, 1).mean():.3f}"
