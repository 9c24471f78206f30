"""What a recipe came to: its steps with their seconds, and the spread of what the seeds measured."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from scripts.recipes.plan import Job
from scripts.seed_table import mean_and_deviation
from simlstm.training.counted import overlap_line
from simlstm.training.seeds import numbers, spread_of, summarise


def results_of(jobs: Sequence[Job]) -> dict[str, Any]:
    """Bring together what each step measured: training runs on dev, other commands in their ``metrics`` file.

    Args:
        jobs: All of a recipe, finished.

    Returns:
        By the name of the step: `summarise` of its runs, or ``metrics`` alone.
    """
    results: dict[str, Any] = {}
    for name in dict.fromkeys(job.step.name for job in jobs):
        own = [job for job in jobs if job.step.name == name]
        if own[0].step.config is not None:
            results[name] = summarise({"once" if job.seed is None else str(job.seed): job.out for job in own})
        elif own[0].metrics is not None:
            read = [json.loads(job.metrics.read_text(encoding="utf-8")) for job in own if job.metrics is not None]
            results[name] = {"metrics": spread_of(numbers(document["metrics"]) for document in read)}
    return results


def steps_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Show each command with its seconds."""
    table = Table(title="steps")
    for header in ("step", "seed", "wall seconds", "command"):
        table.add_column(header, justify="right" if header == "wall seconds" else "left", overflow="fold")
    for record in records:
        seed = "" if record["seed"] is None else str(record["seed"])
        table.add_row(record["step"], seed, f"{record['wall_seconds']:,.0f}", record["command"])
    table.add_row("all", "", f"{sum(record['wall_seconds'] for record in records):,.0f}", "")
    return table


def metrics_table(name: str, metrics: Mapping[str, Any]) -> Table:
    """Show mean and standard deviation of another command's metrics."""
    table = Table(title=name)
    table.add_column("metric")
    table.add_column("mean ± sd", justify="right")
    for metric, spread in metrics.items():
        table.add_row(metric, mean_and_deviation(spread))
    return table


def overlap_lines(results: Mapping[str, Any]) -> list[str]:
    """Say what the training data of each step share with dev and the files that were counted, from its first run."""
    lines = []
    for name, result in results.items():
        first: Mapping[str, Any] = next(iter(result.get("runs", {}).values()), {})
        for data, overlap in first.get("overlap", {}).items():
            lines.append(f"{name}: {overlap_line(data, overlap)}")
    return lines
