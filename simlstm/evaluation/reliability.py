"""Whether probabilities are kept: the expected calibration error."""

import numpy as np
from numpy.typing import ArrayLike

from simlstm.evaluation.metrics import require_binary


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 10) -> float:
    """Return the mean distance between what was promised and what came, over bins of equal width.

    Each bin's distance is |mean probability - share of positives|, weighted by its number of pairs (Naeini et al. 2015;
    Guo et al. 2017, equation 3). It is 0 for a model that is right about every bin, and grows a little by chance alone:
    with n pairs in a bin, by about 0.4 / sqrt(n).

    Args:
        probabilities: [P] in [0, 1], from a calibration fitted on other data.
        labels: [P], 0 or 1.
        bins: Number of bins; the last one holds 1.0, too.

    Raises:
        ValueError: For unequal or empty vectors, probabilities outside of [0, 1], labels that are not 0 or 1, or bins
            below 1.
    """
    promised = np.asarray(probabilities, dtype=np.float64)
    came = np.asarray(labels, dtype=np.float64)
    if promised.ndim != 1 or promised.shape != came.shape or not len(promised):
        raise ValueError(
            f"probabilities and labels: got shapes {promised.shape} and {came.shape}; "
            "allowed: two vectors of one length, not empty"
        )
    if bins < 1:
        raise ValueError(f"bins: {bins} came; allowed: 1 and more")
    if not ((promised >= 0) & (promised <= 1)).all():
        raise ValueError(f"probabilities: {promised.min():g} to {promised.max():g} came; allowed: 0 to 1")
    require_binary(came)
    places = np.minimum((promised * bins).astype(np.int64), bins - 1)
    surplus = np.bincount(places, weights=promised - came, minlength=bins)
    return float(np.abs(surplus).sum() / len(promised))
