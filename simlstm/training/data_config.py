"""The configuration of a run's data: sources, the part that decides, and what each source teaches."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from simlstm.training.section import Count, NotNegative, Positive, Section

LOSS_NAMES = ("mse", "kl", "bce", "contrastive", "cosent", "multiple_negatives")
HeadLabel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
MAIN_HEAD = "main"


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
        dev_fraction: Used without `dev`: this share of the first labelled training source is set aside, by the first
            sentence. No pair of it stays in any source; single sentences may, in other pairs.
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
