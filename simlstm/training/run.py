"""A whole training run: from a configuration to a checkpoint folder."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from simlstm.data.pairs import PairData
from simlstm.models.calibration import Calibration
from simlstm.models.device import usable_device
from simlstm.models.similarity import SimilarityModel
from simlstm.training.build import Start, build_corpus
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.display import Display
from simlstm.training.distributed import ALONE, Processes
from simlstm.training.folder import RunFolder
from simlstm.training.joint import build_tasks, served
from simlstm.training.journal import Journal
from simlstm.training.launch import device_name
from simlstm.training.loop import Trainer
from simlstm.training.opening import open_run
from simlstm.training.precision import check_precision, float32_products
from simlstm.training.provenance import command_line, describe_data, describe_software
from simlstm.training.run_data import RunData, read_run_data
from simlstm.training.state import Progress

Evaluate = Callable[[SimilarityModel, PairData], Mapping[str, float]]
Calibrate = Callable[[SimilarityModel, PairData], Calibration]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run ended in.

    Attributes:
        folder: The checkpoint.
        metrics: What ``metrics.json`` says; empty when the run had been finished before.
        was_finished: Whether there was nothing left to do.
    """

    folder: Path
    metrics: dict[str, Any]
    was_finished: bool = False


def train(
    config: TrainingConfig,
    out: str | Path,
    *,
    evaluate: Evaluate,
    calibrate: Calibrate | None = None,
    resume: bool = False,
    overwrite: bool = False,
    display: Display | None = None,
    processes: Processes = ALONE,
) -> TrainingResult:
    """Train a model and write its checkpoint folder.

    Args:
        config: The experiment.
        out: The folder: the checkpoint at the end, ``metrics.jsonl``, ``tensorboard/``, and ``state/`` until then.
        evaluate: Measures a model on dev; higher is better, but for errors.
        calibrate: Fits probabilities and a threshold on dev at the end; None leaves them out.
        resume: Go on where a run with the same configuration and data was stopped; start when there is none.
        overwrite: Replace what an earlier run left in the folder.
        display: What a person sees; log lines by default.
        processes: Those that train together, all of which call this; see `simlstm.training.launch.join`.

    Raises:
        ConfigError: For a configuration that cannot be used, or differs from the one being resumed.
        RunFolderError: For a folder that holds something and is neither resumed nor overwritten.
        Interrupted: After SIGINT or SIGTERM, with the state saved.
        DivergedError: When a loss is no longer finite.
        PeerError: When another process of the run failed, or is gone.
    """
    folder = RunFolder(Path(out))
    processes.lead(lambda: folder.check(resume=resume, overwrite=overwrite))
    if processes.lead(lambda: resume and folder.is_finished()):
        processes.lead(folder.state.remove)
        return TrainingResult(folder.path, {}, was_finished=True)
    if config.training.threads is not None:
        torch.set_num_threads(config.training.threads)
    device = _device(config)
    data = read_run_data(config)

    def rehearse(start: Start) -> None:
        build_tasks(config, head=start.config.head, kinds=data.kinds)
        _rehearse(config, data, start, evaluate, calibrate)

    with float32_products(config.training.precision):
        opening = open_run(config, folder, data, device, resume=resume, rehearse=rehearse, processes=processes)
        start, saved = opening.start, opening.saved
        corpus = build_corpus(config, data, start)
        with _journal(folder, config, saved[0] if saved else Progress(), processes) as journal:
            trainer = Trainer(
                config,
                model=start.model,
                corpus=corpus,
                tasks=build_tasks(config, head=start.config.head, kinds=data.kinds),
                measure=lambda model: evaluate(SimilarityModel(model, start.tokenizer, config=start.config), data.dev),
                metric=_metric(config, data),
                state=folder.state,
                journal=journal,
                processes=processes,
                display=display if display is not None and processes.leads else Display(),
            )
            if saved is None:
                trainer.save()
            else:
                trainer.resume(*saved)
            trainer.run()

        def finish() -> dict[str, Any]:
            metrics = _finish(folder, trainer, start, data, opening.description, evaluate, calibrate)
            folder.state.remove()
            return metrics

        return TrainingResult(folder.path, processes.lead(finish))


