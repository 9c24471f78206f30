"""The folder of a tuned teacher: the model, teacher.json, which says where it comes from, and a card."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.teaching.pair_models import PairModel
from simlstm.training.licence import licence_of

RECORD, CARD = "teacher.json", "README.md"


def refuse_taken(out: Path) -> None:
    """Refuse to write over anything.

    Raises:
        ValueError: There is something already, or no folder to put it in.
    """
    if out.exists():
        raise ValueError(f"{out}: is there already, and nothing is overwritten; name another --out or remove it")


def save_teacher(out: Path, model: PairModel, record: Mapping[str, Any]) -> None:
    """Write model and record; the folder appears only when it is whole.

    Raises:
        ValueError: There is something already.
        OSError: The disk refuses.
    """
    refuse_taken(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        model.save(partial)
        (partial / CARD).write_text(_card(out.name, record), encoding="utf-8")
        (partial / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.chmod(0o755)  # mkdtemp keeps others out
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def describe_base(folder: Path) -> dict[str, Any]:
    """Return name, licence and SHA-256 of the weights of a transformer's folder, with the record of a tuned one.

    The licence is the one in the front matter of its model card; None where it says nothing.
    """
    weights = folder / "model.safetensors"
    described: dict[str, Any] = {"name": folder.resolve().name, "licence": licence_of(folder / CARD), "sha256": None}
    if weights.is_file():
        with weights.open("rb") as file:
            described["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    if (folder / RECORD).is_file():
        described["record"] = read_record(folder)
    return described


def read_record(folder: Path) -> dict[str, Any]:
    """Read what a tuned teacher says about itself.

    Raises:
        ValueError: It is no JSON object.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path}: a JSON {type(record).__name__} came; allowed: an object")
    return record


def _card(name: str, record: Mapping[str, Any]) -> str:
    """Return a model card: licence of the base, data, and how to make it again."""
    front = f"---\nlicense: {record['licence']}\n---\n" if record["licence"] else ""
    data = "\n".join(f"- {source['name']}: {source['pairs']:,} pairs" for source in record["train"])
    return (
        f"{front}# {name}\n\nA {record['kind']} that `simlstm teacher tune` made of {record['base']['name']}. "
        f"{RECORD} says how. Trained on:\n\n{data}\n\nThe licences of these data hold, too.\n"
    )
