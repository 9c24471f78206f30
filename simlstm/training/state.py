"""The resumable state of a run: a folder of safetensors and JSON files that a crash never leaves half written."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

# The names that are written here, whole and half.
_OWN = re.compile(
    r"(run|tokenizer)\.json|\.(run|tokenizer)\.json\.partial|\.?(step-\d{8,}|best-\d{8,}\.safetensors)(\.partial)?"
)


@dataclass(slots=True)
class Progress:
    """Where a run stands; everything but tensors.

    Attributes:
        step: Optimizer steps done.
        epoch: Epoch of the next step.
        step_in_epoch: Steps of that epoch already done.
        best_value: Best dev metric so far, None before the first evaluation.
        best_step: The step after which it was measured.
        best_metrics: All dev metrics of that evaluation.
        kept: The best evaluations whose weights are kept for `training.averaged_checkpoints`: value by step.
        evaluations_since_best: Counter of early stopping.
        stopped: Whether the run ended early.
        sums: Sums of the losses since the last log line, by name.
        counts: Number of batches in each of those sums.
        sentences: Sentences trained on.
        train_seconds: Time spent in steps, over all sittings.
        wall_seconds: Time spent in the loop, over all sittings.
        log_bytes: Length of the JSONL log.
        processes: Number of processes that trained.
    """

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_value: float | None = None
    best_step: int | None = None
    best_metrics: dict[str, float] = field(default_factory=dict)
    kept: dict[str, float] = field(default_factory=dict)
    evaluations_since_best: int = 0
    stopped: bool = False
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    sentences: int = 0
    train_seconds: float = 0.0
    wall_seconds: float = 0.0
    log_bytes: int = 0
    processes: int = 1


class StateFolder:
    """``run.json`` and ``tokenizer.json`` written once; ``step-N/`` for the newest saving; ``best-N.safetensors``.

    ``best-00000000.safetensors`` are the initial weights of a run that keeps a share of them.

    A saving appears by renaming a complete folder, and the older one is removed only afterwards, so that at any moment
    the newest complete ``step-N`` and the ``best-M`` that it names are there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, description: Mapping[str, Any], tokenizer: str) -> None:
        """Write what stays the same for the whole run; ``run.json`` comes last and says that the rest is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("tokenizer.json", tokenizer), ("run.json", json.dumps(description, indent=2))):
            partial = self.folder / f".{name}.partial"
            partial.write_text(text, encoding="utf-8")
            _sync(partial)
            partial.replace(self.folder / name)
            _sync(self.folder)

    def description(self) -> dict[str, Any] | None:
        """Return what `begin` wrote, or None when no run has begun here."""
        try:
            text = (self.folder / "run.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        loaded: dict[str, Any] = json.loads(text)
        return loaded

    def tokenizer(self) -> str:
        """Return the run's tokenizer, as its JSON text."""
        return (self.folder / "tokenizer.json").read_text(encoding="utf-8")

    def save(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Save tensors and progress as the newest state, atomically; a step that is saved already is left alone."""
        final = self.folder / f"step-{progress.step:08d}"
        if final.exists():
            return
        partial = self.folder / f".{final.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        # Contiguous copies on the CPU: safetensors stores memory as it lies.
        safetensors.torch.save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            partial / "tensors.safetensors",
        )
        (partial / "progress.json").write_text(json.dumps(asdict(progress), indent=2), encoding="utf-8")
        for file in partial.iterdir():
            _sync(file)
        _sync(partial)
        partial.rename(final)
        _sync(self.folder)
        best = {0, progress.best_step or 0, *map(int, progress.kept)}
        self._remove_all_but("run.json", "tokenizer.json", final.name, *(self._best(step).name for step in best))

    def load(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """Return the newest saving, or None when there is none yet."""
        saved = sorted(self.folder.glob("step-*"))
        if not saved:
            return None
        progress = Progress(**json.loads((saved[-1] / "progress.json").read_text(encoding="utf-8")))
        return progress, safetensors.torch.load_file(saved[-1] / "tensors.safetensors")

    def save_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Save the best weights so far; the earlier best stays until a saving names this one."""
        final = self._best(step)
        partial = self.folder / f".{final.name}.partial"
        safetensors.torch.save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, partial
        )
        _sync(partial)
        partial.replace(final)
        _sync(self.folder)

    def load_best(self, step: int) -> dict[str, Tensor]:
        """Return the weights that `save_best` wrote after that step."""
        return safetensors.torch.load_file(self._best(step))

    def remove(self) -> None:
        """Remove the whole state; ``run.json`` goes first, so that half a folder is no state. Other files stay."""
        (self.folder / "run.json").unlink(missing_ok=True)
        if not self.folder.is_dir():
            return
        self._remove_all_but()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def strangers(self) -> list[str]:
        """Return the names of what lies in the folder and was not written here, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(entry.name for entry in self.folder.iterdir() if not _OWN.fullmatch(entry.name))

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.safetensors"

    def _remove_all_but(self, *names: str) -> None:
        """Remove older savings, and what an earlier crash left half written, but nothing that was not written here."""
        for entry in self.folder.iterdir():
            if entry.name in names or not _OWN.fullmatch(entry.name):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Ask the system to bring a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
