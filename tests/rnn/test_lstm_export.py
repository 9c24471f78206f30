"""torch.export of a model around the layer, every size dynamic."""

import io

import pytest
import torch
from export_cases import MODELS, RAGGED, B, T, model_and_arguments
from lstm_cases import WIDTH, pair
from torch.export import export

from simlstm.rnn.layer import _OPERATOR

# torch.export warns of torch's own pytree.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")


@pytest.mark.parametrize("arguments", [*MODELS, {"proj_size": 2}], ids=str)
@pytest.mark.parametrize("strict", [False, True])
def test_exported_program(arguments, strict):
    model, example, dynamic = model_and_arguments(arguments)
    program = export(model, example([3, 2], 5), dynamic_shapes=dynamic, strict=strict)
    assert sum(node.target is _OPERATOR for node in program.graph.nodes) == model.layer.num_layers
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    loaded = torch.export.load(stored).module()
    for lengths, steps in RAGGED:
        inputs = example(lengths, steps)
        torch.testing.assert_close(loaded(*inputs), model(*inputs), rtol=0, atol=0)


def test_padded_input_without_states_is_exported():
    _, layer = pair(torch.float32, bidirectional=True)
    program = export(layer.eval(), (torch.randn(5, 2, WIDTH),), dynamic_shapes=({0: T, 1: B},))
    for shape in ((1, 1), (7, 3)):
        x = torch.randn(*shape, WIDTH)
        torch.testing.assert_close(program.module()(x), layer(x), rtol=0, atol=0)
