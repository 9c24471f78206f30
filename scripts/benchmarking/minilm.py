"""The MiniLM sentence encoder as a peer, run by sentence-transformers as its users run it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarking.optional import load_package

BATCH_SIZE = 32  # the default of sentence-transformers


class MiniLm:
    """A sentence-transformers model on the CPU in float32, batches sorted by length as that library does.

    Args:
        folder: The model's files, as ``make minilm`` puts them.

    Raises:
        MissingPackageError: when sentence-transformers is not installed.
        FileNotFoundError: when there is no model in the folder.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "modules.json").is_file():
            raise FileNotFoundError(f"MiniLM as a peer: no sentence-transformers model in {folder}; run `make minilm`")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the files are here; nothing is looked up
        package = load_package("sentence_transformers", purpose="MiniLM as a peer")
        self.model: Any = package.SentenceTransformer(str(folder), device="cpu").float()

    def encode(self, sentences: Sequence[str]) -> Any:
        """Turn sentences into an array [n, 384] float32."""
        return self.model.encode(list(sentences), batch_size=BATCH_SIZE, show_progress_bar=False)


def spread_sample(sentences: Sequence[str], count: int) -> list[str]:
    """Choose whole batches of the sentences sorted by length, evenly spread.

    Sorted by length as sentence-transformers sorts them, the chosen sentences fall into the very batches that they
    share in a run over all: what the sample costs for padding is what all would cost, and its rate is theirs.

    Args:
        sentences: All of them.
        count: Sentences wanted; rounded up to whole batches.

    Returns:
        The sample, or all of them when they are not more.
    """
    ordered = sorted(sentences, key=len, reverse=True)
    batches = [ordered[start : start + BATCH_SIZE] for start in range(0, len(ordered), BATCH_SIZE)]
    wanted = min(len(batches), -(-count // BATCH_SIZE))
    chosen = [batches[int((number + 0.5) * len(batches) / wanted)] for number in range(wanted)]
    return [sentence for batch in chosen for sentence in batch]
