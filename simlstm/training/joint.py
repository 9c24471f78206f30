"""Joint training: one encoder, a pair head for each kind of score, and losses for each source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.config import ModelConfig
from simlstm.models.heads import build_head
from simlstm.models.siamese import PairOutput, SiameseModel
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.data_config import MAIN_HEAD, DataConfig
from simlstm.training.objective import THROUGH_HEAD, Head, Kind, Objective


class JointModel(SiameseModel):
    """The pair model with further heads by name, for training; the first head is dev's.

    Args:
        model: Its encoder and head are taken, not copied.
        others: The further heads.
    """

    def __init__(self, model: SiameseModel, others: Mapping[str, nn.Module]) -> None:
        super().__init__(model.encoder, model.head)
        # "train" and "items" may name a head, but not a part of a ModuleDict.
        self.others = nn.ModuleDict({f"head-{name}": head for name, head in others.items()})

    def forward(self, tokens: PackedSequence, head: str | None = None) -> PairOutput:
        """Compare P pairs as `SiameseModel` does, with dev's head or with another one."""
        return self._compare(tokens, self.head if head is None else self.others[f"head-{head}"])


def served(model: SiameseModel) -> SiameseModel:
    """Return what is measured and saved: the encoder with dev's head. It shares its weights with the model."""
    if not isinstance(model, JointModel):
        return model
    part = SiameseModel(model.encoder, model.head)
    part.training = model.training
    return part


def dev_head(config: DataConfig, kinds: Sequence[Kind]) -> str:
    """Return the name of the head that dev measures; a part set aside has the head of its source.

    Args:
        config: Sources, and dev or its share.
        kinds: Of the training sources.
    """
    if config.dev is not None:
        return config.dev.head
    labelled = [source.head for source, kind in zip(config.pair_sources, kinds, strict=True) if kind != "positive"]
    return labelled[0]


def heads_of(config: DataConfig, kinds: Sequence[Kind]) -> dict[str, list[Kind]]:
    """Return the kinds of data that train each head, by its name, in the order of the sources.

    Raises:
        ConfigError: For a head named by rows that train none, for heads of several names of which one learns from
            graded scores and from labels, and for a dev head that no source trains.
    """
    heads: dict[str, list[Kind]] = {}
    for source, kind in zip(config.pair_sources, kinds, strict=True):
        if kind != "positive":
            heads.setdefault(source.head, []).append(kind)
        elif source.head != MAIN_HEAD:
            raise ConfigError(f"[data] train: {source.path} has head = {source.head!r}, and paraphrases train no head")
    if not heads:
        return heads
    for name, trained_by in heads.items():
        if len(heads) > 1 and len(set(trained_by)) > 1:
            raise ConfigError(
                f"[data] train: head {name!r} is trained by {' and '.join(sorted(set(trained_by)))} data, whose "
                "classes are not the same; give each kind a head of its own"
            )
    if (name := dev_head(config, kinds)) not in heads:
        raise ConfigError(f"[data] dev: head = {name!r}, which no training source trains; allowed: {', '.join(heads)}")
    return heads


def with_other_heads(
    model: SiameseModel, config: DataConfig, kinds: Sequence[Kind], model_config: ModelConfig
) -> SiameseModel:
    """Give a pair model the heads of other names than dev's, with random weights; without any it stays as it is.

    A head for the same kind of data as dev's has as many classes, one for labels two, one for graded scores five.
    Heads without weights are one and the same, so that there is nothing to add.

    Raises:
        ConfigError: See `heads_of`.
    """
    heads = heads_of(config, kinds)
    if model_config.head != "mlp" or len(heads) < 2:
        return model
    own = dev_head(config, kinds)
    others: dict[str, nn.Module] = {}
    for name, trained_by in heads.items():
        if name != own:
            classes = 2 if trained_by[0] == "binary" else 5
            classes = model_config.classes if trained_by[0] == heads[own][0] else classes
            form = model_config.model_copy(update={"classes": classes})
            others[name] = build_head(form, model.encoder.output_size)
    return JointModel(model, others)


@dataclass(frozen=True, slots=True)
class PairTask:
    """What a source of pairs teaches.

    Attributes:
        objective: Its losses.
        head: The head that compares its pairs; None for dev's.
    """

    objective: Objective
    head: str | None = None


def build_tasks(config: TrainingConfig, *, head: Head, kinds: Sequence[Kind]) -> list[PairTask]:
    """Build the task of each training source of pairs.

    Args:
        config: The experiment.
        head: Form of the pair heads.
        kinds: Of the sources.

    Raises:
        ConfigError: For losses that fit neither head nor data, and for a head that would stay untrained.
    """
    sources = config.data.pair_sources
    heads = heads_of(config.data, kinds)
    shared_kinds = [kind for source, kind in zip(sources, kinds, strict=True) if source.losses is None]
    if not shared_kinds and config.loss.weights.active():
        raise ConfigError("[loss] weights: would have no effect, as no source of pairs learns by them")
    is_whole = len(shared_kinds) == len(sources) and len(heads) < 2
    shared = Objective(config.loss, head=head, kinds=shared_kinds, trains_head=is_whole) if shared_kinds else None
    tasks: list[PairTask] = []
    through: dict[str, bool] = dict.fromkeys(heads or [MAIN_HEAD], False)
    for source, kind in zip(sources, kinds, strict=True):
        objective = shared
        if source.losses is not None:
            own = config.loss.model_copy(update={"weights": source.losses})
            try:
                objective = Objective(own, head=head, kinds=[kind], trains_head=False)
            except ConfigError as error:
                raise ConfigError(f"[data] train: losses of {source.path}: {error}") from error
        assert objective is not None  # noqa: S101 - a source without losses of its own has the shared ones
        other = head == "mlp" and len(heads) > 1 and kind != "positive" and source.head != dev_head(config.data, kinds)
        tasks.append(PairTask(objective, source.head if other else None))
        if kind != "positive":
            through[source.head] |= bool(THROUGH_HEAD & set(objective.applicable(kind)))
    if head == "mlp" and (untrained := [name for name, reached in through.items() if not reached]):
        raise ConfigError(
            f"[loss] weights: the losses would leave the mlp head {', '.join(map(repr, untrained))} untrained, and its "
            "score random; add kl, mse or bce to a source that has it"
        )
    return tasks
