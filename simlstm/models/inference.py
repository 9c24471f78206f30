"""Computing with a trained pair model: in evaluation mode, without gradients, in batches, nothing twice."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.batches import encode_batches
from simlstm.models.freezable import obstacle
from simlstm.models.siamese import SiameseModel
from simlstm.rnn.frozen import Precision
from simlstm.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

_PAIRS_AT_ONCE = 4096


def encode_texts(
    encode: Callable[[list[list[int]]], Tensor], tokenizer: Tokenizer, texts: Sequence[str], *, max_tokens: int
) -> Tensor:
    """Turn texts into embeddings, each distinct text tokenized and computed once.

    Args:
        encode: Turns the token ids of n texts into embeddings, float32 [n, D] on the CPU.
        tokenizer: Its ids are what ``encode`` takes.
        texts: Any strings; those beyond max_tokens are cut, and a warning is logged.
        max_tokens: Longest text in tokens.

    Returns:
        float32 [n, D] on the CPU, in the order of the texts.
    """
    distinct = list(dict.fromkeys(texts))
    # One token more than allowed shows which texts are too long.
    token_ids = tokenizer.encode(distinct, max_tokens=max_tokens + 1)
    cut = sum(len(ids) > max_tokens for ids in token_ids)
    if cut:
        logger.warning("%d of %d texts exceed %d tokens and were cut", cut, len(distinct), max_tokens)
    embeddings = encode([ids[:max_tokens] for ids in token_ids])
    if len(distinct) == len(texts):
        return embeddings
    position = {text: row for row, text in enumerate(distinct)}
    return embeddings[torch.tensor([position[text] for text in texts], dtype=torch.int64, device="cpu")]


def encode_tokens(
    model: SiameseModel, token_ids: Sequence[Sequence[int]], *, batch_size: int, precision: Precision = "float32"
) -> Tensor:
    """Turn tokenized texts into embeddings with the trainable encoder itself.

    Equal texts are computed once. Batches hold texts of like length, and which texts share a batch follows from the set
    of texts alone: in another order they get the same vectors to the last bit. Among other texts, or with another
    batch_size, a vector is the same up to the rounding of the matrix products, whose order of additions follows from
    their number of rows (float32 on CPU: seen up to 1.2e-6 where values are around 0.2).

    Args:
        model: Stays on its device and in its mode.
        token_ids: Ids of each text; at least one id each.
        batch_size: Most texts that are computed at once.
        precision: Of the encoder's matrix products; bfloat16 is autocast's, and int8 there is none. Weights that are
            not float32 are computed with in their own precision.

    Returns:
        float32 [n, D] on the CPU, in the order of the texts.

    Raises:
        ValueError: If a text has no id, or one that is no integer or outside of the vocabulary; if batch_size is no
            positive integer; or if the precision is int8.
    """
    if precision == "int8":
        raise ValueError(f"dtype='int8' needs a frozen encoder; this one cannot be frozen: {obstacle(model.encoder)}")
    table = model.encoder.embedding
    device = table.weight.device

    def encode(tokens: PackedSequence) -> Tensor:
        with _inference(model), _arithmetic(table.weight, precision):
            embeddings: Tensor = model.encoder(tokens.to(device))  # type: ignore[arg-type]  # torch declares one overload
            return embeddings

    return encode_batches(
        encode,
        token_ids,
        vocabulary_size=table.num_embeddings,
        output_size=model.encoder.output_size,
        batch_size=batch_size,
    )


def score_embeddings(model: SiameseModel, embeddings1: Tensor, embeddings2: Tensor) -> NDArray[np.float32]:
    """Score pairs of embeddings with the pair head.

    Args:
        model: Stays on its device and in its mode.
        embeddings1: float32 [n, D] on the CPU.
        embeddings2: float32 [n, D] on the CPU.

    Returns:
        float32 [n].

    Raises:
        ValueError: If the shapes are not [n, D] twice, D as the encoder has it.
    """
    width = model.encoder.output_size
    if embeddings1.shape != embeddings2.shape or embeddings1.shape[1] != width:
        raise ValueError(
            f"embeddings1 and embeddings2 must both be [n, {width}], "
            f"got {list(embeddings1.shape)} and {list(embeddings2.shape)}"
        )
    device = model.encoder.embedding.weight.device
    scores = torch.empty(len(embeddings1), dtype=torch.float32, device="cpu")
    with _inference(model):
        for start in range(0, len(scores), _PAIRS_AT_ONCE):
            rows = slice(start, start + _PAIRS_AT_ONCE)
            scores[rows] = model.head(embeddings1[rows].to(device), embeddings2[rows].to(device)).score
    array: NDArray[np.float32] = scores.numpy()
    return array


@contextmanager
def _inference(model: SiameseModel) -> Iterator[None]:
    """Switch to evaluation without gradients, and back."""
    was_training = model.training
    switches = any(module.training for module in model.modules())  # switching takes ten times as long as looking
    if switches:
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if switches:
            model.train(was_training)


def _arithmetic(weight: Tensor, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which a model with such weights computes with a precision."""
    if precision == "bfloat16" and weight.dtype == torch.float32:
        return torch.autocast(weight.device.type, torch.bfloat16)
    return nullcontext()
