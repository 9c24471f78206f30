"""The losses, each a function of one batch of P pairs that returns a scalar in the dtype of its first argument."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mean_squared_error(score: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared difference of scores [P] and targets [P] in [0, 1]."""
    return F.mse_loss(score, targets)


def soft_classes(targets: Tensor, classes: int) -> Tensor:
    """Spread each target over its two neighbouring classes, so that the expected class is the target.

    Tai, Socher and Manning 2015, section 4.2: with y between the classes k and k + 1, k + 1 gets y - k and k the rest.

    Args:
        targets: [P] in [0, 1]; 0 is the first class, 1 the last.
        classes: Number of classes K, at least 2.

    Returns:
        [P, K], rows that sum to 1.
    """
    position = targets * (classes - 1)
    lower = position.floor().clamp(max=classes - 2).long()  # (P,)
    upper_share = position - lower
    weights = torch.zeros(len(targets), classes, dtype=targets.dtype, device=targets.device)
    weights.scatter_(1, lower[:, None], (1 - upper_share)[:, None])
    return weights.scatter_(1, lower[:, None] + 1, upper_share[:, None])


def kl_on_classes(class_log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return the mean KL divergence of predicted classes from the soft classes of the targets (Tai et al. 2015).

    Args:
        class_log_probabilities: [P, K].
        targets: [P] in [0, 1].
    """
    soft = soft_classes(targets.to(class_log_probabilities.dtype), class_log_probabilities.shape[1])
    return F.kl_div(class_log_probabilities, soft, reduction="batchmean")


def log_odds_of_classes(class_log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return log s and log(1 - s) of the expected class s, scaled to [0, 1], without rounding s first.

    A score that rounds to 1 would make log(1 - s) infinite, and its gradient meaningless.

    Args:
        class_log_probabilities: [P, K].

    Returns:
        Two tensors [P].
    """
    classes = class_log_probabilities.shape[1]
    grades = torch.linspace(0, 1, classes, dtype=class_log_probabilities.dtype, device=class_log_probabilities.device)
    log_score = torch.logsumexp(class_log_probabilities[:, 1:] + grades[1:].log(), dim=1)
    log_rest = torch.logsumexp(class_log_probabilities[:, :-1] + (1 - grades[:-1]).log(), dim=1)
    return log_score, log_rest


def log_odds_of_distance(embeddings1: Tensor, embeddings2: Tensor) -> tuple[Tensor, Tensor]:
    """Return log s and log(1 - s) of the Manhattan similarity s = exp(-|u - v|_1).

    Distances below 1e-6 count as 1e-6: equal embeddings have s = 1, and no finite loss for the label 0.

    Args:
        embeddings1: [P, D].
        embeddings2: [P, D].

    Returns:
        Two tensors [P].
    """
    distance = (embeddings1 - embeddings2).abs().sum(dim=1).clamp(min=1e-6)
    return -distance, torch.log(-torch.expm1(-distance))


def binary_cross_entropy(log_score: Tensor, log_rest: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of scores, taken as probabilities, against targets [P] in [0, 1].

    Args:
        log_score: Logarithm of the score, [P].
        log_rest: Logarithm of one minus the score, [P].
        targets: [P].
    """
    targets = targets.to(log_score.dtype)
    return -(targets * log_score + (1 - targets) * log_rest).mean()


def contrastive(embeddings1: Tensor, embeddings2: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Return the contrastive loss on the cosine distance d = 1 - cos (Hadsell, Chopra and LeCun 2006, equation 4).

    A similar pair pays d²/2, any other max(0, margin - d)²/2.

    Args:
        embeddings1: [P, D].
        embeddings2: [P, D].
        labels: [P], 1 for similar and 0 for not.
        margin: The distance from which an unlike pair costs nothing.
    """
    distance = 1 - F.cosine_similarity(embeddings1, embeddings2)
    labels = labels.to(distance.dtype)
    return (labels * distance.square() + (1 - labels) * F.relu(margin - distance).square()).mean() / 2


def cosent(embeddings1: Tensor, embeddings2: Tensor, targets: Tensor, *, scale: float) -> Tensor:
    """Return log(1 + sum of exp(scale·(cos_j - cos_i)) over all i, j of the batch with target_i > target_j).

    CoSENT (Su Jianlin 2022, "CoSENT: a more effective sentence vector scheme than Sentence-BERT"): a smooth count of
    the pairs that the cosine puts in the wrong order.

    Args:
        embeddings1: [P, D].
        embeddings2: [P, D].
        targets: [P].
        scale: Sharpness of the comparison.
    """
    cosine = F.cosine_similarity(embeddings1, embeddings2) * scale
    difference = cosine[None, :] - cosine[:, None]  # (P, P): entry i, j is cos_j - cos_i
    ordered = targets[:, None] > targets[None, :]
    terms = difference.masked_fill(~ordered, float("-inf")).flatten()
    return torch.logsumexp(torch.cat([terms.new_zeros(1), terms]), dim=0)


def multiple_negatives(
    embeddings1: Tensor,
    embeddings2: Tensor,
    groups: Tensor | None = None,
    *,
    temperature: float,
    partners: Tensor | None = None,
) -> Tensor:
    """Return the ranking loss with in-batch negatives, in both directions (Henderson et al. 2017, section 4.4).

    Each sentence must find its partner among the partners of the whole batch by cosine / temperature. Pairs of one
    group say the same thing, so they are never each other's negatives.

    Args:
        embeddings1: [P, D].
        embeddings2: [P, D]; row i is the partner of row i.
        groups: [P] int64, or None when every pair is a group of its own.
        temperature: Divides the cosines.
        partners: [P] bool, False for rows that take no part, as if they were not there; the loss of no row is 0.
            Their number is never asked for, which would make the host wait for a GPU.
    """
    similarity = F.normalize(embeddings1, dim=1) @ F.normalize(embeddings2, dim=1).T / temperature  # (P, P)
    if groups is not None:
        same = groups[:, None] == groups[None, :]
        same.fill_diagonal_(False)
        similarity = similarity.masked_fill(same, float("-inf"))
    own = torch.arange(len(similarity), device=similarity.device)
    if partners is None:
        return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2
    # The diagonal stays: a row of nothing but minus infinity would have no finite gradient to leave out.
    absent = (~partners[:, None] | ~partners[None, :]).fill_diagonal_(False)
    similarity = similarity.masked_fill(absent, float("-inf"))
    rows = F.cross_entropy(similarity, own, reduction="none") + F.cross_entropy(similarity.T, own, reduction="none")
    return torch.where(partners, rows, 0).sum() / (2 * partners.sum().clamp(min=1))
