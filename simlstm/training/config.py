"""The training configuration: one frozen model per section of the TOML file."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from simlstm.models.config import Architecture, Classes

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
LOSS_NAMES = ("mse", "kl", "bce", "contrastive", "cosent", "multiple_negatives")

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
HeadLabel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
MAIN_HEAD = "main"


class Section(BaseModel):
    """One section: immutable, unknown keys refused, no silent conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def set_among(self, *names: str) -> list[str]:
        """Return those of some keys that are not at their defaults, in order of the alphabet."""
        return [name for name in sorted(names) if getattr(self, name) != type(self).model_fields[name].default]


class ColumnsConfig(Section):
    """Column names of a file with a header, or positions from 0 of one without."""

    sentence1: str | int
    sentence2: str | int
    target: str | int | None = None
    id: str | int | None = None
    group: str | int | None = None
    source: str | int | None = None


class LossWeights(Section):
    """The weight of each loss in the sum; 0 leaves it out."""

    mse: NotNegative = 0.0
    kl: NotNegative = 0.0
    bce: NotNegative = 0.0
    contrastive: NotNegative = 0.0
    cosent: NotNegative = 0.0
    multiple_negatives: NotNegative = 0.0

    def active(self) -> dict[str, float]:
        """Return the losses that count, by name."""
        return {name: getattr(self, name) for name in LOSS_NAMES if getattr(self, name) > 0}


class SourceConfig(Section):
    """One data source; a bare string in the TOML stands for its path.

    Attributes:
        path: A file, or ``demo:train`` and its kin.
        format: A format name of `simlstm.data`, or ``auto``. ``sentences`` and ``translations`` have no labels and are
            learned from a teacher: a text of one sentence a line, or all sentences of a pair file; or the columns
            sentence1, which the teacher reads, and sentence2, which the student reads.
        translation: With ``translations``: `path` and this one are a pair file in the teacher's language and the same
            in the student's, line by line.
        columns: Which column means what, for a file with columns of its own; see `simlstm.data.layouts.Columns`.
        score_range: Lowest and highest score, for graded data in such a file.
        weight: How often the source is gone through in one epoch; 0.5 takes half of its batches, 2 takes each twice.
        sources: Keep the rows whose ``source`` column says one of these; absent, all rows.
        head: The pair head that these rows train, or, of dev, the one that is measured and saved. Heads of other names
            share the encoder and are dropped at the end.
        batch_size: Rows of a batch of this source, instead of `training.batch_size`.
        losses: Weights of the losses for this source, instead of `loss.weights`.
    """

    path: Annotated[str, Field(min_length=1)]
    format: str = "auto"
    columns: ColumnsConfig | None = None
    score_range: Annotated[tuple[float, float], Field(strict=False)] | None = None
    weight: Positive = 1.0
    sources: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    head: HeadLabel = MAIN_HEAD
    batch_size: Count | None = None
    losses: LossWeights | None = None
    translation: str | None = None

    @property
    def is_for_distillation(self) -> bool:
        """Whether there are no labels, and a teacher says what is right."""
        return self.format in ("sentences", "translations")

    @model_validator(mode="after")
    def _nothing_idle(self) -> Self:
        idle = {"head", "losses", "score_range"} if self.is_for_distillation else set()
        idle |= {"sources"} if self.format == "translations" else {"translation"}
        if given := self.set_among(*idle):
            raise ValueError(f"{', '.join(given)} would have no effect with format = {self.format!r}; leave it out")
        if self.losses is not None and not self.losses.active():
            raise ValueError("losses: no loss has a weight; give one, or leave losses out for those of [loss] weights")
        return self


def _source_from_text(value: Any) -> Any:
    """Let a bare string stand for a source with its defaults."""
    return {"path": value} if isinstance(value, str) else value


def _source_list(value: Any) -> Any:
    """Let a single source stand for a list of one."""
    return [value] if isinstance(value, str | dict) else value


Source = Annotated[SourceConfig, BeforeValidator(_source_from_text)]


class DataConfig(Section):
    """What is trained on, and what decides.

    Attributes:
        train: Sources, mixed batch by batch.
        dev: The source that chooses the best checkpoint, stops early, and fits the calibration.
        dev_fraction: Used without `dev`, with exactly one labelled training source: this share of it is set aside, by
            the first sentence. No pair of it stays in training; single sentences may, in other pairs.
        root: The folder that relative paths start from; the working directory when absent.
        count_overlap: Further files of pairs, such as test sets: how much of them, and of dev, stands in training is
            printed and recorded. They are used for nothing else, but for `leave_out_overlap`.
        leave_out_overlap: Leave the pairs out of training that stand in dev or in a file of `count_overlap`, in either
            order; case, width and spacing aside. Single sentences stay, and so does what a teacher teaches.
    """

    train: Annotated[tuple[Source, ...], Field(min_length=1, strict=False), BeforeValidator(_source_list)]
    dev: Source | None = None
    dev_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    root: str | None = None
    count_overlap: Annotated[tuple[Source, ...], Field(strict=False), BeforeValidator(_source_list)] = ()
    leave_out_overlap: bool = False

    @property
    def pair_sources(self) -> tuple[SourceConfig, ...]:
        """The training sources of pairs."""
        return tuple(source for source in self.train if not source.is_for_distillation)

    @property
    def sentence_sources(self) -> tuple[SourceConfig, ...]:
        """The training sources without labels, for distillation."""
        return tuple(source for source in self.train if source.is_for_distillation)

    @model_validator(mode="after")
    def _one_dev(self) -> Self:
        if (self.dev is None) == (self.dev_fraction is None):
            raise ValueError("give exactly one of dev (a source) and dev_fraction (a share of train, such as 0.1)")
        return self

    @model_validator(mode="after")
    def _nothing_idle(self) -> Self:
        for_training = ("weight", "batch_size", "losses")
        if self.dev is not None and (given := self.dev.set_among(*for_training)):
            raise ValueError(f"dev: {', '.join(given)} would have no effect, as dev is not trained on; leave it out")
        for source in self.count_overlap:
            if given := source.set_among(*for_training, "head"):
                raise ValueError(
                    f"count_overlap: {', '.join(given)} of {source.path} would have no effect, as it is only counted; "
                    "leave it out"
                )
        return self


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
