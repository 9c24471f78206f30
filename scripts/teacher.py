"""Make teachers, and let them label: fine-tune a transformer on scored pairs, score pairs with one."""

import logging
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress

from scripts.teaching.pair_models import Kind, load_pair_model
from scripts.teaching.record import describe_base, refuse_taken, save_teacher
from scripts.teaching.targets import by_source, only_sources
from scripts.teaching.tuning import Epoch, Tuning, tune
from simlstm.data.formats import read_pairs
from simlstm.data.pairs import PairData
from simlstm.models.device import usable_device
from simlstm.training.provenance import command_line, describe_data, describe_software


class Action(StrEnum):
    """What to do with a teacher."""

    tune = "tune"


def main(
    action: Annotated[Action, typer.Argument(help="tune: fine-tune a transformer on scored pairs.")],
    model: Annotated[Path, typer.Option(help="Folder of a transformer, as `make minilm` puts one.")],
    out: Annotated[Path, typer.Option(help="Folder of the tuned teacher; must not exist.")],
    train: Annotated[list[str] | None, typer.Option(help="tune: scored pairs; may be repeated.")] = None,
    dev: Annotated[list[str] | None, typer.Option(help="tune: chooses the epoch by Spearman; may be repeated.")] = None,
    kind: Annotated[Kind, typer.Option(help="A vector for each sentence, or both at once.")] = Kind.encoder,
    format: Annotated[str, typer.Option(help="Format of the pairs.")] = "auto",
    only: Annotated[str | None, typer.Option(help="tune: collections of --train, as stsb,sick.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="tune: passes over the pairs.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs computed at once.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0, help="tune: the highest.")] = 5e-5,
    max_tokens: Annotated[int, typer.Option(min=4, help="Longer texts are cut.")] = 128,
    float32: Annotated[bool, typer.Option("--float32", help="Compute in float32, not in bfloat16.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="tune: of order, dropout and a new head.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Fine-tune a transformer on pairs with scores or 0/1 labels, and write it with teacher.json beside it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        refuse_taken(out)
        if not train or not dev:
            raise ValueError("tune needs --train and --dev")
        wanted = [] if only is None else [name.strip() for name in only.split(",")]
        chosen = only_sources([read_pairs(path, format=format) for path in train], wanted)
        measured = [read_pairs(path, format=format) for path in dev]
        place = usable_device(device)
        settings = Tuning(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, bfloat16=not float32, seed=seed
        )
        torch.manual_seed(seed)  # a new head is drawn when the model is loaded
        teacher = load_pair_model(kind, model, device=place, max_tokens=max_tokens)
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
        base = describe_base(model)
        record = {
            "kind": kind.value,
            "licence": base["licence"],
            "base": base,
            "train": describe_data(chosen),
            "only": wanted,
            "dev": describe_data(measured),
            "settings": asdict(settings),
            "max_tokens": max_tokens,
            "epochs": [asdict(epoch) for epoch in done],
            "best_epoch": best,
            "command": command_line(),
            **describe_software(place),
        }
        save_teacher(out, teacher, record)
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"teacher: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{out}: epoch {best}, dev spearman {done[best].selection:.4f}")


def _line(epoch: Epoch, dev: list[PairData]) -> str:
    """Return an epoch in one line."""
    loss = "as it was" if epoch.loss is None else f"loss {epoch.loss:.4f}"
    measured = zip(dev, epoch.pearson, epoch.spearman, strict=True)
    return f"epoch {epoch.number}: {loss}; " + ", ".join(
        f"{pairs.name} pearson {r:.4f} spearman {rho:.4f}" for pairs, r, rho in measured
    )


if __name__ == "__main__":
    typer.run(main)
