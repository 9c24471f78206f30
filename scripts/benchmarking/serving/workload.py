"""What is asked: sentences that occur once, so that no cache decides, as prepared bodies of each dialect."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scripts.benchmarking.sentences import read_sentences

SIMILARITY, EMBEDDINGS, INFINITY_EMBEDDINGS = "/v1/similarity", "/v1/embeddings", "/embeddings"
Item = TypeVar("Item")
BATCH = 32  # sentences of a request for embeddings, pairs of a request for many scores


@dataclass(frozen=True)
class Workload:
    """Distinct sentences in random order, and what can be asked about them.

    Args:
        sentences: At least ``2 * BATCH``.
        model: The name that our server gives its model.
    """

    sentences: Sequence[str]
    model: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each sentence with the next one, in one pair only."""
        return list(zip(self.sentences[::2], self.sentences[1::2], strict=False))

    def single_pairs(self) -> list[dict[str, Any]]:
        """Ask for one pair, as our native route and the plain one take it."""
        return [{"sentence1": first, "sentence2": second} for first, second in self.pairs]

    def single_pairs_to_embed(self) -> list[dict[str, Any]]:
        """Ask for the two vectors of a pair: a server of embeddings leaves their comparison to its client."""
        return [{"model": "peer", "input": list(pair)} for pair in self.pairs]

    def pair_batches(self) -> list[dict[str, Any]]:
        """Ask for many pairs at once."""
        return [
            {"sentence1": [first for first, _ in batch], "sentence2": [second for _, second in batch]}
            for batch in _batches(self.pairs)
        ]

    def embedding_batches(self, *, encoding_format: str, model: str | None = None) -> list[dict[str, Any]]:
        """Ask for many vectors at once."""
        name = model or self.model
        return [
            {"model": name, "input": batch, "encoding_format": encoding_format} for batch in _batches(self.sentences)
        ]


def draw_sentences(count: int, *, seed: int = 0) -> list[str]:
    """Return distinct English sentences of the embedded demo corpus in random order."""
    sentences, _ = read_sentences(None, count)
    random.Random(seed).shuffle(sentences)  # noqa: S311 - a benchmark, no secret
    return sentences


def json_bytes(body: Any) -> bytes:
    """Write one body."""
    return json.dumps(body, separators=(",", ":")).encode()


def write_bodies(bodies: Sequence[Any], file: Path) -> Path:
    """Write one JSON body a line, as ``wrk`` and the open loop read them; return the file."""
    file.write_bytes(b"".join(json_bytes(body) + b"\n" for body in bodies))
    return file


def _batches(items: Sequence[Item]) -> list[list[Item]]:
    return [list(items[start : start + BATCH]) for start in range(0, len(items) - BATCH + 1, BATCH)]
