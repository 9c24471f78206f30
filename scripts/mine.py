"""Find pairs worth labelling, or hard negatives, among sentences."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from scripts.teaching.mine_command import mine_candidates, mine_negatives
from scripts.teaching.outputs import check_target
from simlstm.models.shipped import checkpoint_folder
from simlstm.training.provenance import command_line
from simlstm.training.teachers import TeacherCache


def main(
    model: Annotated[
        str, typer.Option(help="Folder of a sentence encoder or a checkpoint, or the name of a shipped one.")
    ],
    sources: Annotated[list[str], typer.Option("--input", help="Pairs, or one sentence a line; may be repeated.")],
    out: Annotated[Path, typer.Option(help="File that must not exist; the extension says how it is written.")],
    format: Annotated[str, typer.Option(help="Format of all files of pairs.")] = "auto",
    neighbours: Annotated[int, typer.Option(min=0, help="Nearest ones of each sentence.")] = 5,
    random: Annotated[int, typer.Option(min=0, help="Random pairs besides.")] = 0,
    pairs: Annotated[int | None, typer.Option(min=1, help="Keep so many, balanced over the cosine.")] = None,
    bins: Annotated[int, typer.Option(min=1, help="Ranges of the cosine that --pairs fills alike.")] = 10,
    exclude: Annotated[list[str] | None, typer.Option(help="Its sentences must not occur; may be repeated.")] = None,
    known: Annotated[list[str] | None, typer.Option(help="Its pairs have a label already; may be repeated.")] = None,
    negatives: Annotated[bool, typer.Option("--hard-negatives", help="Near ones of other groups; label 0.")] = False,
    at_most: Annotated[float, typer.Option(min=-1, max=1, help="Highest cosine of a hard negative.")] = 0.9,
    margin: Annotated[float, typer.Option(help="Least difference to the sentence's own positives.")] = 0.05,
    complete: Annotated[bool, typer.Option("--complete", help="With the negatives, write --input's pairs.")] = False,
    cache: Annotated[Path, typer.Option(help="Where vectors are kept, as training keeps a teacher's.")] = Path(
        "cache/teachers"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of what is random.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Write candidate pairs for `simlstm teacher label`, or pairs with label 0 for a set of 0/1 labels."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        check_target(out)
        if not neighbours and not random:
            raise ValueError("--neighbours: 0 came; allowed: 1 and more, or, for candidates, --random besides")
        teacher = TeacherCache(checkpoint_folder(model), cache)
        if negatives:
            if random or pairs is not None:
                raise ValueError("--random, --pairs: came with --hard-negatives; allowed: without, for candidates")
            mined = mine_negatives(
                teacher,
                sources,
                format=format,
                exclude=exclude or (),
                known=known or (),
                neighbours=neighbours,
                at_most=at_most,
                margin=margin,
                complete=complete,
            )
        else:
            mined = mine_candidates(
                teacher,
                sources,
                format=format,
                exclude=exclude or (),
                known=known or (),
                neighbours=neighbours,
                random=random,
                pairs=pairs,
                bins=bins,
                seed=seed,
            )
        count = mined.write(out, {"teacher": teacher.description(), "command": command_line()})
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"mine: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{out}: {count:,} pairs")


if __name__ == "__main__":
    typer.run(main)
