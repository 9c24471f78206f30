"""From a configuration and its data to tokenizer and model."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from simlstm.models.checkpoint import Checkpoint, read_checkpoint
from simlstm.models.config import DROPOUTS, ModelConfig
from simlstm.models.shipped import checkpoint_folder
from simlstm.models.siamese import SiameseModel
from simlstm.text.token_table import read_token_table
from simlstm.text.tokenizer import Tokenizer
from simlstm.text.vectors import initial_embedding, read_word_vectors
from simlstm.training.augmentation import Augmentation, known_synonyms
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.corpus import Corpus
from simlstm.training.joint import dev_head, heads_of, with_other_heads
from simlstm.training.run_data import RunData

logger = logging.getLogger(__name__)

# What may change when training goes on from another checkpoint: all that leaves the encoder's weights in their form.
_MAY_CHANGE = frozenset(
    {*DROPOUTS, "max_tokens", "normalize", "head", "head_hidden_size", "head_activation", "classes"}
)
_MLP_KEYS = ("head_hidden_size", "head_activation", "head_dropout", "classes")


@dataclass(frozen=True, slots=True)
class Start:
    """What training starts from.

    Attributes:
        tokenizer: The tokenizer of the run.
        config: The architecture, complete.
        model: With its first weights, and with the heads that joint training needs beside dev's.
        notes: What the start is worth recording, such as how much of the vocabulary has a pretrained vector.
    """

    tokenizer: Tokenizer
    config: ModelConfig
    model: SiameseModel
    notes: dict[str, Any]


def build_start(config: TrainingConfig, data: RunData) -> Start:
    """Build tokenizer and model from scratch, from pretrained vectors, or from another checkpoint.

    Random weights are a function of ``training.seed``.

    Raises:
        ConfigError: For settings that contradict each other or the data.
    """
    if config.training.initial_checkpoint is not None:
        return _start_from_checkpoint(config, data, checkpoint_folder(config.training.initial_checkpoint))
    tokenizer, table, notes = _tokenizer_and_table(config, data)
    settings = config.model.model_dump(exclude={"classes"}) | _head_without_labels(config, data)
    if table is not None:
        if "embedding_size" in config.model.model_fields_set and config.model.embedding_size != table.shape[1]:
            raise ConfigError(
                f"[model] embedding_size: got {config.model.embedding_size}; the pretrained vectors have "
                f"{table.shape[1]}; leave the key out"
            )
        settings["embedding_size"] = table.shape[1]
    model_config = _model_config(config, data, tokenizer, settings)
    torch.manual_seed(config.training.seed)
    model = SiameseModel.from_config(model_config)
    weight = model.encoder.embedding.weight
    with torch.no_grad():
        if table is not None:
            weight.copy_(table)
        if config.embedding.standard_deviation is not None:
            weight.mul_(config.embedding.standard_deviation / weight.std())
    weight.requires_grad_(not config.embedding.frozen)
    return Start(tokenizer, model_config, with_other_heads(model, config.data, data.kinds, model_config), notes)


def build_corpus(
    config: TrainingConfig, data: RunData, start: Start, vectors: Sequence[NDArray[np.float16]] = ()
) -> Corpus:
    """Tokenize the training sources and plan their batches; `vectors` are a teacher's, of each source of sentences."""
    sources = (*config.data.pair_sources, *config.data.sentence_sources)
    return Corpus(
        data.train,
        [source.weight for source in sources],
        start.tokenizer,
        max_tokens=start.config.max_tokens,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        batch_sizes=[source.batch_size for source in sources],
        taught=list(zip(data.sentences, vectors, strict=True)),
        augmentation=_augmentation(config, data, start.tokenizer),
    )


def _augmentation(config: TrainingConfig, data: RunData, tokenizer: Tokenizer) -> Augmentation | None:
    """Build what changes the pairs, with the synonyms that the vocabulary knows; None where nothing does."""
    if data.synonyms is None and not config.augmentation.swap:
        return None
    synonyms: dict[str, list[str]] = {}
    rate = 0.0
    if data.synonyms is not None:
        synonyms, rate = known_synonyms(data.synonyms[0], tokenizer), config.augmentation.synonym_rate
    return Augmentation(synonyms, rate=rate, swap=config.augmentation.swap, seed=config.training.seed)


def rebuild_model(config: TrainingConfig, data: RunData, model_config: ModelConfig) -> SiameseModel:
    """Build the model of a run that is resumed; its weights come from the state."""
    model = SiameseModel.from_config(model_config)
    model.encoder.embedding.weight.requires_grad_(not config.embedding.frozen)
    return with_other_heads(model, config.data, data.kinds, model_config)


def _tokenizer_and_table(config: TrainingConfig, data: RunData) -> tuple[Tokenizer, Tensor | None, dict[str, Any]]:
    """Train or take over the tokenizer, and find the pretrained vectors of its vocabulary."""
    if config.embedding.token_table is not None:
        if "tokenizer" in config.model_fields_set:
            raise ConfigError("[tokenizer]: the tokenizer comes with embedding.token_table; leave the section out")
        tokenizer, table = read_token_table(config.embedding.token_table)
        return tokenizer, table.float(), {"token_table": Path(config.embedding.token_table).name}
    texts = list(chain.from_iterable(chain(source.sentences1, source.sentences2) for source in data.train))
    texts += chain.from_iterable(source.sentences for source in data.sentences)
    vectors = None
    if config.embedding.unknown == "ngrams" and config.tokenizer.kind != "word":
        raise ConfigError(
            f"[embedding] unknown: 'ngrams' are of words, and tokenizer.kind is {config.tokenizer.kind!r}; leave it out"
        )
    if config.embedding.vectors is not None:
        vectors = read_word_vectors(config.embedding.vectors)
        if config.embedding.extend_vocabulary and config.tokenizer.kind == "word":
            texts += vectors.words
    settings = config.tokenizer
    tokenizer = Tokenizer.train(
        texts,
        kind=settings.kind,
        vocabulary_size=settings.vocabulary_size,
        minimum_frequency=settings.minimum_frequency,
        lowercase=settings.lowercase,
        segmenter=settings.segmenter,
    )
    if vectors is None:
        return tokenizer, None, {}
    table, covered = initial_embedding(tokenizer, vectors, seed=config.training.seed, unknown=config.embedding.unknown)
    logger.info("pretrained vectors cover %.1f%% of the vocabulary", 100 * covered)
    return tokenizer, table, {"vectors": Path(str(config.embedding.vectors)).name, "vectors_cover": covered}


