"""The expected calibration error: by hand, by chance, and what is refused."""

import numpy as np
import pytest

from simlstm.evaluation.reliability import expected_calibration_error


def test_by_hand():
    # Bin 0.2..0.3: promised .25, came 1/2. Bin 0.9..1: promised .95, came 2/2.
    error = expected_calibration_error([0.2, 0.3 - 1e-9, 0.9, 1.0], [0, 1, 1, 1])
    assert error == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    assert expected_calibration_error([0.0, 1.0], [0, 1]) == 0.0
    assert expected_calibration_error([0.0, 1.0], [1, 0]) == 1.0


def test_too_much_and_too_little_in_one_bin_cancel_and_in_two_do_not():
    assert expected_calibration_error([0.4, 0.6], [1, 0], bins=1) == pytest.approx(0.0)
    assert expected_calibration_error([0.4, 0.6], [1, 0], bins=2) == pytest.approx(0.6)


def test_kept_probabilities_have_a_small_error_and_others_have_theirs():
    generator = np.random.default_rng(0)
    promised = generator.uniform(size=20_000)
    came = (generator.uniform(size=20_000) < promised).astype(float)
    assert expected_calibration_error(promised, came) < 0.4 / np.sqrt(2_000) * 2
    # Promising p where p² comes: the error is the mean of p - p², one sixth.
    assert expected_calibration_error(np.sqrt(promised), came) == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize(
    ("probabilities", "labels", "bins", "message"),
    [
        ([0.5], [0, 1], 10, "two vectors of one length"),
        ([], [], 10, "not empty"),
        ([1.5], [1], 10, "probabilities: 1.5 to 1.5 came; allowed: 0 to 1"),
        ([np.nan], [1], 10, "allowed: 0 to 1"),
        ([0.5], [0.5], 10, "allowed: 0 and 1"),
        ([0.5], [1], 0, "bins: 0 came"),
    ],
)
def test_what_is_refused(probabilities, labels, bins, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(probabilities, labels, bins=bins)
