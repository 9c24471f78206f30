"""Count what a layer's launches compile for compute capability 9.0, without a GPU: a program of its own.

Triton takes any object for its driver that says which target there is. Kernels are then compiled as a launch compiles
them, arguments looked at and all, and not started.
"""

import json
import sys

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from simlstm.rnn.backends.cuda import launch, lstm
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

KERNELS = ("forward_whole", "forward_split", "backward_whole", "backward_split")
STEPS, INPUT_SIZE = 9, 7


class OnPaper:
    """A driver of a GPU that is not there."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


class Compiled:
    """A kernel whose launches are compiled, and counted by what they compile."""

    def __init__(self, kernel):
        self._kernel = kernel
        self.forms = set()

    def __getitem__(self, grid):
        def start(**arguments):
            self.forms.add(self._kernel.warmup(grid=grid, **arguments).hash)

        return start


def train(sequences, hidden_size, *, on_device=False, grad=True, bias=True, directions=2):
    """Take a layer's forward and backward pass, in bfloat16."""
    lengths = sorted((1 + 7 * place % STEPS for place in range(sequences)), reverse=True)
    if on_device:
        walk, _ = DeviceWalk.of_padded(torch.tensor(lengths), STEPS, batch_first=False)
    else:
        batch_sizes = tuple(sum(length > step for length in lengths) for step in range(lengths[0]))
        walk = PackedWalk(batch_sizes, torch.device("cpu"))

    def random(*shape):
        return torch.randn(shape, dtype=torch.bfloat16)

    gates = 4 * hidden_size
    weights = [
        DirectionWeights(
            random(gates, INPUT_SIZE),
            random(gates, hidden_size),
            random(gates) if bias else None,
            random(gates) if bias else None,
            None,
        )
        for _ in range(directions)
    ]
    x = random(walk.rows, INPUT_SIZE).requires_grad_(grad)
    states = torch.zeros(2, directions, sequences, hidden_size, dtype=torch.bfloat16)
    y, _, _ = lstm.lstm_layer(x, walk, states[0], states[1], weights, torch.bfloat16)
    if grad:
        y.sum().backward()


def main(hidden_size):
    driver.set_active(OnPaper())
    kernels = {name: Compiled(getattr(launch, name)) for name in KERNELS}
    for name, kernel in kernels.items():
        setattr(launch, name, kernel)
    counts = {}

    def count(label):
        counts[label] = {name: len(kernel.forms) for name, kernel in kernels.items() if kernel.forms}

    train(1, hidden_size)
    count("first batch")
    for sequences in (2, 3, 16, 17, 33, 60):
        train(sequences, hidden_size)
    count("other batches")
    train(5, hidden_size, on_device=True)
    count("lengths on the device")
    train(16, hidden_size, on_device=True)
    count("other lengths on the device")
    train(5, hidden_size, grad=False)
    train(5, hidden_size, bias=False)
    train(5, hidden_size, directions=1)
    count("other forms")
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]))
