"""A model around the layer, to be exported, and inputs for it."""

import torch
from lstm_cases import WIDTH, initial_states, pair
from torch.export import Dim

MODELS = [
    {},
    {"bidirectional": True, "num_layers": 2, "batch_first": True},
    {"bidirectional": True, "bias": False},
    {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5},
]
RAGGED = [([3, 2], 5), ([7, 1, 4, 9], 9), ([1], 1), ([2, 2], 4), ([0, 3, 0], 4), ([0, 0], 3)]
B, T = Dim("B"), Dim("T")


class Model(torch.nn.Module):
    """Something before the layer, something after it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.before = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x, lengths, h0, c0):
        y, (hT, cT) = self.layer((self.before(x).relu(), lengths), (h0, c0))
        return 2 * y, hT, cT


def model_and_arguments(arguments):
    _, layer = pair(torch.float32, **arguments)
    torch.manual_seed(2)
    model = Model(layer).eval()

    def example(lengths, steps):
        shape = (len(lengths), steps) if layer.batch_first else (steps, len(lengths))
        h0, c0 = (state.detach() for state in initial_states(layer, len(lengths), torch.float32))
        return torch.randn(*shape, WIDTH), torch.tensor(lengths), h0, c0

    dynamic = ({0: B, 1: T} if layer.batch_first else {0: T, 1: B}, {0: B}, {1: B}, {1: B})
    return model, example, dynamic
