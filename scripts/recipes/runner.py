"""Run a recipe's commands, each once: what is finished is told by its record and by what it made."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from scripts.recipes.plan import Job, RecipeError
from simlstm.models.folder import METRICS
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import load_config
from simlstm.training.folder import RunFolder
from simlstm.training.provenance import shell_command
from simlstm.training.seeds import check_data_of, check_finished


class Records:
    """``steps/NAME.json`` in a recipe's folder: the command of each finished step, and how long it took."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "steps"

    def read(self, job: Job) -> dict[str, Any] | None:
        """Return the record of a job that is finished, or None.

        Raises:
            RecipeError: When what is there was made by another command or configuration.
        """
        try:
            record: dict[str, Any] = json.loads(self._file(job).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if record["fingerprint"] != job.fingerprint:
            raise RecipeError(
                f"step {job.name}: {job.out} was made by another command, configuration or earlier step "
                f"({record['command']}); choose another --out, or remove {self._file(job)} and {job.out}"
            )
        made = RunFolder(job.out).is_finished() if job.step.config is not None else _made(job)
        return record if made else None

    def write(self, job: Job, seconds: float) -> dict[str, Any]:
        """Record that a job is finished."""
        record = {
            "step": job.step.name,
            "seed": job.seed,
            "out": str(job.out),
            "command": command_of(job),
            "wall_seconds": seconds,
            "fingerprint": job.fingerprint,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{job.name}.partial"
        partial.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(self._file(job))
        return record

    def _file(self, job: Job) -> Path:
        return self._folder / f"{job.name}.json"


def command_of(job: Job) -> str:
    """Return the command as a person types it."""
    return shell_command(["simlstm", *job.words])


def run_job(job: Job, records: Records, *, threads: int | None = None) -> dict[str, Any]:
    """Run a job, go on with it, or find it finished; return its record.

    Args:
        job: Of the plan.
        records: Of the recipe.
        threads: CPU threads of a training run; no part of what makes it the same.

    Raises:
        RecipeError: When it fails, or when what is there was made by something else.
        Interrupted: As a SystemExit with the command's own code, after SIGINT or SIGTERM.
    """
    if (record := records.read(job)) is not None:
        if job.step.config is not None:
            check_data_of(job.out, _config(job))
        print(f"{job.name}: finished before, {record['wall_seconds']:,.0f} s", flush=True)
        return record
    is_training = job.step.config is not None
    if is_training and RunFolder(job.out).is_finished():
        check_finished(job.out, _config(job))
        return records.write(job, _trained_seconds(job.out))
    print(f"{job.name}: {command_of(job)}", flush=True)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    further = ["--threads", str(threads)] if is_training and threads is not None else []
    started = time.perf_counter()
    code = _call([*job.words, *further])
    if code in {130, 143} or code < 0:
        print(f"{job.name}: stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(code if code > 0 else 128 - code)
    if code != 0:
        raise RecipeError(f"step {job.name}: the command failed (exit {code}): {command_of(job)}")
    if not is_training and not _made(job):
        raise RecipeError(f"step {job.name}: the command ended well and did not make {job.out}: {command_of(job)}")
    seconds = time.perf_counter() - started
    # A run that was stopped and gone on with took longer than its last sitting.
    return records.write(job, max(seconds, _trained_seconds(job.out)) if is_training else seconds)


def _config(job: Job) -> TrainingConfig:
    """Return the configuration of a training run."""
    return load_config(job.step.config, overrides=job.settings, flags={"training.seed": job.seed})


def _made(job: Job) -> bool:
    """Tell whether what a command was to make is there; one that does not name its out need not make it."""
    return job.out.exists() or not any(str(job.out) in word for word in job.words)


def _trained_seconds(out: Path) -> float:
    return float(json.loads((out / METRICS).read_text(encoding="utf-8"))["wall_seconds"])


def _call(words: Sequence[str]) -> int:
    """Run a command of ours in a process of its own, which a signal reaches, too; return its exit code."""
    process = subprocess.Popen([sys.executable, "-m", "scripts", *words])

    def hand_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the terminal sent it to both; the command saves its state first
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
