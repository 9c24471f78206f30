"""What is to hold on every device: run with "cuda" by the tests here, and under the interpreter with "cpu"."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from simlstm.rnn import LSTM
from tests.cuda.cases import TOLERANCES, Case, assert_close, computed, random_case, truth

# Name of an arithmetic: dtype of the tensors, and what cuDNN's switch says of float32.
ARITHMETICS = {
    "bfloat16": (torch.bfloat16, "ieee"),
    "float16": (torch.float16, "ieee"),
    "tf32": (torch.float32, "tf32"),
    "float32": (torch.float32, "ieee"),
}


def case_on(device: str, arithmetic: str, monkeypatch: pytest.MonkeyPatch, *arguments: object, **kind: object) -> Case:
    """Draw a case, move it, and have float32 multiplied as the arithmetic says."""
    dtype, precision = ARITHMETICS[arithmetic]
    monkeypatch.setattr(torch.backends.cudnn.rnn, "fp32_precision", precision)
    return random_case(*arguments, dtype=dtype, **kind).to(device, dtype)


def check_parity(case: Case, arithmetic: str) -> None:
    """Hold outputs, final states and every gradient to those of float64."""
    assert_close(computed(case), truth(case), TOLERANCES[arithmetic])


def check_poisoned(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that nobody has written holds NaN, and the results do not change by a bit."""
    expected = computed(case)

    def poisoned(make):
        def made(*arguments, **options):
            tensor = make(*arguments, **options)
            return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

        return made

    with monkeypatch.context() as patch:
        for owner, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
            patch.setattr(owner, name, poisoned(getattr(owner, name)))
        actual = computed(case)
    assert_equal(actual, expected)


def check_determinism(case: Case, runs: int) -> None:
    """Give the same bits every time."""
    expected = computed(case)
    for _ in range(runs - 1):
        assert_equal(computed(case), expected)


def check_alone_and_together(case: Case, lengths: Sequence[int], which: Sequence[int], tolerance: float) -> None:
    """A sequence gives the same alone as in its batch; of packed rows, without gradients."""
    from simlstm.rnn.backends.cuda import lstm

    products, device = case.x.dtype, case.x.device
    starts = [0]
    for size in case.walk.batch_sizes:
        starts.append(starts[-1] + size)
    with torch.no_grad():
        y, hT, _ = lstm.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, products)
        for sequence in which:
            rows = torch.tensor([start + sequence for start in starts[: lengths[sequence]]], device=device)
            alone = type(case.walk)((1,) * lengths[sequence], device)
            states = case.h0[:, sequence : sequence + 1], case.c0[:, sequence : sequence + 1]
            y_alone, h_alone, _ = lstm.lstm_layer(case.x[rows], alone, *states, case.weights, products)
            torch.testing.assert_close(y[rows], y_alone, rtol=0, atol=tolerance)
            torch.testing.assert_close(hT[:, sequence], h_alone[:, 0], rtol=0, atol=tolerance)


def assert_equal(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Hold every tensor to the same bits, and name the one that differs."""
    for name, value in expected.items():
        assert torch.equal(actual[name], value), f"{name} is not the same"


class Step:
    """A layer with a batch of fixed shape in fixed memory, forward and backward: what a CUDA graph can hold.

    Args:
        device: of everything.
        lengths: of the sequences, in any order; may be written to.
        steps: T.
        dtype: of everything.
        kind: arguments of the layer.
    """

    def __init__(self, device: str, lengths: Sequence[int], steps: int, dtype: torch.dtype, **kind: object) -> None:
        torch.manual_seed(0)
        kind = {"input_size": 5, "hidden_size": 32, "bidirectional": True, "num_layers": 2} | kind
        self.layer = LSTM(**kind, device=device, dtype=dtype)
        self.lengths = torch.tensor(lengths, device=device)
        self.x = torch.randn(steps, len(lengths), self.layer.input_size, device=device, dtype=dtype, requires_grad=True)
        self._scale = torch.linspace(-1, 1, 2 * self.layer.hidden_size, device=device, dtype=dtype)

    def __call__(self) -> dict[str, Tensor]:
        """Return outputs, final states and the gradients of the input and of the parameters."""
        y, (hT, cT) = self.layer((self.x, self.lengths))
        loss = (y * self._scale[: y.shape[-1]]).float().sum() + hT.float().square().sum() + cT.float().sum()
        leaves = {"x": self.x} | dict(self.layer.named_parameters())
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        return {"y": y.detach(), "hT": hT.detach(), "cT": cT.detach()} | dict(zip(leaves, gradients, strict=True))

    def change(self, lengths: Sequence[int], seed: int) -> None:
        """Write another batch of the same shape."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.lengths.copy_(torch.tensor(lengths))
            self.x.copy_(torch.randn(self.x.shape, generator=generator))
