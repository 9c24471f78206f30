"""The table of ablations in docs/train.md: each lever on and off, generated from a file of results."""

import statistics
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scripts.benchmarking.markdown import table
from scripts.benchmarking.page import filled_section


class Ablation(BaseModel):
    """One experiment, with several seeds.

    Attributes:
        lever: What is switched, for people.
        change: How: the settings that differ from the base's.
        values: The metric of each seed.
        wall_seconds: Of each seed.
        command: That makes it.
        summary: A ``summary.json`` of ``simlstm train --seeds``, which fills in values, seconds and command.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lever: str
    change: str = ""
    values: list[float] = []
    wall_seconds: list[float] = []
    command: str | None = None
    summary: str | None = None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if not self.values and self.summary is None:
            raise ValueError(f"{self.lever}: give values, or summary, the summary.json of its runs")
        return self


class _Values(BaseModel):
    values: Annotated[list[float], Field(min_length=1)]


class _Summary(BaseModel):
    """What is taken from a ``summary.json``."""

    metrics: dict[str, _Values]
    wall_seconds: _Values
    command: str | None = None


class Ablations(BaseModel):
    """A file of ablations.

    Attributes:
        data: What is measured on, for people.
        metric: Which metric of it.
        base: What every row is compared with.
        rows: The experiments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    metric: str
    base: Ablation
    rows: Annotated[list[Ablation], Field(min_length=1)]


def read_ablations(file: Path) -> Ablations:
    """Read a file of ablations, and fill in what it names summaries for.

    Raises:
        ValueError: when it is none, or a summary is none or lacks the metric.
    """
    try:
        ablations = Ablations.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file}: {_reasons(error)}") from error
    return ablations.model_copy(
        update={
            "base": _filled(ablations.base, ablations.metric),
            "rows": [_filled(row, ablations.metric) for row in ablations.rows],
        }
    )


def ablation_table(ablations: Ablations) -> str:
    """Write the table; a difference is the mean of the row less that of the base."""
    base = ablations.base
    header = ["Lever", "Change", f"{ablations.data}, {ablations.metric}", "Against the first row", "Minutes a seed"]
    rows = [[base.lever, _code(base.change), _spread(base), "", _minutes(base)]]
    for row in ablations.rows:
        difference = statistics.fmean(row.values) - statistics.fmean(base.values)
        shown = f"{difference:+.4f}".replace("-", "−")
        rows.append([row.lever, _code(row.change), _spread(row), shown, _minutes(row)])
    counts = sorted({len(row.values) for row in (base, *ablations.rows)})
    seeds = "one seed" if counts == [1] else f"{' or '.join(map(str, counts))} seeds, mean ± sd"
    return f"{table(header, rows)}\n\n{seeds[0].upper()}{seeds[1:]}."


def write_ablations(file: Path, page: Path) -> list[Path]:
    """Fill the section of a page that is named after a file of ablations; keep in the file what summaries said.

    Returns:
        The files written.

    Raises:
        ValueError: see ``read_ablations``; and when the page has no such section.
    """
    ablations = read_ablations(file)
    text = filled_section(page.read_text(encoding="utf-8"), file.stem, ablation_table(ablations))
    file.write_text(ablations.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    return [file, page]


def _filled(row: Ablation, metric: str) -> Ablation:
    """Take over what a summary says; where it is gone, what the file kept of it counts."""
    if row.summary is None or (row.values and not Path(row.summary).exists()):
        return row
    try:
        summary = _Summary.model_validate_json(Path(row.summary).read_bytes())
    except ValidationError as error:
        raise ValueError(f"{row.summary}: no summary.json of simlstm train --seeds: {_reasons(error)}") from error
    if metric not in summary.metrics:
        raise ValueError(f"{row.summary}: has no {metric}; it has {', '.join(summary.metrics)}")
    return row.model_copy(
        update={
            "values": summary.metrics[metric].values,
            "wall_seconds": summary.wall_seconds.values,
            "command": summary.command,
        }
    )


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        ": ".join([*([".".join(map(str, item["loc"]))] if item["loc"] else []), item["msg"]]) for item in error.errors()
    )


def _spread(row: Ablation) -> str:
    mean = f"{statistics.fmean(row.values):.4f}"
    return mean if len(row.values) == 1 else f"{mean} ± {statistics.stdev(row.values):.4f}"


def _minutes(row: Ablation) -> str:
    return f"{statistics.fmean(row.wall_seconds) / 60:.1f}" if row.wall_seconds else "–"


def _code(change: str) -> str:
    return f"`{change}`" if change else ""
