"""The data of a run: training sources and the dev part that decides."""

import logging
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from simlstm.data.errors import DataError
from simlstm.data.formats import Columns, read_pairs
from simlstm.data.layouts import Kind
from simlstm.data.pairs import PairData
from simlstm.data.sameness import normal_pairs
from simlstm.data.sentences import SentenceData, read_sentences, read_translations
from simlstm.training.augmentation import read_synonyms
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.data_config import SourceConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunData:
    """The sources of a run, read.

    Attributes:
        train: What is trained on.
        sentences: What is learned from a teacher.
        synonyms: For augmentation, and the SHA-256 of their file; None without.
        dev: What decides. When it was set aside from `train`, no pair of it is in `train`, in either order; a single
            sentence of it may still be there, in another pair. A dev source of its own is taken as it is.
    """

    train: list[PairData]
    dev: PairData
    sentences: list[SentenceData] = field(default_factory=list)
    synonyms: tuple[dict[str, list[str]], str] | None = None

    @property
    def kinds(self) -> list[Kind]:
        """The kind of each training source of pairs."""
        return [source.kind for source in self.train]


def read_run_data(config: TrainingConfig) -> RunData:
    """Read the training sources and dev, or set dev aside.

    Raises:
        ConfigError: When dev has no labels or no rows, or a training source is left without rows.
        DataError: For a file that cannot be read, naming file and line.
    """
    train = [read_source(config, source) for source in config.data.pair_sources]
    if config.data.dev is not None:
        dev = read_source(config, config.data.dev)
        _warn_of_the_same_file(train, dev)
    else:
        train, dev = _set_aside(train, config)
    if config.data.leave_out_overlap:
        held_out = [dev, *(read_source(config, source) for source in config.data.count_overlap)]
        train = _without(train, set(chain.from_iterable(map(normal_pairs, held_out))), normal_pairs)
    if dev.kind == "positive":
        raise ConfigError(f"[data] dev: {dev.name} holds paraphrases only; dev needs scores or 0/1 labels")
    for data in (*train, dev):
        if not len(data):
            raise ConfigError(f"[data]: {data.name} holds no pairs; allowed: 1 and more")
    sentences = [_read_sentences(config, source) for source in config.data.sentence_sources]
    synonyms = config.augmentation.synonyms
    return RunData(train, dev, sentences, None if synonyms is None else read_synonyms(source_path(config, synonyms)))


def read_source(config: TrainingConfig, source: SourceConfig) -> PairData:
    """Read one source of pairs; relative paths start at ``data.root``.

    Raises:
        ConfigError: For settings of the source that contradict each other or the file.
        DataError: For a file that cannot be read, naming file and line.
    """
    path = source_path(config, source.path)
    columns = None if source.columns is None else Columns(**source.columns.model_dump())
    try:
        data = read_pairs(path, format=source.format, columns=columns, score_range=source.score_range)
        return data if source.sources is None else data.of_sources(source.sources)
    except DataError:
        raise
    except ValueError as error:  # arguments that contradict each other
        raise ConfigError(f"[data] {source.path}: {error}") from error


def _read_sentences(config: TrainingConfig, source: SourceConfig) -> SentenceData:
    """Read one source that a teacher is to explain."""
    path = source_path(config, source.path)
    columns = None if source.columns is None else Columns(**source.columns.model_dump())
    try:
        if source.format == "sentences":
            return read_sentences(path, columns=columns, collections=source.sources)
        translation = None if source.translation is None else source_path(config, source.translation)
        return read_translations(path, translation, columns=columns)
    except DataError:
        raise
    except ValueError as error:
        raise ConfigError(f"[data] {source.path}: {error}") from error


def source_path(config: TrainingConfig, path: str) -> str:
    """Return where a file of the configuration lies: a relative path starts at ``data.root``."""
    return path if config.data.root is None or path.startswith("demo:") else str(Path(config.data.root) / path)


def _set_aside(train: list[PairData], config: TrainingConfig) -> tuple[list[PairData], PairData]:
    """Take dev from the first labelled source, by its first sentence, and its pairs out of every training source."""
    labelled = [index for index, data in enumerate(train) if data.kind != "positive"]
    if not labelled or config.data.dev_fraction is None:
        raise ConfigError("[data] dev_fraction: needs a labelled training source, and none came; give dev")
    rest, dev = train[labelled[0]].split(config.data.dev_fraction, seed=config.training.seed)
    parts = [rest if index == labelled[0] else data for index, data in enumerate(train)]
    return _without(parts, set(dev.unordered_pairs()), PairData.unordered_pairs), dev


def _without(
    train: list[PairData], held_out: Set[Hashable], keys_of: Callable[[PairData], Sequence[Hashable]]
) -> list[PairData]:
    """Leave out the pairs that are held out, and say how many of which source."""
    kept = [source.select(row for row, key in enumerate(keys_of(source)) if key not in held_out) for source in train]
    for before, after in zip(train, kept, strict=True):
        if len(after) < len(before):
            logger.info(
                "%s: %d pairs left out of training, as they are held out", before.name, len(before) - len(after)
            )
    return kept


def _warn_of_the_same_file(train: list[PairData], dev: PairData) -> None:
    """Say that dev is trained on, when it is one of the training files."""
    for source in train:
        if source.sha256 == dev.sha256:
            trained_on = set(source.unordered_pairs())
            shared = sum(pair in trained_on for pair in dev.unordered_pairs())
            logger.warning(
                "%s: the same file is train and dev; dev measures memory on %d of its %d pairs",
                dev.name, shared, len(dev),
            )  # fmt: skip
