"""Computing explanations: one pair through the trainable encoder, with gradients at the tokens and at the pooling."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.calibration import Calibration
from simlstm.models.cosine import cosine_pairs
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.explanation import ExplainedText, Explanation, Values
from simlstm.models.normalization import normalize_rows
from simlstm.models.siamese import SiameseModel
from simlstm.models.token_parts import token_parts
from simlstm.rnn.precision import without_autocast
from simlstm.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A sentence on its way: embedded tokens [n, I], recurrent outputs [n, D], pooled [1, P], embedding [1, E]."""

    rows: Tensor
    outputs: Tensor
    pooled: Tensor
    embedding: Tensor


def explain_pair(
    model: SiameseModel,
    tokenizer: Tokenizer,
    texts: tuple[str, str],
    *,
    max_tokens: int,
    calibration: Calibration | None,
    integration_steps: int = 0,
) -> Explanation:
    """Explain the score of one pair.

    Memory grows with the number of tokens: some 30 H numbers for each, as in one step of training.

    Args:
        model: Stays on its device and in its mode, and keeps its gradients.
        tokenizer: Its own.
        texts: The pair.
        max_tokens: Tokens beyond this many are left out.
        calibration: How the score becomes a probability.
        integration_steps: Points on the way from zero embeddings; 0 for no integrated gradients.

    Returns:
        The explanation.

    Raises:
        ValueError: If integration_steps is no integer from 0, or the pooling is none of ``POOLINGS``.
    """
    if not isinstance(integration_steps, int | np.integer) or integration_steps < 0:
        raise ValueError(f"integration_steps must be an integer, 0 or more, got {integration_steps!r}")
    encoder = model.encoder
    tokenized = tokenizer.tokenize(texts, max_tokens=max_tokens)
    place = encoder.embedding.weight.device
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode(mode=False), torch.enable_grad(), without_autocast(place):
            ids = [torch.tensor(tokens.ids, device=place) for tokens in tokenized]
            rows = [encoder.embedding(one).detach() for one in ids]
            encoded = [_encode(encoder, one) for one in rows]
            score = model.head(encoded[0].embedding, encoded[1].embedding).score
            # A head that ignores something of a text has no gradient there: that is a zero.
            wanted = [*(one.rows for one in encoded), *(one.pooled for one in encoded)]
            at_rows1, at_rows2, at_pooled1, at_pooled2 = torch.autograd.grad(
                score.sum(), wanted, materialize_grads=True
            )
            with torch.no_grad():
                parts = [token_parts(encoder.pooling, one.outputs) for one in encoded]
                gradient = [(at * one.rows).sum(dim=1) for at, one in zip((at_rows1, at_rows2), encoded, strict=True)]
                pooling = [part @ at[0] for part, at in zip(parts, (at_pooled1, at_pooled2), strict=True)]
                shares = [_embedding_shares(encoder, part) for part in parts]
                outputs = [normalize_rows(one.outputs) for one in encoded]
                cosine = float(cosine_pairs(encoded[0].embedding, encoded[1].embedding))
            integrated, baseline = _integrate(model, rows, integration_steps) if integration_steps else ([], None)
    finally:
        for module in trained:
            module.training = True
    explained = [
        ExplainedText(
            text=text,
            tokens=tokens.tokens,
            offsets=tokens.offsets,
            word_numbers=tokenizer.word_numbers(text, max_tokens=max_tokens),
            truncated=tokens.truncated,
            pooling=_array(pooling[side]),
            gradient=_array(gradient[side]),
            integrated=_array(integrated[side]) if integrated else None,
        )
        for side, (text, tokens) in enumerate(zip(texts, tokenized, strict=True))
    ]
    value = np.float32(score.item())
    return Explanation(
        first=explained[0],
        second=explained[1],
        score=float(value),
        cosine=cosine,
        probability=None if calibration is None else float(calibration.probability(value)),
        baseline_score=baseline,
        outputs1=_array(outputs[0]),
        outputs2=_array(outputs[1]),
        parts1=_array(shares[0]),
        parts2=_array(shares[1]),
    )


def _encode(encoder: SentenceEncoder, rows: Tensor) -> _Encoded:
    """Run one sentence from its embedded tokens [n, I], which gradients are wanted at."""
    rows = rows.detach().requires_grad_()
    batch_sizes = torch.ones(len(rows), dtype=torch.int64, device="cpu")
    packed, _ = encoder.recurrent(PackedSequence(rows, batch_sizes))
    pooled: Tensor = encoder.pooling(packed.data, batch_sizes)
    embedding: Tensor = encoder.projection(pooled)
    return _Encoded(rows, packed.data, pooled, normalize_rows(embedding) if encoder.normalize else embedding)


def _embedding_shares(encoder: SentenceEncoder, parts: Tensor) -> Tensor:
    """Take the parts [n, P] of a pooled vector to parts [n, E] of the embedding, which together have length 1 (or 0).

    A projection is linear: the parts pass it one by one, and its bias is shared out evenly. Where the embedding is
    scaled to length 1, so are its parts.
    """
    if isinstance(encoder.projection, nn.Linear):
        parts = parts @ encoder.projection.weight.T
        if encoder.projection.bias is not None:
            parts = parts + encoder.projection.bias / len(parts)
    length = parts.sum(dim=0).norm()
    return parts / torch.where(length > 0, length, 1.0)


def _integrate(model: SiameseModel, rows: list[Tensor], steps: int) -> tuple[list[Tensor], float]:
    """Integrate the gradient from zero embeddings to a pair's (Sundararajan et al. 2017), by the midpoint rule."""
    sums = [torch.zeros_like(one) for one in rows]
    for step in range(steps):
        encoded = [_encode(model.encoder, one * ((step + 0.5) / steps)) for one in rows]
        score = model.head(encoded[0].embedding, encoded[1].embedding).score
        gradients = torch.autograd.grad(score.sum(), [one.rows for one in encoded], materialize_grads=True)
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient
    with torch.no_grad():
        baseline = [_encode(model.encoder, torch.zeros_like(one)).embedding for one in rows]
        score = model.head(*baseline).score
    return [(total * one).sum(dim=1) / steps for total, one in zip(sums, rows, strict=True)], float(score)


def _array(tensor: Tensor) -> Values:
    """Copy a result to the CPU, as float32."""
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return array
