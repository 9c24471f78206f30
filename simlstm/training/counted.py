"""The files whose overlap with the training data is counted, and the words for it."""

import logging
from collections.abc import Callable, Mapping, Sequence

from simlstm.data.pairs import PairData
from simlstm.training.config import TrainingConfig
from simlstm.training.run_data import RunData, _read

logger = logging.getLogger(__name__)

CountOverlap = Callable[[Sequence[PairData], Sequence[PairData]], Mapping[str, Mapping[str, int]]]


def overlap_of(config: TrainingConfig, data: RunData, count: CountOverlap) -> dict[str, dict[str, int]]:
    """Count what dev and the files of ``data.count_overlap`` share with the training pairs, and log it.

    Args:
        config: The experiment.
        data: As read.
        count: Given the files and the training sources, returns ``pairs``, ``all_pairs``, ``sentences`` and
            ``all_sentences`` of each file by its name.

    Raises:
        DataError: For a file that cannot be read.
    """
    files = [data.dev, *(_read(config, source) for source in config.data.count_overlap)]
    overlap = {name: dict(counts) for name, counts in count(files, data.train).items()}
    for name, shared in overlap.items():
        logger.info(
            "%s: %d of %d pairs and %d of %d sentences stand in the training data",
            name,
            shared["pairs"],
            shared["all_pairs"],
            shared["sentences"],
            shared["all_sentences"],
        )
    return overlap
