"""Make teachers, and let them label: fine-tune a transformer on scored pairs, score pairs with a model."""

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from scripts.teaching.label_command import label_file
from scripts.teaching.pair_models import Kind
from scripts.teaching.tune_command import tune_teacher
from scripts.teaching.tuning import Tuning
from simlstm.models.device import usable_device
from simlstm.models.shipped import checkpoint_folder


class Action(StrEnum):
    """What to do with a teacher."""

    tune = "tune"
    label = "label"


_ACTION = "tune: fine-tune a transformer on scored pairs. label: score the pairs of a file."


_OWN = {
    Action.tune: ("kind", "train", "dev", "only", "epochs", "learning_rate", "seed"),
    Action.label: ("source", "name", "like", "calibrate", "both_orders"),
}


def main(
    context: typer.Context,
    action: Annotated[Action, typer.Argument(help=_ACTION)],
    model: Annotated[
        list[str],
        typer.Option(help="tune: a transformer's folder. label: that, or a checkpoint; repeated, their mean counts."),
    ],
    out: Annotated[Path, typer.Option(help="tune: folder of the teacher. label: file. It must not exist.")],
    kind: Annotated[Kind, typer.Option(help="tune: a vector for each sentence, or both at once.")] = Kind.encoder,
    train: Annotated[list[str] | None, typer.Option(help="tune: scored pairs; may be repeated.")] = None,
    dev: Annotated[list[str] | None, typer.Option(help="tune: chooses the epoch by Spearman; may be repeated.")] = None,
    only: Annotated[str | None, typer.Option(help="tune: collections of --train, as stsb,sick.")] = None,
    source: Annotated[str | None, typer.Option("--input", help="label: pairs; targets are not looked at.")] = None,
    name: Annotated[str | None, typer.Option(help="label: what the column source says.")] = None,
    like: Annotated[str | None, typer.Option(help="label: give the scores the distribution of these.")] = None,
    calibrate: Annotated[str | None, typer.Option(help="label: turn scores into these pairs', rank by rank.")] = None,
    both_orders: Annotated[
        bool, typer.Option("--both-orders", help="label: mean of both, by a cross-encoder.")
    ] = False,
    format: Annotated[str, typer.Option(help="Format of all files of pairs.")] = "auto",
    epochs: Annotated[int, typer.Option(min=1, help="tune: passes over the pairs.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs computed at once.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0, help="tune: the highest.")] = 5e-5,
    max_tokens: Annotated[int, typer.Option(min=4, help="A transformer cuts longer texts.")] = 128,
    float32: Annotated[bool, typer.Option("--float32", help="Compute in float32, not in bfloat16.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="tune: of order, dropout and a new head.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Fine-tune a transformer as a teacher, or score pairs with one; a record of how is written beside the result.

    An interrupted `label` goes on where it was when the same command comes again.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        _refuse_other_options(context, action)
        place = usable_device(device)
        if action is Action.tune:
            if len(model) > 1:
                raise ValueError(f"tune: {len(model)} --model came; allowed: one")
            done = tune_teacher(
                Path(model[0]),
                out,
                kind=kind,
                train=train or (),
                dev=dev or (),
                format=format,
                only=[] if only is None else [collection.strip() for collection in only.split(",")],
                settings=Tuning(
                    epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, bfloat16=not float32, seed=seed
                ),
                max_tokens=max_tokens,
                device=place,
            )
        else:
            if source is None:
                raise ValueError("label needs --input")
            done = label_file(
                [checkpoint_folder(name) for name in model],
                source,
                out,
                format=format,
                name=name,
                like=like,
                calibrate=calibrate,
                both_orders=both_orders,
                batch_size=batch_size,
                max_tokens=max_tokens,
                bfloat16=not float32,
                device=place,
            )
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"teacher: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(done)


def _refuse_other_options(context: typer.Context, action: Action) -> None:
    """Refuse options that belong to the other action, where they would have no effect."""
    others = {name for other, names in _OWN.items() if other is not action for name in names}
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in others
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise ValueError(f"{action.value}: {', '.join(given)} came, which would have no effect; leave it out")


if __name__ == "__main__":
    typer.run(main)
