"""How a run begins, or goes on: the first process prepares it in the folder, and the others receive it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from simlstm.models.config import DROPOUTS, ModelConfig
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.build import Start, build_start, rebuild_model
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.distributed import Processes
from simlstm.training.folder import RunFolder
from simlstm.training.identity import describe_run, identity, refuse_differences, with_what_may_change
from simlstm.training.run_data import RunData
from simlstm.training.state import Progress

logger = logging.getLogger(__name__)

Rehearse = Callable[[Start], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a run begins.

    Attributes:
        start: Tokenizer and model; the model is on its device.
        description: What ``state/run.json`` says.
        saved: The place and the tensors to go on from, or None at the beginning.
    """

    start: Start
    description: Mapping[str, Any]
    saved: tuple[Progress, dict[str, Tensor]] | None


def open_run(
    config: TrainingConfig,
    folder: RunFolder,
    data: RunData,
    device: torch.device,
    *,
    resume: bool,
    rehearse: Rehearse,
    processes: Processes,
) -> Opening:
    """Begin a run in its folder, or load the one that was stopped there.

    Args:
        config: The experiment.
        folder: Of the run; checked before.
        data: As read by this process.
        device: Of the model.
        resume: Go on where there is something to go on with.
        rehearse: Tries the untrained model on dev, before anything is written.
        processes: Those of the run; all of them call this together.

    Raises:
        ConfigError: For a configuration that cannot be used or resumed.
        PeerError: When another process failed.
    """
    opened: list[Opening] = []

    def first() -> dict[str, Any]:
        opening = _open(config, folder, data, device, resume=resume, rehearse=rehearse, count=processes.count)
        opened.append(opening)
        if processes.alone:
            return {}
        return {
            "tokenizer": opening.start.tokenizer.to_json(),
            "description": opening.description,
            "progress": None if opening.saved is None else asdict(opening.saved[0]),
        }

    told = processes.lead(first)
    if opened:
        tensors = opened[0].start.model.state_dict() if opened[0].saved is None else opened[0].saved[1]
        if not processes.alone:
            processes.share_tensors(tensors)
        return opened[0]
    tensors = processes.share_tensors(None)
    return _received(told, tensors, config, data, device, processes)


def _received(
    told: Mapping[str, Any],
    tensors: dict[str, Tensor],
    config: TrainingConfig,
    data: RunData,
    device: torch.device,
    processes: Processes,
) -> Opening:
    """Build what the first process began, with a stream of random draws of this process's own."""
    description = told["description"]
    if description["data"] != identity(config, data)["data"]:
        raise ConfigError(
            f"[data]: the files of process {processes.rank} and of the first process differ (their hashes do)"
        )
    start = _start_from(description, told["tokenizer"], config, data)
    saved = None
    if told["progress"] is None:
        start.model.load_state_dict(tensors)
    else:
        saved = Progress(**told["progress"]), tensors
    start.model.to(device)
    torch.manual_seed(processes.seed_of_draws(config.training.seed))
    return Opening(start, description, saved)


def _open(
    config: TrainingConfig,
    folder: RunFolder,
    data: RunData,
    device: torch.device,
    *,
    resume: bool,
    rehearse: Rehearse,
    count: int,
) -> Opening:
    """Begin or load the run, on the first process."""
    description = folder.state.description() if resume else None
    saved = folder.state.load() if description is not None else None
    if description is None or saved is None:
        start = build_start(config, data)
        description = describe_run(config, data, start)
        start.model.to(device)
        rehearse(start)
        folder.clear(resume=resume)
        folder.state.begin(description, start.tokenizer.to_json())
        return Opening(start, description, None)
    refuse_differences(description, identity(config, data))
    start = _start_from(description, folder.state.tokenizer(), config, data)
    _refuse_another_count(saved[0].processes, count, start.config)
    start.model.to(device)
    adopted = with_what_may_change(description, config)
    if adopted["config"] != description["config"]:
        rehearse(start)
        description = adopted
        folder.state.begin(description, start.tokenizer.to_json())
    logger.info("resuming %s after step %d", folder.path, saved[0].step)
    return Opening(start, description, saved)


def _start_from(description: Mapping[str, Any], tokenizer: str, config: TrainingConfig, data: RunData) -> Start:
    """Rebuild tokenizer and model of a run that has begun; the weights are still to come."""
    model_config = ModelConfig.model_validate(description["model"])
    return Start(
        Tokenizer.from_json(tokenizer, segmenter=model_config.segmenter),
        model_config,
        rebuild_model(config, data, model_config),
        description["notes"],
    )


def _refuse_another_count(before: int, now: int, config: ModelConfig) -> None:
    """Refuse to go on with more or fewer processes where each has random draws of its own.

    Raises:
        ConfigError: Naming what draws.
    """
    draws = [name for name in DROPOUTS if getattr(config, name) > 0]
    if before != now and draws:
        raise ConfigError(
            f"cannot resume: the run was trained by {before} processes, and there are {now}; [model] "
            f"{', '.join(draws)} draws at random in each, so that another number would be another run; "
            f"resume with {before}"
        )
