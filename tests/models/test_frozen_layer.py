"""The frozen layer of every backend: against the reference in float32, against its own rounding rule below."""

import pytest
import torch
from torch import Tensor

from simlstm.data.batching import pack
from simlstm.rnn.frozen import PRECISIONS, freeze_layer
from simlstm.rnn.walk import PackedWalk
from tests.models.frozen_cases import BACKENDS, sentences

WANTED = {"rows": True, "maximum": True, "total": True, "last": True}


def weights(hidden_size: int, directions: int, input_size: int = 6) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return w_ih, w_hh and bias; channels differ in size by a factor of 100, as those of trained models do."""
    generator = torch.Generator().manual_seed(hidden_size)
    scale = torch.logspace(-2, 0, 4 * hidden_size)[:, None]

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    return (
        [draw(4 * hidden_size, input_size) for _ in range(directions)],
        [draw(4 * hidden_size, hidden_size) * scale for _ in range(directions)],
        [draw(4 * hidden_size) for _ in range(directions)],
    )


def by_hand(x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor, precision: str) -> Tensor:
    """Run one direction over one sentence [T, I] in float64, rounding what the precision rounds; [T, H]."""
    gates = (x.double() @ w_ih.double().t() + bias.double()).float()
    if precision != "float32":
        gates = gates.bfloat16()
    h = c = torch.zeros(w_hh.shape[1], dtype=torch.float64)
    rows = []
    for step in gates.double():
        match precision:
            case "float32":
                product = w_hh.double() @ h
            case "bfloat16":
                product = w_hh.bfloat16().double() @ h.bfloat16().double()
            case "int8":
                scale = w_hh.abs().amax(dim=1).double() / 127
                product = (w_hh.double() / scale[:, None]).round() @ (h * 127).round() * scale / 127
        i, f, g, o = (step + product).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        rows.append(h)
    return torch.stack(rows).float()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("hidden_size", [1, 5, 16, 40])
def test_every_result_follows_the_rule(backend, precision, directions, hidden_size):
    w_ih, w_hh, bias = weights(hidden_size, directions)
    layer = freeze_layer(w_hh, precision, backend)
    embedding = torch.rand(50, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ids = sentences(17)
    tokens = pack(ids)
    result = layer.run(layer.fold(embedding, w_ih, bias), tokens.data, tokens.batch_sizes.tolist(), **WANTED)
    walk = PackedWalk(tuple(tokens.batch_sizes.tolist()), torch.device("cpu"))
    steps, sequences = walk._step_and_sequence
    # Torch operations: float32 rounding, which carries an h beside the border of two steps of its format across it.
    # Seen: 1.5e-7, 1.3e-4, 1.3e-4; a scale for the whole matrix, or an h that is not rounded, is off by 4e-3 and more.
    # The kernel's low precisions come with a sigmoid and a tanh that are 2e-4 off, so more of them cross; an int8 step
    # is 8e-3 wide. Seen: 2.4e-7, 5e-4, 4.4e-3.
    tolerance = {
        "torch": {"float32": 2e-6, "bfloat16": 5e-4, "int8": 5e-4},
        "native": {"float32": 2e-6, "bfloat16": 2e-3, "int8": 1e-2},
    }[backend][precision]
    for place, sentence in enumerate(tokens.sorted_indices.tolist()):
        x = embedding[torch.tensor(ids[sentence])]
        forward = by_hand(x, w_ih[0], w_hh[0], bias[0], precision)
        expected = [forward]
        last = [forward[-1]]
        if directions == 2:
            backward = by_hand(x.flip(0), w_ih[1], w_hh[1], bias[1], precision)
            expected.append(backward.flip(0))
            last.append(backward[-1])
        rows = torch.cat(expected, dim=1)
        own = result.rows[sequences == place]
        assert steps[sequences == place].tolist() == list(range(len(x)))
        for name, value, wanted in (
            ("rows", own, rows),
            ("maximum", result.maximum[place], rows.amax(0)),
            ("total", result.total[place] / len(x), rows.mean(0)),
            ("last", result.last[place], torch.cat(last)),
        ):
            torch.testing.assert_close(value, wanted, rtol=0, atol=tolerance, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_what_is_wanted_is_given_and_ids_may_be_left_out(backend, precision):
    w_ih, w_hh, bias = weights(5, 2)
    layer = freeze_layer(w_hh, precision, backend)
    tokens = pack(sentences(12))
    sizes = tokens.batch_sizes.tolist()
    table = layer.fold(torch.rand(50, 6), w_ih, bias)
    assert table.dtype == (torch.float32 if precision == "float32" else torch.bfloat16)
    everything = layer.run(table, tokens.data, sizes, **WANTED)
    assert all(value.dtype == torch.float32 for value in everything)
    for name in WANTED:
        alone = layer.run(table, tokens.data, sizes, **{other: other == name for other in WANTED})
        assert torch.equal(getattr(alone, name), getattr(everything, name))
        assert sum(value is not None for value in alone) == 1
    gathered = layer.run(table[tokens.data], None, sizes, **WANTED)
    narrow = layer.run(table, tokens.data.int(), sizes, **WANTED)
    for value, other, third in zip(everything, gathered, narrow, strict=True):
        assert torch.equal(value, other)
        assert torch.equal(value, third)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_of_zero_are_a_layer_too(backend, precision):
    layer = freeze_layer([torch.zeros(20, 5)] * 2, precision, backend)
    table = layer.fold(torch.zeros(3, 4), [torch.zeros(20, 4)] * 2, [torch.zeros(20)] * 2)
    result = layer.run(table, torch.tensor([0, 1, 2]), [2, 1], **WANTED)
    assert all(torch.equal(value, torch.zeros_like(value)) for value in result)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_weights_are_copied(backend):
    w_ih, w_hh, bias = weights(5, 2)
    layer = freeze_layer(w_hh, "float32", backend)
    table = layer.fold(torch.rand(3, 6), w_ih, bias)
    before = layer.run(table, None, [2, 1], **WANTED)
    for weight in w_hh:
        weight.zero_()
    assert torch.equal(layer.run(table, None, [2, 1], **WANTED).rows, before.rows)
