"""The console command: ``simlstm train …`` runs what ``python scripts/train.py …`` runs."""

import sys
from collections.abc import Callable

import typer

COMMANDS = {
    "train": "train a checkpoint from pairs",
    "recipe": "run the steps behind a published number",
    "evaluate": "measure a checkpoint on a data set",
    "score": "add a similarity column to a file of pairs",
    "calibrate": "fit a checkpoint's probabilities again",
    "serve": "answer over HTTP",
    "openapi": "write the server's OpenAPI document",
    "benchmark": "measure speed against the stock layer, interleaved",
    "pack": "make a checkpoint small, measured and with a card",
    "teacher": "fine-tune a transformer on scored pairs, label pairs with a model",
    "mine": "find pairs worth labelling, or hard negatives",
    "open-data": "turn public downloads into the text files that recipes read",
}
EXTRAS = {"serve": "serve", "openapi": "serve"}  # every other command belongs to the extra "train"


def load(command: str) -> Callable[..., None]:
    """Import one command and nothing of the others: the serving image has no training dependencies."""
    match command:
        case "train":
            from scripts.train import main as train

            return train
        case "recipe":
            from scripts.recipe import main as recipe

            return recipe
        case "evaluate":
            from scripts.evaluate import main as evaluate

            return evaluate
        case "score":
            from scripts.score import main as score

            return score
        case "calibrate":
            from scripts.calibrate import main as calibrate

            return calibrate
        case "pack":
            from scripts.pack import main as pack

            return pack
        case "serve":
            from scripts.serve import main as serve

            return serve
        case "openapi":
            from scripts.openapi import main as openapi

            return openapi
        case "benchmark":
            from scripts.benchmark import main as benchmark

            return benchmark
        case "teacher":
            from scripts.teacher import main as teacher

            return teacher
        case "mine":
            from scripts.mine import main as mine

            return mine
        case "open-data":
            from scripts.open_data import main as open_data

            return open_data
        case _:
            raise ValueError(f"unknown command {command!r}; allowed: {', '.join(COMMANDS)}")


def app() -> None:
    """Run the command named by the first argument with the arguments that follow it."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in {"-h", "--help"}:
        print("Usage: simlstm COMMAND [OPTIONS]      (simlstm COMMAND --help says more)\n")
        print("\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items()))
        return
    command, *rest = arguments
    try:
        main = load(command)
    except ValueError as error:
        sys.exit(f"simlstm: {error}")
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(command, "train")
        sys.exit(f'simlstm {command}: the package {error.name!r} is missing; pip install "simlstm[{extra}]"')
    sys.argv = [f"simlstm {command}", *rest]
    typer.run(main)


if __name__ == "__main__":
    app()
