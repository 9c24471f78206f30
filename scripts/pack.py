"""Make a small checkpoint of a trained one, measured and with a model card."""

import logging
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from simlstm.data.formats import read_pairs
from simlstm.data.pairs import PairData
from simlstm.evaluation.packing import pack_checkpoint
from simlstm.models.card_facts import CardFacts
from simlstm.models.similarity import SimilarityModel
from simlstm.models.storage import Storage
from simlstm.training.provenance import command_line


def main(
    model: Annotated[str, typer.Option(help="Checkpoint folder of a training run.")],
    out: Annotated[Path, typer.Option(help="Folder of the packed checkpoint.")],
    storage: Annotated[Storage, typer.Option(help="What the weights are rounded to on disk.")] = "int8",
    name: Annotated[str | None, typer.Option(help="What the card calls it. Default: the folder's name.")] = None,
    card: Annotated[Path | None, typer.Option(help="TOML file with the card's facts: see docs/pack.md.")] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE[:FORMAT]: measure the packed weights on it; repeat.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Round a checkpoint's weights, measure what remains, and write a card that says both."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        facts = None if card is None else _read_facts(card, name=name, default=out.resolve().name)
        if card is None and name is not None and name != out.resolve().name:
            raise ValueError(f"--name {name!r} came without --card; a card without facts is named after the folder")
        loaded = SimilarityModel.from_pretrained(model, device="cpu")
        packed = pack_checkpoint(
            loaded,
            out,
            storage=storage,
            measured_on=_read_measured(measure or []),
            facts=facts,
            command=command_line(),
        )
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"pack: {error}", file=sys.stderr)
        raise typer.Exit(1) from None

    table = Table("data", "metric", "value", title=f"{out}, measured as it is on disk")
    for data, metrics in packed.metrics.items():
        for metric, value in metrics.items():
            table.add_row(data, metric, f"{value:.4f}" if isinstance(value, float) else str(value))
    Console().print(table)
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    print(f"{out}: {size:,} bytes, storage {storage}, fingerprint {packed.fingerprint}")


def _read_facts(path: Path, *, name: str | None, default: str) -> CardFacts:
    """Read the facts of a card; a name on the command line goes before the one in the file."""
    try:
        facts = {"name": default} | tomllib.loads(path.read_text(encoding="utf-8"))
        return CardFacts.model_validate(facts if name is None else facts | {"name": name})
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"{path}: {reasons}") from error
    except ValueError as error:  # TOMLDecodeError, and UnicodeDecodeError
        raise ValueError(f"{path}: {error}") from error


def _read_measured(arguments: Sequence[str]) -> dict[str, PairData]:
    """Read what is measured on, each under a name of its own."""
    data: dict[str, PairData] = {}
    for name, pairs in map(_read_data, arguments):
        if name in data:
            raise ValueError(f"--measure: the name {name!r} came twice; allowed: a name of its own for each file")
        data[name] = pairs
    return data


def _read_data(argument: str) -> tuple[str, PairData]:
    """Read what NAME=FILE[:FORMAT] names; the parts of the demo corpus have colons of their own."""
    name, equals, source = argument.partition("=")
    if not (name and equals and source):
        raise ValueError(f"--measure: {argument!r} came; allowed: NAME=FILE or NAME=FILE:FORMAT")
    if source.startswith("demo:") or ":" not in source:
        return name, read_pairs(source)
    file, _, format = source.rpartition(":")
    return name, read_pairs(file, format=format)


if __name__ == "__main__":
    typer.run(main)
