"""The training configuration: one frozen model per section of the TOML file."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simlstm.models.config import Architecture, Classes
from simlstm.training.data_config import DataConfig, LossWeights
from simlstm.training.section import Count, NotNegative, Positive, Probability, Section

Metric = Literal[
    "auto",
    "spearman",
    "pearson",
    "mse",
    "cosine_spearman",
    "cosine_pearson",
    "roc_auc",
    "average_precision",
    "optimistic_accuracy",
    "optimistic_f1",
]
PrecisionName = Literal["float32", "tf32", "bf16", "fp16"]


class TokenizerConfig(Section):
    """How text becomes tokens; see `simlstm.text.Tokenizer.train`."""

    kind: Literal["word", "character", "subword"] = "word"
    vocabulary_size: Count = 30_000
    minimum_frequency: Count = 1
    lowercase: bool = True
    segmenter: Literal["none", "jieba"] = "none"


class EmbeddingConfig(Section):
    """The first values of the embedding table, and how fast they move.

    Attributes:
        vectors: A GloVe, fastText or word2vec file.
        extend_vocabulary: Add the words of `vectors` to the word vocabulary, so that a word that training never saw
            still has its vector.
        unknown: Where a word that `vectors` lacks starts: at ``random``, or from the character ``ngrams`` that it
            shares with words that have a vector (word vocabularies only).
        token_table: A transformer's folder: its tokenizer and its word embeddings are taken over.
        standard_deviation: Rescale the whole table to this spread.
        frozen: Keep the table as it is.
        learning_rate_scale: The table's rate, relative to `optimizer.learning_rate`.
        row_updates: Update the rows that a step uses, and leave the others alone: much less work for a large table and
            a small batch, see `simlstm.training.row_updates`.
    """

    vectors: str | None = None
    extend_vocabulary: bool = True
    unknown: Literal["random", "ngrams"] = "random"
    token_table: str | None = None
    standard_deviation: Positive | None = None
    frozen: bool = False
    learning_rate_scale: Positive = 1.0
    row_updates: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.vectors is not None and self.token_table is not None:
            raise ValueError("give at most one of vectors and token_table")
        if self.frozen and self.row_updates:
            raise ValueError("row_updates would have no effect with frozen; give one of them")
        if self.unknown == "ngrams" and self.vectors is None:
            raise ValueError("unknown = 'ngrams' has no effect without vectors; leave it out, or give a file of them")
        return self


class ModelSection(Architecture):
    """The architecture; what the data decides is not set here.

    Attributes:
        classes: Score classes of the mlp head; absent, 2 when all training data has 0/1 labels, else 5.
    """

    classes: Classes | None = None


class LossConfig(Section):
    """The weighted sum of losses; empty weights mean KL for the mlp head, CoSENT for cosine, MSE for manhattan."""

    weights: LossWeights = LossWeights()
    cosent_scale: Positive = 20.0
    contrastive_margin: Annotated[float, Field(gt=0, le=2)] = 0.5
    temperature: Positive = 0.05


class DistillationConfig(Section):
    """What is learned from a teacher on the sources of sentences and translations.

    Attributes:
        teacher: Folder of a sentence-transformers model, or of a simlstm checkpoint.
        cache: Folder where the teacher's vectors are kept, for all runs.
        cosine_weight: Of the mean of 1 - cos(student, teacher); with it, both vectors have one width.
        similarity_weight: Of the mean squared difference of the cosines between the sentences of a batch.
        precision: The teacher's; ``auto`` is bf16 where the device has it.
    """

    teacher: str | None = None
    cache: str = "cache/teachers"
    cosine_weight: NotNegative = 1.0
    similarity_weight: NotNegative = 5.0
    precision: Literal["auto", "float32", "bf16"] = "auto"

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.cosine_weight == self.similarity_weight == 0:
            raise ValueError("cosine_weight and similarity_weight are both 0; nothing would be learned")
        return self


class AugmentationConfig(Section):
    """How training pairs are changed anew in each pass; see `simlstm.training.augmentation`.

    Attributes:
        synonyms: A file of two words a line, separated by a tab, which are synonyms of each other.
        synonym_rate: The chance of a word that has synonyms to be replaced by one of them.
        swap: Whether a pair is turned around, with a chance of one half.
    """

    synonyms: str | None = None
    synonym_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    swap: bool = False

    @model_validator(mode="after")
    def _rate_of_something(self) -> Self:
        if self.synonyms is None and self.synonym_rate != type(self).model_fields["synonym_rate"].default:
            raise ValueError("synonym_rate would have no effect without synonyms, a file; give both or neither")
        return self


class OptimizerConfig(Section):
    """AdamW with one learning-rate cycle; the scales are relative to `learning_rate`.

    Weight decay acts on matrices only, and not on the embedding table: rows that a batch does not use would fade.

    Attributes:
        max_gradient_norm: Longer gradients are cut to this norm; 0 turns that off.
    """

    learning_rate: Positive = 1e-3
    recurrent_learning_rate_scale: Positive = 1.0
    head_learning_rate_scale: Positive = 1.0
    weight_decay: NotNegative = 0.01
    beta1: Probability = 0.9
    beta2: Probability = 0.999
    epsilon: Positive = 1e-8
    max_gradient_norm: NotNegative = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    final_learning_rate_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0


class TrainingSection(Section):
    """The loop itself.

    Attributes:
        batch_size: Pairs in one forward pass, shared out where several processes train.
        accumulation_steps: Batches whose gradients make one step.
        ema_decay: Averaging of the weights, per step; 0 turns it off.
        ema_every: Steps between two updates of the average, which then moves as far as in as many steps of its own:
            less work where the weights are many and the batches small.
        averaged_checkpoints: The weights of this many best evaluations are averaged at the end (Izmailov et al. 2018,
            with the best in place of the last), and are the result where dev says that they are better; 1 takes the
            best alone.
        initial_share: The share of `initial_checkpoint` in the encoder's weights at the end; the trained ones have the
            rest (Wortsman et al. 2022). Small sets make a model forget what they do not hold. The mixture is the result
            where dev says that it is better; 0 leaves the trained weights as they are.
        precision: Of the forward pass's products. ``float32`` is full float32, on CUDA too; ``tf32`` (CUDA) cuts its
            mantissas to 10 bits; ``bf16`` and ``fp16`` (CUDA, with scaled losses) autocast. Weights, scores and losses
            are float32 in each of them.
        evaluations_per_epoch: How often dev is measured.
        patience: Stop after this many evaluations without a better one; absent, never.
        metric: The dev metric that decides; ``auto`` is Spearman for graded data, ROC AUC for 0/1 labels. The
            optimistic ones are measured at dev's own best threshold.
        save_every: Steps between two savings of the resumable state (it is also saved at every evaluation).
        initial_checkpoint: A checkpoint folder, or the name of a shipped one, whose tokenizer and weights are the start
            (fine-tuning).
        device: ``auto`` (CUDA when there is one), ``cpu``, ``cuda`` or ``cuda:1``; under torchrun ``auto`` and ``cuda``
            give each process a GPU of its own.
        threads: Threads of one CPU operation; absent, torch's own choice.
    """

    epochs: Count = 10
    batch_size: Count = 32
    accumulation_steps: Count = 1
    ema_decay: Probability = 0.995
    ema_every: Count = 1
    averaged_checkpoints: Annotated[int, Field(ge=1, le=100)] = 1
    initial_share: Probability = 0.0
    precision: PrecisionName = "float32"
    evaluations_per_epoch: Count = 1
    patience: Count | None = None
    metric: Metric = "auto"
    save_every: Count = 500
    log_every: Count = 50
    tensorboard: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: str = "auto"
    threads: Count | None = None
    initial_checkpoint: str | None = None

    @model_validator(mode="after")
    def _average_of_something(self) -> Self:
        if self.ema_decay == 0 and self.set_among("ema_every"):
            raise ValueError("ema_every would have no effect with ema_decay = 0; leave it out")
        return self

    @model_validator(mode="after")
    def _share_of_something(self) -> Self:
        if self.initial_share and self.initial_checkpoint is None:
            raise ValueError("initial_share needs initial_checkpoint, the weights that it is a share of; give both")
        return self


class CalibrationConfig(Section):
    """What is fitted on dev at the end; ``none`` leaves the checkpoint without probabilities and threshold.

    Attributes:
        threshold_metric: What the threshold makes largest.
        positive_from: On graded data, the gold score (scaled to [0, 1]) from which a pair counts as similar.
    """

    method: Literal["platt", "isotonic", "none"] = "platt"
    threshold_metric: Literal["accuracy", "f1", "balanced_accuracy"] = "accuracy"
    positive_from: Annotated[float, Field(gt=0, le=1)] = 0.5


class TrainingConfig(Section):
    """A whole experiment. Built by `simlstm.training.config_file.load_config`, which words the errors."""

    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    model: ModelSection = ModelSection()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig = DistillationConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingSection = TrainingSection()
    calibration: CalibrationConfig = CalibrationConfig()

    @model_validator(mode="after")
    def _teacher_and_its_texts(self) -> Self:
        if self.data.sentence_sources and self.distillation.teacher is None:
            raise ValueError("[distillation] teacher: missing; sources of sentences and translations need one")
        settings = self.distillation.set_among("cache", "cosine_weight", "similarity_weight", "precision")
        if settings and self.distillation.teacher is None:
            raise ValueError(
                f"[distillation] {', '.join(settings)} would have no effect without teacher; leave the section out"
            )
        if self.distillation.teacher is not None and not self.data.sentence_sources:
            raise ValueError(
                "[distillation] teacher: would have no effect; give a source with format = 'sentences' or "
                "'translations', or leave the section out"
            )
        if self.data.dev is not None and self.data.dev.is_for_distillation:
            raise ValueError(f"[data] dev: format {self.data.dev.format!r} has no labels; dev needs scores or labels")
        return self
