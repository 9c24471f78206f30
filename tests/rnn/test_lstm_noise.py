"""Recurrent dropout and zoneout: what each does to a recurrence, exactly and on average."""

import copy
import math
import pickle

import pytest
import torch
from lstm_cases import WIDTH, initial_states, pair, scramble, sequences
from torch.nn.utils.rnn import pack_sequence

from simlstm.rnn import LSTM
from simlstm.rnn import layer as layer_module
from simlstm.rnn.backends import differentiable
from simlstm.rnn.noise import NoiseRates, draw

RATES = [
    {"recurrent_dropout": 0.4},
    {"zoneout_h": 0.3},
    {"zoneout_c": 0.3},
    {"recurrent_dropout": 0.2, "zoneout_h": 0.1, "zoneout_c": 0.5},
]
LENGTHS = torch.tensor([4, 0, 6, 1])


def noisy(**arguments):
    """Return a noisy layer and a plain one with the same weights."""
    rates = {name: arguments.pop(name) for name in NoiseRates._fields if name in arguments}
    _, plain = pair(**arguments)
    layer = LSTM(**{"input_size": WIDTH, "hidden_size": 5, "dtype": torch.float64} | arguments, **rates)
    layer.load_state_dict(plain.state_dict())
    return layer, plain


def padded(steps=6, batch=4):
    return torch.randn(steps, batch, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("rates", "training"), [(rates, True) for rates in RATES] + [(rates, False) for rates in RATES[1:]], ids=str
)
@pytest.mark.parametrize("projection", [0, 2])
def test_equals_the_recurrence_step_by_step(rates, training, projection, monkeypatch):
    """One sequence at a time, one step at a time, with the noise that the layer drew."""
    layer, _ = noisy(bidirectional=True, proj_size=projection, **rates)
    layer.train(training)
    drawn = []

    def draw_and_tell(*arguments):
        drawn.append(draw(*arguments))
        return drawn[-1]

    monkeypatch.setattr(layer_module, "draw", draw_and_tell)
    lengths, rows = [5, 3, 1], sequences([5, 3, 1])
    h0, c0 = (state.detach() for state in initial_states(layer, 3))
    packed = pack_sequence(rows)
    _, (hT, cT) = layer(packed, (h0, c0))
    (noise,) = drawn
    assert [part is not None for part in noise] == [
        training and "recurrent_dropout" in rates,
        "zoneout_h" in rates,
        "zoneout_c" in rates,
    ]
    # What is switched off disturbs nothing.
    h_scale, h_share, c_share = (
        torch.ones(2, count, width).double() if part is None else part
        for part, count, width in zip(noise, (3, 9, 9), (projection or 5, projection or 5, 5), strict=True)
    )
    for direction, suffix in enumerate(("_l0", "_l0_reverse")):
        w_ih, w_hh, b_ih, b_hh = (
            layer.get_parameter(name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        for index, length in enumerate(lengths):
            h, c = h0[direction, index], c0[direction, index]
            for step in range(length):
                x = rows[index][step if direction == 0 else length - 1 - step]
                row = sum(packed.batch_sizes[:step].tolist()) + index
                a = w_ih @ x + b_ih + w_hh @ (h * h_scale[direction, index]) + b_hh
                i, f, g, o = a.chunk(4)
                new_c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                new_h = o.sigmoid() * new_c.tanh()
                if projection:
                    new_h = layer.get_parameter("weight_hr" + suffix) @ new_h
                h = h + h_share[direction, row] * (new_h - h)
                c = c + c_share[direction, row] * (new_c - c)
            torch.testing.assert_close(hT[direction, index], h)
            torch.testing.assert_close(cT[direction, index], c)


@pytest.mark.parametrize("form", ["packed", "padded", "lengths", "unbatched"])
def test_rates_of_nought_and_evaluation_are_the_plain_layer(form):
    x = {
        "packed": pack_sequence(sequences([4, 2])),
        "padded": padded(),
        "lengths": (padded(), LENGTHS),
        "unbatched": padded()[:, 0],
    }[form]
    for rates, training in (({}, True), ({"recurrent_dropout": 0.5}, False)):
        layer, plain = noisy(bidirectional=True, **rates)
        y, states = layer.train(training)(x)
        expected, states_expected = plain(x)
        torch.testing.assert_close(getattr(y, "data", y), getattr(expected, "data", expected), rtol=0, atol=0)
        torch.testing.assert_close(states, states_expected, rtol=0, atol=0)


def test_recurrent_dropout_takes_the_ordinary_path_in_evaluation(monkeypatch):
    layer, _ = noisy(recurrent_dropout=0.5)
    monkeypatch.setattr(differentiable, "lstm_layer_with_cells", None)
    layer.eval()(padded())
    with pytest.raises(TypeError, match="NoneType"):
        layer.train()(padded())


def test_dropping_everything_is_having_no_recurrent_weights():
    layer, plain = noisy(bidirectional=True, recurrent_dropout=1.0)
    with torch.no_grad():
        plain.weight_hh_l0.zero_()
        plain.weight_hh_l0_reverse.zero_()
    torch.testing.assert_close(layer((padded(), LENGTHS)), plain((padded(), LENGTHS)))


def test_zoning_out_of_everything_keeps_the_states():
    layer, _ = noisy(bidirectional=True, zoneout_h=1.0, zoneout_c=1.0)
    h0, c0 = initial_states(layer, 4)
    for training in (True, False):
        y, (hT, cT) = layer.train(training)(padded(), (h0, c0))
        torch.testing.assert_close(y, torch.cat(list(h0), 1).expand(6, 4, 10), rtol=0, atol=0)
        torch.testing.assert_close((hT, cT), (h0, c0), rtol=0, atol=0)


def chains(**rates):
    """Return a layer whose units each feed back on themselves alone: h' = tanh(tanh(1 + 2 h))."""
    layer = LSTM(1, 500, **rates)
    i, f, g, o = layer.bias_ih_l0.detach().chunk(4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_hh_l0.chunk(4)[2].copy_(2 * torch.eye(500))
        for gate, value in ((i, 100.0), (f, -100.0), (g, 1.0), (o, 100.0)):
            gate.fill_(value)
    return layer


def test_a_dropped_unit_is_dropped_at_every_step_of_its_sequence():
    torch.manual_seed(0)
    y, _ = chains(recurrent_dropout=0.3)(torch.zeros(5, 40, 1))
    without_recurrence = math.tanh(math.tanh(1.0))
    # At step 0 there is no h to drop yet. Afterwards a dropped unit shows no trace of it.
    is_dropped = (y[1:] - without_recurrence).abs() < 1e-6
    assert torch.equal(is_dropped, is_dropped[:1].expand_as(is_dropped))
    # 20,000 independent draws: a deviation of 0.02 is six times the standard deviation.
    assert is_dropped[0].float().mean().item() == pytest.approx(0.3, abs=0.02)
    # Not the same mask for all sequences, nor for all units.
    assert len(is_dropped[0].unique(dim=0)) == 40
    # What is kept is scaled to keep the mean.
    kept = y[1][~is_dropped[0]]
    expected = math.tanh(math.tanh(1 + 2 * without_recurrence / 0.7))
    torch.testing.assert_close(kept, torch.full_like(kept, expected))


def test_each_layer_and_direction_has_a_mask_of_its_own_and_each_call_new_ones(monkeypatch):
    drawn = []
    monkeypatch.setattr(layer_module, "draw", lambda *arguments: drawn.append(draw(*arguments)) or drawn[-1])
    layer, _ = noisy(hidden_size=40, num_layers=2, bidirectional=True, recurrent_dropout=0.5)
    layer(padded())
    layer(padded())
    masks = [mask for noise in drawn for mask in noise.h_scale]
    assert len(masks) == 8
    for index, mask in enumerate(masks):
        assert set(mask.unique().tolist()) == {0.0, 2.0}
        assert not any(torch.equal(mask, other) for other in masks[:index])


@pytest.mark.parametrize("state", ["h", "c"])
def test_zoneout_keeps_its_share_of_elements_at_each_step_anew(state):
    torch.manual_seed(0)
    layer = LSTM(1, 200, **{f"zoneout_{state}": 0.25})
    y, _, (cells,) = layer.forward_with_cells(torch.randn(20, 10, 1))
    values = y if state == "h" else cells
    is_kept = values[1:] == values[:-1]
    # 38,000 independent draws: a deviation of 0.015 is almost seven times the standard deviation.
    assert is_kept.float().mean().item() == pytest.approx(0.25, abs=0.015)
    by_step = is_kept.float().flatten(1)
    assert by_step.mean(1).sub(0.25).abs().max() < 0.07  # 2,000 draws each
    # Independent from step to step: both of two neighbours in 1/16 of all places.
    assert (by_step[1:] * by_step[:-1]).mean().item() == pytest.approx(0.0625, abs=0.01)


def test_evaluation_is_what_training_is_on_average():
    """After one step from the same states, the mean over many draws of zoneout is the expectation, exactly linear."""
    layer, _ = noisy(zoneout_h=0.2, zoneout_c=0.6)
    h0, c0 = (state.detach()[:, :1] for state in initial_states(layer, 1))
    x = padded(1, 1)
    _, (h_expected, c_expected) = layer.eval()(x, (h0, c0))
    torch.manual_seed(0)
    count = 20_000
    many = (h0.expand(-1, count, -1).contiguous(), c0.expand(-1, count, -1).contiguous())
    _, (hT, cT) = layer.train()(x.expand(-1, count, -1), many)
    # The standard deviation of a mean is at most half the distance between the two values over sqrt(count).
    for actual, expected, start in ((hT, h_expected, h0), (cT, c_expected, c0)):
        bound = 6 * (actual - start).abs().amax(1) / 2 / math.sqrt(count)
        assert ((actual.mean(1) - expected[:, 0]).abs() <= bound + 1e-12).all()
        assert not torch.equal(expected, start)


@pytest.mark.parametrize("rates", RATES, ids=str)
def test_gradcheck_with_the_noise_held(rates):
    layer, _ = noisy(hidden_size=2, bidirectional=True, **rates)
    h0, c0 = initial_states(layer, 3)

    def run(x, h0, c0, *parameters):
        torch.manual_seed(7)
        named = dict(zip(dict(layer.named_parameters()), parameters, strict=True))
        y, states = torch.func.functional_call(layer, named, ((x, torch.tensor([2, 0, 3])), (h0, c0)))
        return y, *states

    inputs = (padded(3, 3).requires_grad_(), h0, c0, *layer.parameters())
    assert torch.autograd.gradcheck(run, inputs)
    if len(rates) > 1:
        assert torch.autograd.gradgradcheck(run, inputs)


def test_the_seed_decides():
    layer, _ = noisy(num_layers=2, recurrent_dropout=0.3, zoneout_c=0.2)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(layer(padded())[0])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("rates", RATES, ids=str)
def test_compiled_it_draws_the_same_noise_forward_and_backward(rates):
    layer, _ = noisy(bidirectional=True, num_layers=2, **rates)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    results = []
    for run in (compiled, layer):
        torch.manual_seed(3)
        y, (hT, cT) = run((padded(), LENGTHS))
        results.append([y, hT, cT, *torch.autograd.grad(scramble(y, hT, cT), list(layer.parameters()))])
    torch._dynamo.reset()
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_is_in_repr_copies_and_pickles_but_not_in_the_state():
    layer, plain = noisy(num_layers=2, recurrent_dropout=0.25, zoneout_h=0.1)
    assert repr(layer) == "LSTM(3, 5, num_layers=2, recurrent_dropout=0.25, zoneout_h=0.1)"
    assert list(layer.state_dict()) == list(plain.state_dict())
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301
        assert repr(twin) == repr(layer)
        results = []
        for module in (twin, layer):
            torch.manual_seed(1)
            results.append(module(padded())[0])
        assert torch.equal(*results)


@pytest.mark.parametrize("name", NoiseRates._fields)
@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, True, "0.5", None])
def test_wrong_rates_are_named(name, rate):
    with pytest.raises(ValueError, match=rf"{name} must be a number in \[0, 1\], got {rate!r}"):
        LSTM(WIDTH, 5, **{name: rate})


def test_rates_are_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        LSTM(WIDTH, 5, 1, True, False, 0.0, False, 0, None, None, 0.5)
