"""Distillation: a sentence's vector, and its place among others, as a teacher has them; no label is needed."""

import logging
from collections.abc import Sequence
from itertools import accumulate, chain

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from simlstm.data.sentences import SentenceData
from simlstm.training.config import DistillationConfig, TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.distributed import Processes
from simlstm.training.teachers import TeacherCache

logger = logging.getLogger(__name__)


class DistillationLoss:
    """What a student's vectors lack to be a teacher's.

    ``distillation_cosine`` is the mean of 1 - cos(student, teacher): the vectors themselves (Reimers and Gurevych 2020,
    with the cosine in place of the squared distance, as lengths carry no meaning here). ``distillation_similarity`` is
    the mean squared difference of the cosines between the sentences of the batch: their relations (Park et al. 2019,
    "Relational Knowledge Distillation"), which vectors of any width can have.

    Args:
        config: The weights of the two.
    """

    def __init__(self, config: DistillationConfig) -> None:
        self.cosine_weight = config.cosine_weight
        self.similarity_weight = config.similarity_weight

    def __call__(self, embeddings: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Compute the losses of one batch, in float32 whatever the model's precision.

        Args:
            embeddings: Of the student, [B, D].
            targets: Of the teacher, float32 [B, E]; E = D where the cosine has a weight.

        Returns:
            Each term with a weight, unweighted, by name, and the weighted sum as ``loss``.
        """
        student, teacher = F.normalize(embeddings.float(), dim=1), F.normalize(targets, dim=1)
        terms: dict[str, Tensor] = {}
        total = targets.new_zeros(())
        if self.cosine_weight > 0:
            terms["distillation_cosine"] = 1 - (student * teacher).sum(dim=1).mean()
            total = total + self.cosine_weight * terms["distillation_cosine"]
        if self.similarity_weight > 0:
            terms["distillation_similarity"] = similarity_error(student, teacher)
            total = total + self.similarity_weight * terms["distillation_similarity"]
        return {"loss": total, **terms}


def similarity_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of the cosines of each two different rows; 0 for one row.

    Args:
        student: [B, D], rows of length 1.
        teacher: [B, E], rows of length 1.
    """
    count = len(student)
    difference = student @ student.T - teacher @ teacher.T  # (B, B)
    off_diagonal = ~torch.eye(count, dtype=torch.bool, device=difference.device)
    return (difference.square() * off_diagonal).sum() / max(count * (count - 1), 1)


def open_teacher(config: TrainingConfig) -> TeacherCache:
    """Open the vectors of the configured teacher.

    Raises:
        ConfigError: When there is no such teacher.
    """
    settings = config.distillation
    assert settings.teacher is not None  # noqa: S101 - asked for by who has one
    try:
        return TeacherCache(settings.teacher, settings.cache, precision=settings.precision)
    except ValueError as error:
        raise ConfigError(f"[distillation] {error}") from error


def check_width(config: DistillationConfig, *, student: int, teacher: int) -> None:
    """Refuse to compare vectors of two widths.

    Raises:
        ConfigError: Saying what makes them equal.
    """
    if config.cosine_weight > 0 and student != teacher:
        raise ConfigError(
            f"[distillation] cosine_weight: the student's vectors have {student} numbers, the teacher's {teacher}; "
            f"set model.projection_size = {teacher}, or cosine_weight = 0"
        )


def teachers_vectors(
    cache: TeacherCache, sources: Sequence[SentenceData], processes: Processes
) -> list[NDArray[np.float16]]:
    """Return the teacher's vectors of each source, float16 [n, E]; the first process encodes what the cache lacks.

    The others hear from it after each shard, as they wait for no word longer than the connection's time limit. The
    vectors are parts of one array, which is not copied.
    """
    texts = list(chain.from_iterable(source.taught for source in sources))
    shards = cache.filling(texts)
    while processes.lead(lambda: next(shards, 0)):
        pass
    ends = list(accumulate(len(source.taught) for source in sources))
    return np.split(cache.vectors(texts), ends[:-1])
