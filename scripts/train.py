"""Train a checkpoint from pairs with scores or labels."""

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from simlstm.evaluation.evaluate import calibrate_model, evaluate_model
from simlstm.training.config_file import load_config
from simlstm.training.display import Display
from simlstm.training.folder import RunFolder
from simlstm.training.identity import saved_config
from simlstm.training.interruption import Interrupted
from simlstm.training.loop import DivergedError
from simlstm.training.provenance import shell_command
from simlstm.training.run import train


def main(
    out: Annotated[Path, typer.Option(help="Folder of the run; the checkpoint is written there at the end.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of the experiment.")] = None,
    train_files: Annotated[list[str] | None, typer.Option("--train", help="Training source; may be repeated.")] = None,
    dev: Annotated[str | None, typer.Option(help="Source that chooses the checkpoint and fits its threshold.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of --train and --dev; found out by default.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and dropout.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; CUDA when there is one by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of one operation.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train a model, keep the best on dev, calibrate it, and write its checkpoint folder.

    Ctrl-C saves the state first; the same command with --resume goes on as if nothing had happened.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    flags: dict[str, Any] = {
        "data.train": None if not train_files else [_source(path, format) for path in train_files],
        "data.dev": None if dev is None else _source(dev, format),
        "training.seed": seed,
        "training.device": device,
        "training.threads": threads,
    }
    folder = RunFolder(out)
    if resume and not overwrite and folder.is_finished():  # asked before the configuration, which may be left out
        folder.state.remove()  # a kill may have come right after the checkpoint
        print(f"{out} is a finished run; nothing to do")
        return
    try:
        nothing_given = not settings and all(value is None for value in flags.values())
        if resume and config is None and (nothing_given or folder.state.description() is not None):
            experiment = saved_config(folder, overrides=settings or (), flags=flags)
        else:
            experiment = load_config(config, overrides=settings or (), flags=flags)
        fit = None
        if experiment.calibration.method != "none":
            fit = partial(calibrate_model, **experiment.calibration.model_dump())
        result = train(
            experiment,
            out,
            evaluate=evaluate_model,
            calibrate=fit,
            resume=resume,
            overwrite=overwrite,
            display=Display(Console(stderr=True)),
        )
    except Interrupted as stop:
        print(f"{stop}\ngo on with: {_resume_command()}", file=sys.stderr)
        raise typer.Exit(128 + stop.signal_number) from None
    except KeyboardInterrupt:  # before the first step: there is nothing to save yet
        raise typer.Exit(130) from None
    except (ValueError, ImportError, OSError, DivergedError) as error:
        print(f"train: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    name = result.metrics["selected_by"]
    print(
        f"{out}: dev {name} {result.metrics['dev'][name]:.4f} at epoch {result.metrics['best_epoch']}, "
        f"{result.metrics['sentences_per_second']:,.0f} sentences/s, {result.metrics['wall_seconds']:.0f} s"
    )


def _source(path: str, format: str | None) -> dict[str, str]:
    """Return a source of the command line, whose path starts at the working directory whatever ``data.root`` says."""
    path = path if path.startswith("demo:") else str(Path(path).absolute())
    return {"path": path} if format is None else {"path": path, "format": format}


def _resume_command() -> str:
    """Return this command with ``--resume``, as a shell takes it."""
    # As it was typed: the console command rewrites sys.argv.
    words = [word for word in sys.orig_argv[1:] if word not in {"--overwrite", "--resume"}]
    return shell_command([*words, "--resume"])


if __name__ == "__main__":
    typer.run(main)
