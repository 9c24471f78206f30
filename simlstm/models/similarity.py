"""SimilarityModel: texts in, vectors, scores and probabilities out."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from simlstm.models.calibration import Calibration, known_calibration
from simlstm.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from simlstm.models.config import ModelConfig
from simlstm.models.cosine import cosine_matrix, cosine_pairs
from simlstm.models.device import usable_device
from simlstm.models.explaining import explain_pair
from simlstm.models.explanation import Explanation
from simlstm.models.facts import ModelFacts
from simlstm.models.freezing import FreshEncoder, Watch
from simlstm.models.inference import encode_texts, encode_tokens, score_embeddings
from simlstm.models.inputs import Embeddings, checked_texts, embedding_matrix
from simlstm.models.normalization import normalize_rows
from simlstm.models.shipped import checkpoint_folder
from simlstm.models.siamese import SiameseModel
from simlstm.models.storage import Storage
from simlstm.rnn.frozen import Precision, default_precision
from simlstm.text.tokenizer import Tokenization, Tokenizer


class SimilarityModel(ModelFacts):
    """A Siamese model with its tokenizer: what is loaded, used, served and saved.

    Computes in evaluation mode, whatever mode the model is in. One thread may use it at a time. What came from
    ``from_pretrained``, and what ``freeze`` was called on, computes embeddings with a frozen encoder
    (``simlstm.models.frozen``), the rest with the trainable one. Both see every change of the weights: of a model that
    is being trained, too.

    Args:
        model: The pair model; it stays on its device.
        tokenizer: Its ids are the rows of the model's embedding table.
        config: What the model was built from.
        calibration: How scores become probabilities.
        metrics: What was measured, by name.
        provenance: Where it comes from: data hashes, command, seed, commit.
        name: What to call it.
    """

    def __init__(
        self,
        model: SiameseModel,
        tokenizer: Tokenizer,
        *,
        config: ModelConfig,
        calibration: Calibration | None = None,
        metrics: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        name: str = "unnamed",
    ) -> None:
        self._model = model
        self._watch = Watch(watched=True)  # whoever calls this holds the model
        self._precision: Precision = "float32"
        self._fresh: FreshEncoder | None = None
        self.tokenizer = tokenizer
        self.config = config
        self.calibration = calibration
        self.metrics: dict[str, Any] = dict(metrics or {})
        self.provenance: dict[str, Any] = dict(provenance or {})
        self.name = name

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, device: str | torch.device | None = None, dtype: Precision | None = None
    ) -> Self:
        """Load a checkpoint, and freeze its encoder when it is first used.

        Args:
            model: The folder where ``save_pretrained`` or a training run wrote it, or the name of a shipped checkpoint,
                such as "en"; see ``checkpoint_folder`` for which of the two a text is.
            device: Where to compute; None and "auto" mean CUDA when there is one, else the CPU.
            dtype: Arithmetic of the encoder, see ``freeze``.

        Returns:
            The model, ready to use.

        Raises:
            CheckpointError: If there is no whole and safe checkpoint of a known version; a ValueError.
            ValueError: If the device is not known or not there, or the dtype not known.
            ImportError: If the checkpoint's segmenter is not installed.
        """
        place = usable_device(device)
        folder = checkpoint_folder(model)
        checkpoint = read_checkpoint(folder)
        with torch.device("meta"):  # no random weights are drawn only to be overwritten
            siamese = SiameseModel.from_config(checkpoint.config)
        siamese.load_state_dict(checkpoint.state, assign=True)
        loaded = cls(
            siamese.to(place).eval(),
            checkpoint.tokenizer,
            config=checkpoint.config,
            calibration=checkpoint.calibration,
            metrics=checkpoint.metrics,
            provenance=checkpoint.provenance,
            name=folder.resolve().name,
        )
        return loaded.freeze(dtype, watched=False)  # nobody else has seen it

    def freeze(self, dtype: Precision | None = None, *, watched: bool = True) -> Self:
        """Compute embeddings with a frozen encoder from now on, built when it is first needed; returns itself.

        An encoder that cannot be frozen (in float64, with NaN, replaced parts or hooks) computes as it is.

        Args:
            dtype: Arithmetic of the encoder: "float32", "bfloat16", or "int8" for the recurrent weights, on the CPU
                only. None takes float32 on the CPU, and bfloat16 when the model is on CUDA now.
            watched: Whether each call compares all weights with those frozen, once somebody else may hold the model:
                6.5 ms for 30,000 tokens and hidden size 256, beside 0.3 ms for a sentence (0.9 in the trainable
                encoder). False promises that they do not change until ``freeze`` is called or ``model`` read again.

        Raises:
            ValueError: If the dtype is not known. Int8 is refused when it is used, if the encoder is on CUDA or cannot
                be frozen.
        """
        dtype = default_precision(self.device) if dtype is None else dtype
        watch = self._watch if watched else Watch(watched=False)  # one's own: copies have promised nothing
        self._fresh, self._precision, self._watch = FreshEncoder(dtype, watch), dtype, watch
        return self

    def trust(self) -> Self:
        """Promise of a copy that nobody else holds what ``freeze(watched=False)`` promises; returns itself."""
        self._watch.watched = False
        return self

    def save_pretrained(self, folder: str | Path, *, storage: Storage = "float32") -> None:
        """Write a checkpoint folder, with a model card made from what is known about the model.

        Args:
            folder: Made when it does not exist; a checkpoint in it is replaced as one.
            storage: What the weights are rounded to on disk: "float32", "bfloat16", "int8" (the embedding table; other
                matrices bfloat16) or "int8-all". Loaded, they are float32 again. Written again with the same storage,
                a loaded model gives the same bytes.

        Raises:
            ValueError: If the storage is not known.
            CheckpointError: If the path is a file, or the weights cannot be stored (NaN, another dtype than float32).
            OSError: If the disk refuses; an old checkpoint still counts.
        """
        write_checkpoint(
            folder,
            Checkpoint(
                config=self.config,
                state=self._model.state_dict(),
                tokenizer=self.tokenizer,
                calibration=self.calibration,
                metrics=self.metrics,
                provenance=self.provenance,
                storage=storage,
            ),
        )

    @property
    def model(self) -> SiameseModel:
        """The pair model, trainable. Who reads it may change it: from then on every call compares, see ``freeze``."""
        self._watch.watched = True
        return self._model

    def tokenize(self, texts: Sequence[str]) -> list[Tokenization]:
        """Cut texts into tokens, at most ``max_tokens`` each, and say where they stand and what was cut.

        Args:
            texts: Any strings.

        Raises:
            ValueError: If texts is no list of str.
        """
        return self.tokenizer.tokenize(checked_texts(texts, "texts"), max_tokens=self.max_tokens)

    @overload
    def encode(
        self,
        inputs: str | Iterable[str],
        batch_size: int = ...,
        *,
        normalize_embeddings: bool = ...,
        convert_to_tensor: Literal[False] = ...,
    ) -> NDArray[np.float32]: ...

    @overload
    def encode(
        self,
        inputs: str | Iterable[str],
        batch_size: int = ...,
        *,
        normalize_embeddings: bool = ...,
        convert_to_tensor: Literal[True],
    ) -> Tensor: ...

    def encode(
        self,
        inputs: str | Iterable[str],
        batch_size: int = 256,
        *,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
    ) -> NDArray[np.float32] | Tensor:
        """Turn texts into embeddings.

        That the result follows the input and a flag is the convention of sentence-transformers, which callers expect.

        Args:
            inputs: One text, or any number of texts. The empty text has an embedding, too.
            batch_size: Most texts that are computed at once.
            normalize_embeddings: Whether to scale each embedding to length 1; a zero vector stays zero.
            convert_to_tensor: Whether to return a tensor, on the CPU, instead of an array.

        Returns:
            float32 [n, D] for n texts, [D] for one str. Texts beyond ``max_tokens`` are cut, and a warning is logged.

        Raises:
            ValueError: If inputs is neither str nor texts, or batch_size is no positive integer.
        """
        texts = [inputs] if isinstance(inputs, str) else checked_texts(inputs, "inputs")
        encode = partial(self.encode_tokens, batch_size=batch_size)
        embeddings = encode_texts(encode, self.tokenizer, texts, max_tokens=self.max_tokens)
        if normalize_embeddings:
            embeddings = normalize_rows(embeddings)
        embeddings = embeddings[0] if isinstance(inputs, str) else embeddings
        return embeddings if convert_to_tensor else embeddings.numpy()

    def encode_tokens(self, token_ids: Sequence[Sequence[int]], *, batch_size: int = 256) -> Tensor:
        """Turn tokenized texts into embeddings, float32 [n, D] on the CPU.

        Equal texts are computed once. A vector may depend on what it is batched with in its last bits;
        ``simlstm.models.frozen`` says when it does not.

        Args:
            token_ids: Ids of each text, as ``tokenize`` gives them; at least one id each.
            batch_size: Most texts that are computed at once.

        Raises:
            ValueError: If a text has no id, or one that is no integer or outside of the vocabulary; or if batch_size is
                no positive integer.
        """
        frozen = None if self._fresh is None else self._fresh.of(self._model.encoder)
        if frozen is not None:
            return frozen.encode(token_ids, batch_size=batch_size)
        return encode_tokens(self._model, token_ids, batch_size=batch_size, precision=self._precision)

    def score(self, a: Sequence[str], b: Sequence[str], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Score pairs of texts with the pair head that the model was trained with.

        Args:
            a: First text of each pair.
            b: Second text of each pair.
            batch_size: Most texts that are computed at once.

        Returns:
            float32 [n], higher is more similar; the scale is that of the head (see ``PairOutput``).
            ``score(a, b)`` and ``score(b, a)`` are equal.

        Raises:
            ValueError: If a and b are no lists of str, or differ in length.
        """
        first, second = checked_texts(a, "a"), checked_texts(b, "b")
        if len(first) != len(second):
            raise ValueError(f"a and b must be equally long, got {len(first)} and {len(second)} texts")
        embeddings = self.encode([*first, *second], batch_size, convert_to_tensor=True)
        return self.score_embeddings(embeddings[: len(first)], embeddings[len(first) :])

    def score_embeddings(self, embeddings1: Embeddings, embeddings2: Embeddings) -> NDArray[np.float32]:
        """Score pairs of embeddings with the pair head, float32 [n].

        Args:
            embeddings1: [n, D], as ``encode`` gives them, not normalized afterwards.
            embeddings2: [n, D].

        Raises:
            ValueError: If the shapes are not [n, D] twice.
        """
        first, second = embedding_matrix(embeddings1, "embeddings1"), embedding_matrix(embeddings2, "embeddings2")
        return score_embeddings(self._model, first, second)

    def probability(self, a: Sequence[str], b: Sequence[str], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Give the calibrated probability that two texts mean the same, as the calibration's data has it.

        Takes what ``score`` takes, and returns float32 [n] in [0, 1].

        Raises:
            ValueError: If the checkpoint has no calibration, or a and b are no lists of str of one length.
        """
        known_calibration(self.calibration, self.name)
        return self.probability_of(self.score(a, b, batch_size=batch_size))

    def probability_of(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Turn scores of this model into calibrated probabilities, float32 in [0, 1] of the same shape.

        Raises:
            ValueError: If the checkpoint has no calibration.
        """
        return known_calibration(self.calibration, self.name).probability(scores)

    def explain(self, a: str, b: str, *, integration_steps: int = 0) -> Explanation:
        """Say which words made the score of a pair; docs/explain.md tells what each number answers, and what not.

        The trainable encoder computes it, in the precision of its weights: below float32, a frozen encoder's own score
        differs by its rounding. As long as one training step for the pair, and as long again for each integration step.

        Args:
            a: The first text.
            b: The second text.
            integration_steps: Steps of integrated gradients; 0 leaves them out, 50 are usual.

        Raises:
            ValueError: If a or b is no str, integration_steps no integer from 0, or the pooling somebody's own.
        """
        first, second = checked_texts([a], "a") + checked_texts([b], "b")
        return explain_pair(
            self._model,
            self.tokenizer,
            (first, second),
            max_tokens=self.max_tokens,
            calibration=self.calibration,
            integration_steps=integration_steps,
        )

    def similarity(self, embeddings1: Embeddings, embeddings2: Embeddings) -> Tensor:
        """Compare every embedding with every other by cosine, as in sentence-transformers.

        This ranks by the vectors alone; ``score`` is the pair head, which may know more than the angle.

        Args:
            embeddings1: [n1, D], or [D] for one.
            embeddings2: [n2, D], or [D] for one.

        Returns:
            float32 [n1, n2] on the CPU; 0 where an embedding is zero.

        Raises:
            ValueError: If the widths differ.
        """
        return cosine_matrix(embedding_matrix(embeddings1, "embeddings1"), embedding_matrix(embeddings2, "embeddings2"))

    def similarity_pairwise(self, embeddings1: Embeddings, embeddings2: Embeddings) -> Tensor:
        """Compare embeddings row by row as ``similarity`` does; float32 [n].

        Raises:
            ValueError: If the shapes differ.
        """
        return cosine_pairs(embedding_matrix(embeddings1, "embeddings1"), embedding_matrix(embeddings2, "embeddings2"))
