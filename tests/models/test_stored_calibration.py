"""Calibration: probabilities by hand, and parameters that make no sense."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from simlstm.models.calibration import Calibration, IsotonicParameters, PlattParameters

FITTED_ON = {"name": "dev", "rows": 3, "sha256": "0" * 64}
PLATT = {"method": "platt", "parameters": {"slope": 2.0, "intercept": -1.0}}
ISOTONIC = {"method": "isotonic", "parameters": {"scores": [0.0, 0.5, 1.0], "probabilities": [0.1, 0.1, 0.9]}}


def build(fields: dict[str, Any]) -> Calibration:
    return Calibration.model_validate(
        {"threshold": 0.5, "threshold_metric": "f1", "positive_from": 0.6, "fitted_on": FITTED_ON, **fields}
    )


def test_platt_by_hand() -> None:
    calibration = build(PLATT)
    assert isinstance(calibration.parameters, PlattParameters)
    probabilities = calibration.probability([0.5, 1.0, -0.5])
    np.testing.assert_allclose(probabilities, [0.5, 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(2))], rtol=1e-6)
    assert probabilities.dtype == np.float32


def test_isotonic_by_hand() -> None:
    calibration = build(ISOTONIC)
    assert isinstance(calibration.parameters, IsotonicParameters)
    probabilities = calibration.probability(np.array([[-3.0, 0.25], [0.75, 9.0]]))
    np.testing.assert_allclose(probabilities, [[0.1, 0.1], [0.5, 0.9]], rtol=1e-6)


@settings(deadline=None)
@given(
    fields=st.sampled_from([PLATT, ISOTONIC]),
    scores=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8),
)
def test_probabilities_lie_in_zero_to_one_and_never_fall(fields: dict[str, Any], scores: list[float]) -> None:
    probabilities = build(fields).probability(sorted(scores))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= 0).all()


def test_no_scores_and_no_number() -> None:
    assert build(PLATT).probability([]).shape == (0,)
    assert np.isnan(build(PLATT).probability([np.nan])).all()
    assert np.isnan(build(ISOTONIC).probability([np.nan])).all()


@pytest.mark.parametrize("fields", [PLATT, ISOTONIC])
def test_survives_json(fields: dict[str, Any]) -> None:
    calibration = build(fields)
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**PLATT, "method": "isotonic"}, "method='isotonic' takes parameters .*probabilities.*got .*intercept"),
        ({**ISOTONIC, "method": "platt"}, "method='platt' takes parameters"),
        ({**PLATT, "method": "beta"}, "Input should be 'platt' or 'isotonic'"),
        ({**PLATT, "threshold": float("nan")}, "finite"),
        ({**PLATT, "positive_from": 1.5}, "less than or equal to 1"),
        ({**PLATT, "parameters": {"slope": float("inf"), "intercept": 0.0}}, "finite"),
        ({**PLATT, "parameters": {"slope": 1.0}}, "intercept"),
        ({**PLATT, "fitted_on": {**FITTED_ON, "rows": 0}}, "greater than or equal to 1"),
        ({**PLATT, "temperature": 1.0}, "Extra inputs"),
        (
            {"method": "isotonic", "parameters": {"scores": [0.0], "probabilities": [0.1, 0.2]}},
            "scores has 1 knots and probabilities 2",
        ),
        (
            {"method": "isotonic", "parameters": {"scores": [0.0, 0.0], "probabilities": [0.1, 0.2]}},
            "scores must rise strictly",
        ),
        (
            {"method": "isotonic", "parameters": {"scores": [0.0, 1.0], "probabilities": [0.2, 0.1]}},
            "probabilities must not fall",
        ),
        ({"method": "isotonic", "parameters": {"scores": [], "probabilities": []}}, "at least 1 item"),
        (
            {"method": "isotonic", "parameters": {"scores": [0.0], "probabilities": [1.1]}},
            "less than or equal to 1",
        ),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(fields)
