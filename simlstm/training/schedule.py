"""The learning-rate cycle, a pure function of the step, so that there is nothing to save and nothing to drift."""

import math
from typing import Literal


def learning_rate_factor(
    step: int,
    *,
    total_steps: int,
    warmup_fraction: float,
    kind: Literal["cosine", "linear", "constant"],
    final_fraction: float = 0.0,
) -> float:
    """Return what the base learning rate is multiplied by at one step.

    A linear climb to 1 over the warm-up, then one decay to `final_fraction` at the last step: one cycle
    (Smith and Topin 2019). The first step is already above 0: a step that moves nothing would be wasted.

    Args:
        step: Steps done before this one, from 0 to total_steps - 1.
        total_steps: Steps of the whole run, at least 1.
        warmup_fraction: Share of the steps that climb, in [0, 1].
        kind: The form of the decay; ``constant`` stays at 1.
        final_fraction: Where the decay ends, relative to the top.
    """
    warmup_steps = round(total_steps * warmup_fraction)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if kind == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(total_steps - 1 - warmup_steps, 1)
    remaining = 1 - progress if kind == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return final_fraction + (1 - final_fraction) * remaining
