"""Text to vectors: ``SimilarityModel.encode`` against a MiniLM sentence encoder on the same cores, in the same run."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from scripts.benchmarking.interleave import interleave, median_ratio
from scripts.benchmarking.minilm import BATCH_SIZE, MiniLm, spread_sample
from scripts.benchmarking.optional import MissingPackageError
from scripts.benchmarking.parity import check_cosine
from scripts.benchmarking.results import MiniLmFigure, TextReport, TextRow
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.rnn.frozen import PRECISIONS, Precision
from simlstm.text.tokenizer import Tokenizer

# As in ``encode_shapes``, but real sentences may have tokens that a small corpus never trained: a wider bound.
LOWEST_COSINE = 0.999
_PEER = "MiniLM"


def build_models(folder: str | Path | None, sentences: Sequence[str]) -> tuple[dict[Precision, SimilarityModel], str]:
    """Load a checkpoint in each precision, or make a model of the default size, whose speed is that of a trained one.

    Args:
        folder: A checkpoint, or the name of a shipped one; None for random weights and a vocabulary made from the
            sentences.
        sentences: Where the vocabulary comes from.

    Returns:
        The models, and what to call them.
    """
    if folder is not None:
        loaded = {name: SimilarityModel.from_pretrained(folder, device="cpu", dtype=name) for name in PRECISIONS}
        return loaded, f"the checkpoint {loaded[PRECISIONS[0]].name}"
    tokenizer = Tokenizer.train(sentences)
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size)
    made = {}
    for name in PRECISIONS:
        torch.manual_seed(0)
        model = SiameseModel.from_config(config).eval()
        made[name] = SimilarityModel(model, tokenizer, config=config).freeze(name)
    return made, f"random weights of the default size (I={config.embedding_size}, H={config.hidden_size})"


def measure_texts(
    sentences: Sequence[str], source: str, *, model: str | Path | None, minilm: Path, minilm_sentences: int, turns: int
) -> TextReport:
    """Encode all sentences in each precision, and a sample of them with MiniLM, by turns.

    Args:
        sentences: Distinct: equal ones would be computed once.
        source: Where they come from, for the report.
        model: A checkpoint folder, or the name of a shipped one; None for random weights.
        minilm: The peer's folder; when it or its package is not there, the report says why there is no ratio.
        minilm_sentences: How many of them MiniLM encodes in a turn.
        turns: Measured turns of each.

    Raises:
        RuntimeError: when a lower precision gives other vectors, or MiniLM's vectors are not of length 1.
    """
    models, name = build_models(model, sentences)
    right = models["float32"].encode(sentences, convert_to_tensor=True)
    for precision, candidate in models.items():
        check_cosine(precision, candidate.encode(sentences, convert_to_tensor=True), right, allowed=LOWEST_COSINE)
    peer, reason = _load_peer(minilm)
    sample = spread_sample(sentences, minilm_sentences)
    if peer is not None:
        _check_peer(peer, sample[:BATCH_SIZE])
    calls: dict[str, Callable[[], object]] = {
        precision: partial(candidate.encode, sentences) for precision, candidate in models.items()
    }
    if peer is not None:
        calls[_PEER] = partial(peer.encode, sample)
    # A turn takes seconds: no need to run each candidate untimed before it.
    timed = {
        name: measurement.per(len(sample) if name == _PEER else len(sentences))
        for name, measurement in interleave(calls, turns=turns, warmup=1, primed=False).items()
    }
    theirs = timed.pop(_PEER, None)
    tokens = models["float32"].tokenizer.encode(sentences)
    return TextReport(
        source=source,
        model=name,
        sentences=len(sentences),
        mean_tokens=sum(map(len, tokens)) / len(sentences),
        rows=[
            TextRow(
                precision=precision,
                timing=measurement.timing(),
                sentences_per_second=1 / measurement.median,
                ratio=None if theirs is None else median_ratio(theirs, measurement),
            )
            for precision, measurement in timed.items()
        ],
        minilm=None
        if theirs is None
        else MiniLmFigure(
            timing=theirs.timing(),
            sentences=len(sample),
            batch_size=BATCH_SIZE,
            sentences_per_second=1 / theirs.median,
        ),
        skipped=reason,
    )


def _load_peer(folder: Path) -> tuple[MiniLm | None, str | None]:
    try:
        return MiniLm(folder), None
    except (MissingPackageError, FileNotFoundError) as reason:
        return None, str(reason)


def _check_peer(peer: MiniLm, sentences: Sequence[str]) -> None:
    """Refuse a peer that is not the encoder it is taken for: its vectors are finite and of length 1."""
    lengths = torch.linalg.vector_norm(torch.from_numpy(peer.encode(sentences)), dim=1)
    if not torch.allclose(lengths, torch.ones(len(sentences)), atol=1e-4):
        raise RuntimeError(f"MiniLM as a peer: vectors of length {lengths.min():.3f} and more, 1 is expected")
