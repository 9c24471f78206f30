"""Write the OpenAPI document of the server, which clients are generated from."""

import json
from pathlib import Path
from typing import Annotated

import typer
from uvicorn.importer import import_from_string


def main(out: Annotated[Path, typer.Option(help="File to write.")] = Path("docs/openapi.json")) -> None:
    """Write the document as GET /openapi.json answers it; no model is needed."""
    # By its name, as uvicorn takes it: scripts do not import the server.
    document = import_from_string("api.app:create_app")().openapi()
    out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(out)


if __name__ == "__main__":
    typer.run(main)