def _model_config(config: TrainingConfig, data: RunData, tokenizer: Tokenizer, settings: dict[str, Any]) -> ModelConfig:
    """Complete the architecture with what tokenizer and data decide."""
    if settings["head"] == "mlp":
        settings["classes"] = config.model.classes or _classes(config, data)
    elif config.model.classes is not None:
        settings["classes"] = config.model.classes
    return _validated(
        {
            **settings,
            "vocabulary_size": tokenizer.vocabulary_size,
            "segmenter": tokenizer.segmenter,
            "unknown_id": tokenizer.unknown_id,
            "kind": data.dev.kind,
            "score_range": data.dev.score_range,
        }
    )


def _head_without_labels(config: TrainingConfig, data: RunData) -> dict[str, str]:
    """Return the head of a run that learns from a teacher alone: the plain cosine, unless one is configured."""
    learns_from_teacher_alone = data.sentences and all(kind == "positive" for kind in data.kinds)
    return {"head": "cosine"} if learns_from_teacher_alone and "head" not in config.model.model_fields_set else {}


def _classes(config: TrainingConfig, data: RunData) -> int:
    """Choose the classes of dev's head: two when all that trains it has 0/1 labels, else those of graded scores."""
    kinds = heads_of(config.data, data.kinds)
    trained_by = kinds[dev_head(config.data, data.kinds)] if kinds else []
    return 2 if all(kind == "binary" for kind in trained_by) else 5


def _validated(settings: dict[str, Any]) -> ModelConfig:
    """Build a ModelConfig, its complaints worded as the configuration's own."""
    try:
        return ModelConfig(**settings)
    except ValidationError as error:
        lines = []
        for detail in error.errors(include_url=False):
            key = ".".join(str(part) for part in detail["loc"])
            reason = detail["msg"].removeprefix("Value error, ")
            lines.append(f"[model] {key}: got {detail['input']!r}; {reason}" if key else f"[model]: {reason}")
        raise ConfigError("\n".join(lines)) from error


def _start_from_checkpoint(config: TrainingConfig, data: RunData, folder: Path) -> Start:
    """Take tokenizer, architecture and weights from a checkpoint; a head of another form starts fresh."""
    for section in ("tokenizer", "embedding"):
        given = getattr(config, section).model_fields_set - {"frozen", "learning_rate_scale", "row_updates"}
        if given:
            raise ConfigError(
                f"[{section}] {', '.join(sorted(given))}: comes with training.initial_checkpoint; leave it out"
            )
    checkpoint = read_checkpoint(folder)
    asked = {key: getattr(config.model, key) for key in config.model.model_fields_set}
    for key, value in asked.items():
        if key not in _MAY_CHANGE and value != getattr(checkpoint.config, key):
            raise ConfigError(
                f"[model] {key}: got {value!r}; {folder} has {getattr(checkpoint.config, key)!r}, and its weights keep "
                "their form; leave the key out"
            )
    settings = {**checkpoint.config.model_dump(), **_head_without_labels(config, data), **asked}
    if settings["head"] != "mlp" or checkpoint.config.head != "mlp":
        settings = {key: value for key, value in settings.items() if key not in _MLP_KEYS or key in asked}
    if settings["head"] == "mlp" and settings.get("classes") is None and checkpoint.config.head != "mlp":
        settings["classes"] = _classes(config, data)
    if settings.get("classes") is None:
        settings.pop("classes", None)
    model_config = _validated({**settings, "kind": data.dev.kind, "score_range": data.dev.score_range})
    torch.manual_seed(config.training.seed)
    model = SiameseModel.from_config(model_config)
    fresh = _load_fitting(model, checkpoint)
    model.encoder.embedding.weight.requires_grad_(not config.embedding.frozen)
    notes: dict[str, Any] = {"initial_checkpoint": folder.name, "fresh_weights": fresh}
    model = with_other_heads(model, config.data, data.kinds, model_config)
    return Start(checkpoint.tokenizer, model_config, model, notes)


def _load_fitting(model: SiameseModel, checkpoint: Checkpoint) -> list[str]:
    """Load the checkpoint's weights; return the names of the head's that keep their random start."""
    own = model.state_dict()
    fitting = {
        name: tensor for name, tensor in checkpoint.state.items() if name in own and own[name].shape == tensor.shape
    }
    if missing := sorted(name for name in own if name not in fitting):
        # A head is one function: half old and half new would be neither.
        fitting = {name: tensor for name, tensor in fitting.items() if not name.startswith("head.")}
        logger.info("the head has another form than the checkpoint's and starts fresh (%s)", missing[0])
    model.load_state_dict(fitting, strict=False)
    return sorted(name for name in own if name not in fitting)
