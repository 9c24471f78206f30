"""The files whose overlap with the training data is counted, and the words for it."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from simlstm.data.pairs import PairData
from simlstm.data.sentences import SentenceData
from simlstm.training.config import TrainingConfig
from simlstm.training.run_data import RunData, read_source

logger = logging.getLogger(__name__)

CountOverlap = Callable[
    [Sequence[PairData], Sequence[PairData], Sequence[SentenceData]], Mapping[str, Mapping[str, int]]
]


def overlap_of(config: TrainingConfig, data: RunData, count: CountOverlap) -> dict[str, dict[str, int]]:
    """Count what dev and the files of ``data.count_overlap`` share with the training data, and log it.

    Args:
        config: The experiment.
        data: As read.
        count: Given the files, the training pairs and the sentences learned from a teacher, returns ``pairs``,
            ``all_pairs``, ``sentences``, ``all_sentences`` and, where a teacher teaches, ``taught_sentences`` of each
            file by its name.

    Returns:
        What `count` does. Files of one name, such as ``stsb/dev.csv`` of two languages, go by their paths.

    Raises:
        ConfigError: For settings of a file that contradict each other.
        DataError: For a file that cannot be read.
    """
    dev = "dev" if config.data.dev is None else config.data.dev.path
    files = [(dev, data.dev), *((file.path, read_source(config, file)) for file in config.data.count_overlap)]
    named = Counter(file.name for _, file in files)
    sets = [file if named[file.name] == 1 else replace(file, name=path) for path, file in files]
    overlap = {name: dict(counts) for name, counts in count(sets, data.train, data.sentences).items()}
    for name, shared in overlap.items():
        logger.info("%s", overlap_line(name, shared))
    return overlap


def overlap_line(name: str, shared: Mapping[str, int]) -> str:
    """Say for people what one file shares with the training data.

    Args:
        name: Of the file.
        shared: As a run records it.
    """
    line = (
        f"{name}: {shared['pairs']:,} of {shared['all_pairs']:,} pairs and {shared['sentences']:,} of "
        f"{shared['all_sentences']:,} sentences stand in the training pairs"
    )
    if "taught_sentences" in shared:
        line += f", {shared['taught_sentences']:,} sentences in what a teacher teaches"
    return line
