"""Calibration: from a score to a probability and a verdict, stored with the checkpoint."""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class FittedOn(BaseModel):
    """The data that a calibration was fitted on.

    Attributes:
        name: Name of the data set.
        rows: Number of pairs.
        sha256: Hash of the file that held them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: Annotated[int, Field(ge=1)]
    sha256: str


class PlattParameters(BaseModel):
    """probability = 1 / (1 + exp(-(slope * score + intercept))) (Platt 1999)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: Finite
    intercept: Finite


class IsotonicParameters(BaseModel):
    """A curve that never falls, linear between its knots and flat outside of them (Zadrozny & Elkan 2002).

    Attributes:
        scores: Where the knots lie, strictly rising.
        probabilities: Value at each knot, never falling, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: Annotated[tuple[Finite, ...], Field(min_length=1)]
    probabilities: Annotated[tuple[Fraction, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_a_rising_curve(self) -> Self:
        """Refuse knots that do not form a function, or that let a better score mean a lower probability."""
        if len(self.scores) != len(self.probabilities):
            raise ValueError(
                f"scores has {len(self.scores)} knots and probabilities {len(self.probabilities)}; they go together"
            )
        if any(right <= left for left, right in zip(self.scores, self.scores[1:], strict=False)):
            raise ValueError("scores must rise strictly from knot to knot")
        if any(right < left for left, right in zip(self.probabilities, self.probabilities[1:], strict=False)):
            raise ValueError("probabilities must not fall from knot to knot")
        return self


class Calibration(BaseModel):
    """What turns the scores of one checkpoint into probabilities and verdicts.

    Attributes:
        method: "platt" or "isotonic".
        parameters: ``PlattParameters`` or ``IsotonicParameters``, as ``method`` says.
        threshold: The score at and above which a pair is a match.
        threshold_metric: The metric that the threshold was chosen for, such as "f1" or "accuracy".
        positive_from: The target, scaled to [0, 1], at and above which a pair counted as positive when fitting.
        fitted_on: The data it was fitted on, never the data that results are reported on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["platt", "isotonic"]
    parameters: PlattParameters | IsotonicParameters
    threshold: Finite
    threshold_metric: str
    positive_from: Fraction = 0.5
    fitted_on: FittedOn

    @model_validator(mode="after")
    def _parameters_fit_the_method(self) -> Self:
        """Refuse the parameters of another method."""
        expected = PlattParameters if self.method == "platt" else IsotonicParameters
        if not isinstance(self.parameters, expected):
            raise ValueError(
                f"method={self.method!r} takes parameters {sorted(expected.model_fields)}, "
                f"got {sorted(type(self.parameters).model_fields)}"
            )
        return self

    def probability(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Turn scores into probabilities.

        Args:
            scores: Scores of the pair head, any shape.

        Returns:
            float32 in [0, 1], the same shape. NaN stays NaN.
        """
        values = np.asarray(scores, dtype=np.float64)
        if isinstance(self.parameters, IsotonicParameters):
            return np.interp(values, self.parameters.scores, self.parameters.probabilities).astype(np.float32)
        # Half a tanh is the same sigmoid without an exponential that can overflow.
        argument = self.parameters.slope * values + self.parameters.intercept
        return (0.5 * (1.0 + np.tanh(0.5 * argument))).astype(np.float32)


def known_calibration(calibration: Calibration | None, name: str) -> Calibration:
    """Return the calibration of the model called ``name``.

    Raises:
        ValueError: If it has none.
    """
    if calibration is None:
        raise ValueError(
            f"the model {name!r} has no calibration, so its scores are not probabilities; "
            "train it with a [calibration] section, or use score"
        )
    return calibration
