"""An exponential moving average of a model's weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class AveragedModel(Generic[Model]):
    """A second copy of a model that holds the average of its weights, and is what gets evaluated and saved.

    The decay climbs with the steps as min(decay, (1 + step) / (10 + step)), so that the random first weights fade
    soon (the rule of TensorFlow's ExponentialMovingAverage with `num_updates`).

    Args:
        model: What is averaged.
        decay: Of one step, above 0 and below 1.
        every: Steps between two updates; each then has the weight of so many.

    Attributes:
        model: The averaged copy, in eval mode, without gradients.
    """

    def __init__(self, model: Model, decay: float, *, every: int = 1) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay: got {decay}; allowed: above 0 and below 1")
        self.decay = decay
        self.every = every
        self.model: Model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Move the average towards the model, at every so many steps.

        Args:
            model: The trained model, of the same architecture.
            step: Steps done, counting the one just taken.
        """
        if step % self.every:
            return
        weight = 1 - min(self.decay, (1 + step) / (10 + step)) ** self.every
        for average, current in zip(self.model.parameters(), model.parameters(), strict=True):
            if current.requires_grad:
                average.lerp_(current, weight)
        for buffer, current_buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            buffer.copy_(current_buffer)