def _journal(
    folder: RunFolder, config: TrainingConfig, progress: Progress, processes: Processes
) -> AbstractContextManager[Journal | None]:
    """Open the record of the run where it stands; only the first process keeps one."""
    if not processes.leads:
        return nullcontext()
    return Journal(
        folder.path, tensorboard=config.training.tensorboard, keep_bytes=progress.log_bytes, step=progress.step
    )


def _finish(
    folder: RunFolder,
    trainer: Trainer,
    start: Start,
    data: RunData,
    description: Mapping[str, Any],
    evaluate: Evaluate,
    calibrate: Calibrate | None,
) -> dict[str, Any]:
    """Load the best weights, measure and calibrate them on dev, and write the checkpoint."""
    progress = trainer.progress
    if progress.best_step is None:
        raise RuntimeError("a run ends with an evaluation, so there is a best step")
    trainer.result.load_state_dict(folder.state.load_best(progress.best_step))
    model = SimilarityModel(trainer.result, start.tokenizer, config=start.config, name=folder.path.resolve().name)
    # Measured before there is a threshold: at one fitted on dev, dev would flatter.
    measured = dict(evaluate(model, data.dev))
    dev = describe_data([data.dev])[0]
    metrics: dict[str, Any] = {
        "dev": {**dev, **measured},
        "selected_by": trainer.metric,
        "best_step": progress.best_step,
        "best_epoch": (progress.best_step - 1) // trainer.steps_per_epoch + 1,
        "steps": progress.step,
        "stopped_early": progress.stopped,
        "sentences": progress.sentences,
        "sentences_per_second": trainer.sentences_per_second(),
        "train_seconds": progress.train_seconds,
        "wall_seconds": progress.wall_seconds,
    }
    if calibrate is not None:
        model.calibration = calibrate(model, data.dev)
        metrics["calibration_and_threshold_fitted_on"] = model.calibration.fitted_on.model_dump()
    model.metrics = metrics
    model.provenance = {
        "command": command_line(),
        "seed": trainer.config.training.seed,
        "data": description["data"],
        "config": description["config"],
        "notes": start.notes,
        **describe_software(trainer.device),
        "processes": trainer.processes.count,
    }
    model.save_pretrained(folder.path)
    return metrics


def _rehearse(
    config: TrainingConfig, data: RunData, start: Start, evaluate: Evaluate, calibrate: Calibrate | None
) -> None:
    """Measure and calibrate the untrained model, so that settings which dev does not allow fail before the first step.

    The random generators stay where they are.

    Raises:
        ConfigError: For a metric that dev does not have, or a calibration that cannot be fitted on it.
    """
    device = start.model.encoder.embedding.weight.device
    model = SimilarityModel(served(start.model), start.tokenizer, config=start.config)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        measured = evaluate(model, data.dev)
        metric = _metric(config, data)
        if metric not in measured:
            raise ConfigError(f"[training] metric: got {metric!r}; measured on dev: {', '.join(sorted(measured))}")
        if calibrate is not None:
            try:
                calibrate(model, data.dev)
            except ValueError as error:
                raise ConfigError(f"[calibration] on dev ({data.dev.name}): {error}") from error


def _metric(config: TrainingConfig, data: RunData) -> str:
    """Return the dev metric that decides."""
    if config.training.metric != "auto":
        return config.training.metric
    return "spearman" if data.dev.kind == "graded" else "roc_auc"


def _device(config: TrainingConfig) -> torch.device:
    try:
        device = usable_device(device_name(config.training.device))
        check_precision(config.training.precision, device)
    except ValueError as error:
        raise ConfigError(f"[training] {error}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what is launched without naming a device goes there, too
    return device
