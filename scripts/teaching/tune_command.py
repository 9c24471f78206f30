"""``simlstm teacher tune``: from files of scored pairs to the folder of a teacher."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from scripts.teaching.pair_models import Kind, load_pair_model
from scripts.teaching.record import describe_base, refuse_taken, save_teacher
from scripts.teaching.targets import by_source, only_sources
from scripts.teaching.tuning import Epoch, Tuning, tune
from simlstm.data.formats import read_pairs
from simlstm.data.pairs import PairData
from simlstm.training.provenance import command_line, describe_data, describe_software


def tune_teacher(
    folder: Path,
    out: Path,
    *,
    kind: Kind,
    train: Sequence[str],
    dev: Sequence[str],
    format: str,
    only: Sequence[str],
    settings: Tuning,
    max_tokens: int,
    device: torch.device,
) -> str:
    """Tune the transformer of a folder, and write it with its record.

    Returns:
        What came out, in one line.

    Raises:
        ValueError: For data or a folder that cannot be used, or an ``out`` that is there.
        RuntimeError: The loss diverged.
    """
    refuse_taken(out)
    if not train or not dev:
        raise ValueError("tune needs --train and --dev")
    chosen = only_sources([read_pairs(path, format=format) for path in train], only)
    measured = [read_pairs(path, format=format) for path in dev]
    torch.manual_seed(settings.seed)  # a new head is drawn when the model is loaded
    teacher = load_pair_model(kind, folder, device=device, max_tokens=max_tokens)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("")
        done, best = tune(
            teacher,
            by_source(chosen),
            measured,
            settings,
            advance=lambda step, steps: progress.update(task, completed=step, total=steps),
            report=lambda epoch: print(_line(epoch, measured), flush=True),
        )
    base = describe_base(folder)
    record = {
        "kind": kind.value,
        "licence": base["licence"],
        "base": base,
        "train": describe_data(chosen),
        "only": list(only),
        "dev": describe_data(measured),
        "settings": asdict(settings),
        "max_tokens": max_tokens,
        "epochs": [asdict(epoch) for epoch in done],
        "best_epoch": best,
        "command": command_line(),
        **describe_software(device),
    }
    save_teacher(out, teacher, record)
    return f"{out}: epoch {best}, dev spearman {done[best].selection:.4f}"


def _line(epoch: Epoch, dev: Sequence[PairData]) -> str:
    """Return an epoch in one line."""
    loss = "as it was" if epoch.loss is None else f"loss {epoch.loss:.4f}"
    measured = zip(dev, epoch.pearson, epoch.spearman, strict=True)
    return f"epoch {epoch.number}: {loss}; " + ", ".join(
        f"{pairs.name} pearson {r:.4f} spearman {rho:.4f}" for pairs, r, rho in measured
    )
