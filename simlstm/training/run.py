"""A whole training run: from a configuration to a checkpoint folder."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from simlstm.data.pairs import PairData
from simlstm.models.calibration import Calibration
from simlstm.models.config import ModelConfig
from simlstm.models.device import usable_device
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.build import Start, build_corpus, build_start, rebuild_model
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.display import Display
from simlstm.training.folder import RunFolder
from simlstm.training.identity import describe_run, identity, refuse_differences, with_calibration
from simlstm.training.journal import Journal
from simlstm.training.loop import Trainer
from simlstm.training.objective import Objective
from simlstm.training.provenance import command_line, describe_data, describe_software
from simlstm.training.run_data import RunData, read_run_data

logger = logging.getLogger(__name__)

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

    Raises:
        ConfigError: For a configuration that cannot be used, or differs from the one being resumed.
        RunFolderError: For a folder that holds something and is neither resumed nor overwritten.
        Interrupted: After SIGINT or SIGTERM, with the state saved.
        DivergedError: When a loss is no longer finite.
    """
    folder = RunFolder(Path(out))
    folder.check(resume=resume, overwrite=overwrite)
    if resume and folder.is_finished():
        folder.state.remove()
        return TrainingResult(folder.path, {}, was_finished=True)
    if config.training.threads is not None:
        torch.set_num_threads(config.training.threads)
    device = _device(config)
    data = read_run_data(config)
    description = folder.state.description() if resume else None
    saved = folder.state.load() if description is not None else None
    if description is None or saved is None:
        start = build_start(config, data)
        description = describe_run(config, data, start)
        objective = _objective(config, data, start.config)
        model = start.model.to(device)
        _rehearse(config, data, start, evaluate, calibrate)
        folder.clear(resume=resume)
        folder.state.begin(description, start.tokenizer.to_json())
    else:
        refuse_differences(description, identity(config, data))
        model_config = ModelConfig.model_validate(description["model"])
        tokenizer = Tokenizer.from_json(folder.state.tokenizer(), segmenter=model_config.segmenter)
        start = Start(tokenizer, model_config, rebuild_model(config, model_config), description["notes"])
        objective = _objective(config, data, start.config)
        model = start.model.to(device)
        adopted = with_calibration(description, config)
        if adopted["config"] != description["config"]:
            _rehearse(config, data, start, evaluate, calibrate)
            description = adopted
            folder.state.begin(description, tokenizer.to_json())
        logger.info("resuming %s after step %d", folder.path, saved[0].step)

    corpus = build_corpus(config, data, start)
    with Journal(
        folder.path,
        tensorboard=config.training.tensorboard,
        keep_bytes=saved[0].log_bytes if saved else 0,
        step=saved[0].step if saved else 0,
    ) as journal:
        trainer = Trainer(
            config,
            model=model,
            corpus=corpus,
            objective=objective,
            measure=lambda trained: evaluate(SimilarityModel(trained, start.tokenizer, config=start.config), data.dev),
            metric=_metric(config, data),
            state=folder.state,
            journal=journal,
            display=display or Display(),
        )
        if saved is None:
            trainer.save()
        else:
            trainer.resume(*saved)
        trainer.run()
    result = _finish(folder, trainer, start, data, description, evaluate, calibrate)
    folder.state.remove()
    return result


def _finish(
    folder: RunFolder,
    trainer: Trainer,
    start: Start,
    data: RunData,
    description: Mapping[str, Any],
    evaluate: Evaluate,
    calibrate: Calibrate | None,
) -> TrainingResult:
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
    }
    model.save_pretrained(folder.path)
    return TrainingResult(folder.path, metrics)


def _rehearse(
    config: TrainingConfig, data: RunData, start: Start, evaluate: Evaluate, calibrate: Calibrate | None
) -> None:
    """Measure and calibrate the untrained model, so that settings which dev does not allow fail before the first step.

    The random generators stay where they are.

    Raises:
        ConfigError: For a metric that dev does not have, or a calibration that cannot be fitted on it.
    """
    device = start.model.encoder.embedding.weight.device
    model = SimilarityModel(start.model, start.tokenizer, config=start.config)
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


def _objective(config: TrainingConfig, data: RunData, model: ModelConfig) -> Objective:
    return Objective(config.loss, head=model.head, kinds=[source.kind for source in data.train])


def _metric(config: TrainingConfig, data: RunData) -> str:
    """Return the dev metric that decides."""
    if config.training.metric != "auto":
        return config.training.metric
    return "spearman" if data.dev.kind == "graded" else "roc_auc"


def _device(config: TrainingConfig) -> torch.device:
    try:
        return usable_device(config.training.device)
    except ValueError as error:
        raise ConfigError(f"[training] {error}") from error
