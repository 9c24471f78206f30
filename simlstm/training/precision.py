"""How exactly a run multiplies: float32, TF32, bfloat16 or float16."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from simlstm.training.config import PrecisionName
from simlstm.training.row_updates import clip_gradients, largest_gradient

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_ONLY_ON_CUDA = ("fp16", "tf32")


def check_precision(name: PrecisionName, device: torch.device) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        ValueError: Saying what is allowed.
    """
    if name in _ONLY_ON_CUDA and device.type != "cuda":
        raise ValueError(f"precision: got {name!r}, which is for CUDA; the device is {device}; allowed: float32, bf16")


class Precision:
    """The precision of a run's forward passes, and the scaling that float16 gradients need.

    Weights, optimizer, pair scores and losses are float32 whatever it is. With float16, losses are multiplied by a
    factor that keeps small gradients above zero; a step whose gradients overflow is left out, and the factor halved.

    Args:
        name: ``float32`` and ``tf32`` do not autocast; `float32_products` tells them apart.
        device: Of the model.
    """

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        self._dtype = _AUTOCAST.get(name)
        self._device_type = device.type
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device_type, self._dtype)

    def clip(self, optimizer: Optimizer, parameters: Iterable[nn.Parameter], norm: float) -> dict[str, Tensor]:
        """Take the scaling out of the gradients and cut them to a norm, without waiting for the device.

        Args:
            optimizer: Of the parameters; its next step is the scaler's.
            parameters: Those whose gradients are cut.
            norm: Largest norm of all gradients together; 0 cuts nothing.

        Returns:
            What is recorded of the step: ``gradient_norm`` before the cut, where it is cut; and, with scaling,
            ``overflow``, 1 for a step that is left out, which has no norm (0 stands in its place).
        """
        scales = self.scaler.is_enabled()
        if norm == 0 and not scales:
            return {}
        self.scaler.unscale_(optimizer)
        found = clip_gradients(parameters, norm) if norm > 0 else largest_gradient(parameters)
        finite = torch.isfinite(found)
        overflow = {"overflow": (~finite).float()} if scales else {}
        if norm == 0:
            return overflow
        return {"gradient_norm": torch.where(finite, found, 0) if scales else found} | overflow

    def tensors(self) -> dict[str, Tensor]:
        """Return what resuming needs: nothing without scaling."""
        if not self.scaler.is_enabled():
            return {}
        state = self.scaler.state_dict()
        return {
            "scale": torch.tensor(state["scale"], dtype=torch.float64),
            "steps_since_overflow": torch.tensor(state["_growth_tracker"]),
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` returned."""
        if self.scaler.is_enabled():
            own = {"scale": tensors["scale"].item(), "_growth_tracker": int(tensors["steps_since_overflow"])}
            self.scaler.load_state_dict(self.scaler.state_dict() | own)


@contextlib.contextmanager
def float32_products(name: PrecisionName) -> Iterator[None]:
    """Let CUDA compute float32 products in TF32 (10 bits of mantissa) for ``tf32``, and in full for all other names.

    Torch's own defaults differ: TF32 in cuDNN, full float32 elsewhere. What was chosen before comes back at the end, by
    whichever of torch's names for it.
    """
    earlier = [each.fp32_precision for each in _operators()]
    switches = _switches()
    wanted = name == "tf32"
    if switches is not None:
        _set_switches(wanted, wanted)
    for each in _operators():  # a choice for all of CUDA or cuDNN reaches through the switches
        if (each.fp32_precision == "tf32") != wanted:
            each.fp32_precision = "tf32" if wanted else "ieee"
    try:
        yield
    finally:
        if switches is not None:
            _set_switches(*switches)
        for each, precision in zip(_operators(), earlier, strict=True):
            if each.fp32_precision != precision:
                each.fp32_precision = precision


def _operators() -> list[Any]:
    """Return what has a precision of its own since torch 2.9, as what is told and what is read."""
    return [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]  # type: ignore[attr-defined]


def _switches() -> tuple[bool, bool] | None:
    """Return the switches from before torch 2.9, of products and of cuDNN.

    They are set as long as they can be read, because other code reads them and they raise where only the new names were
    used: None when the process has done that already. Some releases warn of them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        except RuntimeError:
            return None


def _set_switches(matmul: bool, cudnn: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = cudnn
