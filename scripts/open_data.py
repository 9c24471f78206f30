"""Turn public, openly licensed downloads into the text files that recipes read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.opening_data.opening import open_collections


def main(
    raw: Annotated[Path, typer.Option(help="Folder with the downloads; docs/data.md says which, and their names.")],
    out: Annotated[Path, typer.Option(help="Folder that must not exist, or be empty.")],
    only: Annotated[str | None, typer.Option(help="Names of collections, with commas between them.")] = None,
) -> None:
    """Write one text file for each collection, and a README.md that says where each comes from."""
    names = None if only is None else [name.strip() for name in only.split(",")]
    try:
        opened = open_collections(raw, out, only=names)
    except (ValueError, OSError) as error:
        print(f"open-data: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    for one in opened:
        print(f"{out / one.collection.file_name}: {one.rows:,} rows")


if __name__ == "__main__":
    typer.run(main)
