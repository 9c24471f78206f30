"""Run the steps behind a published number, in order; what is finished is reused."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scripts.recipes.plan import plan, read_recipe
from scripts.recipes.report import metrics_table, overlap_lines, results_of, steps_table
from scripts.recipes.runner import Records, command_of, run_job
from scripts.seed_table import seed_table
from simlstm.training.provenance import code_commit, command_line
from simlstm.training.seeds import SUMMARY, parse_seeds


def main(
    file: Annotated[Path, typer.Argument(help="TOML file of the recipe, such as configs/recipes/stsb.toml.")],
    out: Annotated[Path | None, typer.Option(help="Folder of all that it makes; runs/NAME by default.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Such as 0,1,2; the recipe's own by default.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder of the data sets, instead of the recipe's.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="section.key=value of each training run.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each training run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, and run none.")] = False,
) -> None:
    """Run a recipe's steps; after Ctrl-C or a crash, the same command goes on.

    Ends with mean and standard deviation over the seeds, the seconds of each step, and what training shares with dev;
    the same is written to OUT/summary.json.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        recipe = read_recipe(file)
        root = out or Path(recipe.out or f"runs/{file.stem}")
        wanted = list(recipe.seeds) if seeds is None else parse_seeds(seeds)
        jobs = plan(recipe, root, seeds=wanted, data=data, settings=settings or ())
        records = Records(root)
        if dry_run:
            for job in jobs:
                print(f"{command_of(job)}{'   # finished' if records.read(job) else ''}")
            return
        done = [run_job(job, records, threads=threads) for job in jobs]
        results = results_of(jobs)
    except (ValueError, OSError) as error:
        print(f"recipe: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    summary = {
        "recipe": str(file),
        "about": recipe.about,
        "command": command_line(),
        "commit": code_commit(),
        "seeds": wanted,
        "wall_seconds": sum(record["wall_seconds"] for record in done),
        "steps": [{key: value for key, value in record.items() if key != "fingerprint"} for record in done],
        "results": results,
    }
    (root / SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console = Console()
    console.print(steps_table(done))
    for name, result in results.items():
        console.print(seed_table(name, result) if "runs" in result else metrics_table(name, result["metrics"]))
    print("\n".join(overlap_lines(results)))


if __name__ == "__main__":
    typer.run(main)
