"""Learning curves: what dev says against the seconds of training, from the logs of runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from scripts.benchmarking.colours import SERIES
from scripts.benchmarking.plots import saved_plot

_LOG = "metrics.jsonl"
_USUAL_METRICS = ("spearman", "roc_auc")


class Curve(BaseModel):
    """One run.

    Attributes:
        name: The folder that was asked for; its seeds share it.
        run: The folder of the run.
        seconds: Time in training steps at each evaluation, over all sittings; without evaluations and savings.
        values: The dev metric there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    run: str
    seconds: list[float]
    values: list[float]


class LearningCurves(BaseModel):
    """What the plot shows, and what is written beside it.

    Attributes:
        metric: Of dev.
        curves: One for each run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    curves: Annotated[list[Curve], Field(min_length=1)]


def read_curves(folders: Sequence[Path], *, metric: str | None = None) -> LearningCurves:
    """Read the logs of runs, finished or not.

    Args:
        folders: Each a run's, or that of several seeds (``seed-N`` in it).
        metric: Of dev; absent, Spearman or ROC AUC, whichever the first run has.

    Raises:
        ValueError: For a folder without a log, a log without seconds, a metric that was not measured, or a damaged
            line; a last line that a crash cut short is passed over.
    """
    curves = []
    for folder in folders:
        runs = [folder] if (folder / _LOG).exists() else sorted(folder.glob(f"seed-*/{_LOG}"), key=_seed)
        if not runs:
            raise ValueError(f"{folder}: no {_LOG} in it or in its folders seed-N; allowed: folders of training runs")
        for run in runs:
            log = run / _LOG if run == folder else run
            points = [line for line in _events(log) if line["event"] == "dev"]
            if not points:
                raise ValueError(f"{log}: no evaluation in it yet")
            metric = metric or next((name for name in _USUAL_METRICS if name in points[0]), None)
            for name in (metric, "train_seconds"):
                if name not in points[0]:
                    raise ValueError(f"{log}: has no {name}; its evaluations have {', '.join(points[0])}")
            curves.append(
                Curve(
                    name=folder.as_posix(),
                    run=log.parent.as_posix(),
                    seconds=[point["train_seconds"] for point in points],
                    values=[point[str(metric)] for point in points],
                )
            )
    if not curves:
        raise ValueError("--runs: none came; allowed: folders of training runs")
    return LearningCurves(metric=str(metric), curves=curves)


def write_learning(curves: LearningCurves, target: Path) -> list[Path]:
    """Draw the curves as SVG, and write their points beside it as JSON.

    Returns:
        The files written.

    Raises:
        MissingPackageError: when matplotlib is not installed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with saved_plot(target) as axes:
        draw_learning(axes, curves)
    points = target.with_suffix(".json")
    points.write_text(curves.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return [target, points]


def draw_learning(axes: Any, curves: LearningCurves) -> None:
    """Draw a line for each run; the seeds of one folder have one colour and one entry in the legend."""
    names = list(dict.fromkeys(curve.name for curve in curves.curves))
    labelled: set[str] = set()
    for curve in curves.curves:
        place = names.index(curve.name)
        axes.plot(
            curve.seconds,
            curve.values,
            marker="o",
            markersize=3,
            color=SERIES[place % len(SERIES)],
            linestyle=("-", "--", ":")[place // len(SERIES) % 3],
            label="_nolegend_" if curve.name in labelled else curve.name,
        )
        labelled.add(curve.name)
    axes.set(xlabel="seconds of training steps", ylabel=f"dev {curves.metric}")
    axes.set_xlim(left=0)


def _events(log: Path) -> list[dict[str, Any]]:
    events = []
    *lines, last = log.read_bytes().split(b"\n")
    for number, line in enumerate([*lines, last], 1):
        try:
            event = json.loads(line) if line else None
        except ValueError:
            if number > len(lines):
                break
            event = None
        if isinstance(event, dict) and "event" in event:
            events.append(event)
        elif number <= len(lines):
            raise ValueError(f"{log}:{number}: {line[:40]!r} came; allowed: a JSON object with an event")
    return events


def _seed(log: Path) -> int:
    number = log.parent.name.removeprefix("seed-")
    return int(number) if number.isdecimal() else -1
