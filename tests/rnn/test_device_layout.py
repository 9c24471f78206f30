"""Padded batches whose lengths stay on their device: what the layer does with them where no kernel of CUDA is."""

import pytest
import torch

from simlstm.rnn import ragged
from simlstm.rnn.device_layout import DeviceLayout
from simlstm.rnn.dispatch import lstm_layer
from tests.rnn.stock_cases import make_case

LENGTHS = [[3, 0, 5, 1, 5], [4], [2, 2, 2], [0, 0, 1], [1, 6, 3]]


def run(layout, states, weights):
    y, *final = lstm_layer(layout.rows, layout.walk, *layout.arranged(states), weights)
    return layout.output(y), *layout.restored(tuple(final), states)


def both_layouts(x, lengths, batch_first):
    steps_first = x if not batch_first else x.transpose(0, 1)
    lengths = torch.tensor(lengths)
    return [
        DeviceLayout(steps_first, lengths, batch_first, torch.float64),
        ragged.layout_of(steps_first, lengths, batch_first, torch.float64),
    ]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("directions", [1, 2])
def test_equals_the_layout_that_the_host_packs(lengths, batch_first, directions):
    case = make_case(directions=directions, bias=True)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, len(lengths), 3, generator=generator, dtype=torch.float64)
    for b, length in enumerate(lengths):
        x[length:, b] = torch.nan  # what is behind a length is never read
    x.requires_grad_()
    state = (directions, len(lengths), 4)
    states = tuple(torch.randn(state, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    leaves = [x, *states, *(tensor for w in case.weights for tensor in w if tensor is not None)]
    found = []
    for layout in both_layouts(x, lengths, batch_first):
        results = run(layout, states, case.weights)
        arrived = [torch.ones_like(result) for result in results]
        found.append([*results, *torch.autograd.grad(results, leaves, arrived, materialize_grads=True)])
    for on_device, on_host in zip(*found, strict=True):
        torch.testing.assert_close(on_device, on_host)


def test_lengths_out_of_range_count_as_the_nearest():
    case = make_case(directions=2, bias=True)
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    states = tuple(torch.randn(2, 3, 4, dtype=torch.float64) for _ in range(2))
    beyond = DeviceLayout(x, torch.tensor([9, -2, 2]), False, torch.float64)
    nearest = DeviceLayout(x, torch.tensor([4, 0, 2]), False, torch.float64)
    for got, expected in zip(run(beyond, states, case.weights), run(nearest, states, case.weights), strict=True):
        torch.testing.assert_close(got, expected)


def test_function_transforms_see_through_it():
    case = make_case(directions=1, bias=True)
    layout = DeviceLayout(torch.randn(4, 2, 3, dtype=torch.float64), torch.tensor([2, 4]), False, torch.float64)
    states = tuple(torch.randn(1, 2, 4, dtype=torch.float64) for _ in range(2))

    def total(rows):
        return lstm_layer(rows, layout.walk, *layout.arranged(states), case.weights)[0].sum()

    with torch.enable_grad():
        rows = layout.rows.clone().requires_grad_()
        (expected,) = torch.autograd.grad(total(rows), rows)
    torch.testing.assert_close(torch.func.grad(total)(layout.rows), expected)
