"""The command of the benchmarks, run in this process, and the arguments of a small layer on a GPU."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from scripts.benchmark import main

ROOT = Path(__file__).parents[2]
LAYER = ["rnn", "--device", "cuda", "--hidden", "8", "--batch", "3", "--mean-length", "3", "--turns", "2"]
LAYER += ["--peak-size", "32", "--layers", "1"]


def run(*arguments: str):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, list(arguments))
