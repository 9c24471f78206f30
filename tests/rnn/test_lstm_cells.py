"""Every c on request: forward_with_cells."""

import pytest
import torch
from lstm_cases import LENGTHS, WIDTH, initial_states, pair, scramble, sequences
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence, pad_sequence

from simlstm.rnn import LSTM, LSTMCell

MODELS = [
    {},
    {"bidirectional": True, "num_layers": 2, "batch_first": True},
    {"bidirectional": True, "num_layers": 2, "proj_size": 2, "bias": False},
]


def by_sequence(packed, *, lengths):
    padded, _ = pad_packed_sequence(packed, batch_first=True)
    return [rows[:length] for rows, length in zip(padded, lengths, strict=True)]


def cell_of(layer, *, reverse=False):
    cell = LSTMCell(layer.input_size, layer.hidden_size, bias=layer.bias, dtype=torch.float64)
    suffix = "_l0_reverse" if reverse else "_l0"
    cell.load_state_dict({name: layer.get_parameter(name + suffix).detach() for name in cell.state_dict()})
    return cell


@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_cells_are_those_that_the_cell_goes_through(lengths):
    _, layer = pair(bidirectional=True)
    rows = sequences(lengths)
    _, (_, cT), (cells,) = layer.forward_with_cells(pack_sequence(rows, enforce_sorted=False))
    for index, found in enumerate(by_sequence(cells, lengths=lengths)):
        forward, reverse = found.chunk(2, dim=1)
        for direction, (actual, ordered) in enumerate(((forward, rows[index]), (reverse.flip(0), rows[index].flip(0)))):
            cell, states = cell_of(layer, reverse=direction == 1), None
            for step, x in enumerate(ordered):
                states = cell(x, states)
                torch.testing.assert_close(actual[step], states[1])
            torch.testing.assert_close(cT[direction, index], states[1])


@pytest.mark.parametrize("arguments", MODELS, ids=str)
@pytest.mark.parametrize("kind", ["packed", "padded", "lengths", "unbatched"])
def test_everything_else_is_what_forward_returns(kind, arguments):
    _, layer = pair(**arguments)
    lengths = [4, 0, 2] if kind == "lengths" else [4, 3, 2]
    rows = sequences(lengths)
    padded = pad_sequence(rows, batch_first=layer.batch_first)
    x = {
        "packed": lambda: pack_sequence(rows, enforce_sorted=False),
        "padded": lambda: padded,
        "lengths": lambda: (padded, torch.tensor(lengths)),
        "unbatched": lambda: rows[0],
    }[kind]()
    states = None
    if kind != "unbatched":
        states = initial_states(layer, len(lengths))
    expected, (h_expected, c_expected) = layer(x, states)
    output, (hT, cT), cells = layer.forward_with_cells(x, states)
    assert type(output) is type(expected)
    if isinstance(output, PackedSequence):
        assert all(torch.equal(*pair) for pair in zip(output[1:], expected[1:], strict=True))
        assert all(torch.equal(of_layer.batch_sizes, output.batch_sizes) for of_layer in cells)
        output, expected, cells = output.data, expected.data, tuple(of_layer.data for of_layer in cells)
    torch.testing.assert_close((output, hT, cT), (expected, h_expected, c_expected))
    assert len(cells) == layer.num_layers
    width = layer.hidden_size * (2 if layer.bidirectional else 1)
    assert all(of_layer.shape == (*output.shape[:-1], width) for of_layer in cells)
    # Every layer's last c of the forward direction is among the final states.
    if kind == "padded":
        directions = 2 if layer.bidirectional else 1
        for index, of_layer in enumerate(cells):
            last = (of_layer[:, -1] if layer.batch_first else of_layer[-1])[:, : layer.hidden_size]
            torch.testing.assert_close(last, cT[index * directions])
    if kind == "lengths":
        # Sequence 1 has no step, sequence 2 has two.
        for of_layer in cells:
            of_sequence = of_layer if layer.batch_first else of_layer.transpose(0, 1)
            assert not of_sequence[1].any()
            assert not of_sequence[2, 2:].any()


def test_cells_are_differentiable_twice():
    _, layer = pair(hidden_size=2, bidirectional=True)
    x = torch.randn(3, 2, WIDTH, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([1, 3])

    def run(x, *parameters):  # gradcheck moves the parameters where they are
        y, (hT, cT), (cells,) = layer.forward_with_cells((x, lengths))
        return y, hT, cT, cells

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))
    assert torch.autograd.gradgradcheck(run, (x, *layer.parameters()))


def test_two_states_are_expected():
    state = torch.zeros(1, 2, 5)
    with pytest.raises(RuntimeError, match="lstm expects two hidden states"):
        LSTM(WIDTH, 5).forward_with_cells(torch.zeros(4, 2, WIDTH), (state,))


def test_compiled():
    _, layer = pair(bidirectional=True, num_layers=2)
    compiled = torch.compile(layer.forward_with_cells, fullgraph=True, dynamic=True, backend="aot_eager")
    for lengths in ([7, 2, 0, 4], [2, 9]):
        x = pad_sequence(sequences(lengths)), torch.tensor(lengths)
        results = []
        for run in (compiled, layer.forward_with_cells):
            y, (hT, cT), cells = run(x)
            results.append([y, hT, cT, *cells])
            results[-1] += torch.autograd.grad(scramble(y, cT, *cells), list(layer.parameters()))
        torch.testing.assert_close(*results, rtol=0, atol=0)
    torch._dynamo.reset()
