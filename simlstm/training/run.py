"""A whole training run: from a configuration to a checkpoint folder."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from simlstm.models.device import usable_device
from simlstm.models.similarity import SimilarityModel
from simlstm.training.build import Start, build_corpus
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.counted import CountOverlap, overlap_of
from simlstm.training.display import Display
from simlstm.training.distillation import DistillationLoss, check_width, open_teacher, teachers_vectors
from simlstm.training.distributed import ALONE, Processes
from simlstm.training.finish import Calibrate, CalibrationError, Evaluate, finish_run
from simlstm.training.folder import RunFolder
from simlstm.training.joint import build_tasks, served
from simlstm.training.journal import Journal
from simlstm.training.launch import device_name
from simlstm.training.loop import Trainer
from simlstm.training.opening import open_run
from simlstm.training.precision import check_precision, float32_products
from simlstm.training.run_data import RunData, read_run_data
from simlstm.training.state import Progress


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
    calibration_error: CalibrationError | None = None,
    count_overlap: CountOverlap | None = None,
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
        calibration_error: Measures at the end how far probabilities are off; None leaves it out.
        count_overlap: Counts what dev and the files of ``data.count_overlap`` share with the training data, by name;
            None leaves it out.
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
    teacher = None if config.distillation.teacher is None else open_teacher(config)
    overlap = {} if count_overlap is None else processes.lead(lambda: overlap_of(config, data, count_overlap))

    def rehearse(start: Start) -> None:
        build_tasks(config, head=start.config.head, kinds=data.kinds)
        if teacher is not None:
            check_width(config.distillation, student=start.model.encoder.output_size, teacher=teacher.width())
        _rehearse(config, data, start, evaluate, calibrate)

    with float32_products(config.training.precision):
        opening = open_run(config, folder, data, device, resume=resume, rehearse=rehearse, processes=processes)
        start, saved = opening.start, opening.saved
        vectors = [] if teacher is None else teachers_vectors(teacher, data.sentences, processes)
        corpus = build_corpus(config, data, start, vectors)
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
                distillation=None if teacher is None else DistillationLoss(config.distillation),
                display=display if display is not None and processes.leads else Display(),
            )
            if saved is None:
                if config.training.initial_share:
                    processes.lead(lambda: folder.state.save_best(0, trainer.result.state_dict()))
                trainer.save()
            else:
                trainer.resume(*saved)
            trainer.run()

        def finish() -> dict[str, Any]:
            metrics = finish_run(
                folder,
                trainer,
                start,
                data.dev,
                opening.description,
                evaluate=evaluate,
                calibrate=calibrate,
                calibration_error=calibration_error,
                overlap=overlap,
            )
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
    if data.dev.kind == "binary":
        return "roc_auc"
    # Without labels nothing but the vectors was taught.
    learns_from_teacher_alone = data.sentences and all(kind == "positive" for kind in data.kinds)
    return "cosine_spearman" if learns_from_teacher_alone else "spearman"


def _device(config: TrainingConfig) -> torch.device:
    try:
        device = usable_device(device_name(config.training.device))
        check_precision(config.training.precision, device)
    except ValueError as error:
        raise ConfigError(f"[training] {error}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what is launched without naming a device goes there, too
    return device
