"""Train a checkpoint from pairs with scores or labels."""

import json
import logging
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from scripts.seed_table import seed_table
from simlstm.evaluation.evaluate import calibrate_model, calibration_error, evaluate_model
from simlstm.evaluation.overlap import overlaps_by_name
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError, load_config, share_config
from simlstm.training.display import Display
from simlstm.training.distributed import ALONE, PeerError, Processes
from simlstm.training.folder import RunFolder
from simlstm.training.identity import saved_config
from simlstm.training.interruption import Interrupted
from simlstm.training.launch import join, leaving_in_time
from simlstm.training.loop import DivergedError
from simlstm.training.provenance import command_line, command_words, shell_command
from simlstm.training.run import TrainingResult, train
from simlstm.training.seeds import (
    SUMMARY,
    check_finished,
    check_seeds_folder,
    parse_seeds,
    seed_folder,
    summarise,
)


def main(
    out: Annotated[Path, typer.Option(help="Folder of the run; the checkpoint is written there at the end.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of the experiment.")] = None,
    train_files: Annotated[list[str] | None, typer.Option("--train", help="Training source; may be repeated.")] = None,
    dev: Annotated[str | None, typer.Option(help="Source that chooses the checkpoint and fits its threshold.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of --train and --dev; found out by default.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and dropout.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Several, such as 0,1,2: a run each in --out/seed-N.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; CUDA when there is one by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of one operation.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train a model, keep the best on dev, calibrate it, and write its checkpoint folder.

    Ctrl-C saves the state first; the same command with --resume goes on as if nothing had happened. Under torchrun,
    several processes train one model. --seeds goes on with what is there: a finished seed is not trained again.
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

    def experiment() -> TrainingConfig | None:
        """Return the configuration, or None where there is nothing to do."""
        if resume and not overwrite and folder.is_finished():  # asked first: the configuration may be left out
            folder.state.remove()  # a kill may have come right after the checkpoint
            return None
        nothing_given = not settings and all(value is None for value in flags.values())
        if resume and config is None and (nothing_given or folder.state.description() is not None):
            return saved_config(folder, overrides=settings or (), flags=flags)
        return load_config(config, overrides=settings or (), flags=flags)

    def one_of(seed: int, run: Path, processes: Processes) -> None:
        """Train one of several seeds, go on with it, or find it finished."""
        chosen = share_config(
            lambda: load_config(config, overrides=settings or (), flags={**flags, "training.seed": seed}), processes
        )
        assert chosen is not None  # noqa: S101 - share_config gives back what load_config gave
        if not overwrite and processes.lead(RunFolder(run).is_finished):
            processes.lead(lambda: check_finished(run, chosen))
        _train(chosen, run, not overwrite, overwrite, processes)

    processes = ALONE
    try:
        with join() as processes, leaving_in_time(processes):
            if not processes.leads:
                logging.getLogger().setLevel(logging.ERROR)
            if seeds is not None:
                if seed is not None:
                    raise ConfigError("--seed and --seeds: give one of them")
                wanted = parse_seeds(seeds)
                processes.lead(lambda: check_seeds_folder(out))
                for number in wanted:
                    one_of(number, seed_folder(out, number), processes)
            else:
                chosen = share_config(experiment, processes)
                result = None if chosen is None else _train(chosen, out, resume, overwrite, processes)
    except Interrupted as stop:
        if processes.leads:
            print(f"{stop}\ngo on with: {_resume_command()}", file=sys.stderr)
        raise typer.Exit(128 + stop.signal_number) from None
    except KeyboardInterrupt:  # before the first step: there is nothing to save yet
        raise typer.Exit(130) from None
    except (ValueError, ImportError, OSError, DivergedError, PeerError) as error:
        print(f"train: {error}" if processes.alone else f"train, process {processes.rank}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if not processes.leads:
        return
    if seeds is not None:
        summary = summarise({str(number): seed_folder(out, number) for number in wanted})
        document = {"command": command_line(), **summary}
        (out / SUMMARY).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        Console().print(seed_table(str(out), summary))
    elif result is None:
        print(f"{out} is a finished run; nothing to do")
    else:
        name = result.metrics["selected_by"]
        print(
            f"{out}: dev {name} {result.metrics['dev'][name]:.4f} at epoch {result.metrics['best_epoch']}, "
            f"{result.metrics['sentences_per_second']:,.0f} sentences/s, {result.metrics['wall_seconds']:.0f} s"
        )


def _train(
    experiment: TrainingConfig, out: Path, resume: bool, overwrite: bool, processes: Processes
) -> TrainingResult:
    """Train with the package's own evaluation and calibration."""
    fit = error = None
    settings = experiment.calibration
    if settings.method != "none":
        fit = partial(calibrate_model, **settings.model_dump())
        error = partial(calibration_error, **settings.model_dump())
    return train(
        experiment,
        out,
        evaluate=evaluate_model,
        calibrate=fit,
        calibration_error=error,
        count_overlap=overlaps_by_name,
        resume=resume,
        overwrite=overwrite,
        display=Display(Console(stderr=True)),
        processes=processes,
    )


def _source(path: str, format: str | None) -> dict[str, str]:
    """Return a source of the command line, whose path starts at the working directory whatever ``data.root`` says."""
    path = path if path.startswith("demo:") else str(Path(path).absolute())
    return {"path": path} if format is None else {"path": path, "format": format}


def _resume_command() -> str:
    """Return this command with ``--resume``, as a shell takes it."""
    words = [word for word in command_words() if word not in {"--overwrite", "--resume"}]
    return shell_command([*words, "--resume"])


if __name__ == "__main__":
    typer.run(main)
