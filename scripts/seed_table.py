"""The table of several seeds."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def seed_table(title: str, summary: Mapping[str, Any]) -> Table:
    """Show each metric's mean, standard deviation (divided by n - 1) and values.

    Args:
        title: What was trained.
        summary: As `simlstm.training.seeds.summarise` makes it.
    """
    dev = summary["dev"]
    what = "another part of it as dev for each seed" if dev.get("differs_by_seed") else f"{dev['pairs']:,} pairs"
    table = Table(title=f"{title}: {dev['name']}, {what}")
    table.add_column("metric")
    table.add_column("mean ± sd", justify="right")
    for seed in summary["runs"]:
        table.add_column(f"seed {seed}" if seed.isdecimal() else seed, justify="right")
    chosen = summary["selected_by"]
    for name, spread in summary["metrics"].items():
        marked = f"[bold]{name}[/bold]" if name == chosen else name
        table.add_row(marked, mean_and_deviation(spread), *(f"{value:.4f}" for value in spread["values"]))
    seconds = summary["wall_seconds"]
    table.add_row(
        "wall seconds", mean_and_deviation(seconds, digits=0), *(f"{value:,.0f}" for value in seconds["values"])
    )
    return table


def mean_and_deviation(spread: Mapping[str, Any], *, digits: int = 4) -> str:
    """Write ``0.8849 ± 0.0012``; the mean alone where there is one value."""
    mean = f"{spread['mean']:,.{digits}f}"
    return mean if spread["sd"] is None else f"{mean} ± {spread['sd']:,.{digits}f}"
