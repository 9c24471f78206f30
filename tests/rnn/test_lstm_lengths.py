"""`(x, lengths)` input: no sorting or packing by the caller, sequences without a step among them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lstm_cases import LENGTHS, WIDTH, assert_same, initial_states, pair, scramble
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from simlstm.rnn import LSTM

MODELS = [
    {},
    {"bidirectional": True, "batch_first": True},
    {"bidirectional": True, "num_layers": 2, "proj_size": 2},
    {"bias": False, "num_layers": 2, "batch_first": True},
]


def padded(lengths, *, steps=None, batch_first=False):
    """Return x with NaN wherever no sequence is: whatever reads it shows."""
    generator = torch.Generator().manual_seed(4)
    steps = max(lengths, default=0) if steps is None else steps
    x = torch.randn(steps, len(lengths), WIDTH, dtype=torch.float64, generator=generator)
    for index, length in enumerate(lengths):
        x[length:, index] = torch.nan
    return x.transpose(0, 1).contiguous() if batch_first else x


def results_and_gradients(module, lengths, *, steps=None):
    x = padded(lengths, steps=steps, batch_first=module.batch_first).requires_grad_()
    h0, c0 = initial_states(module, len(lengths))
    y, (hT, cT) = module((x, torch.tensor(lengths, dtype=torch.int64)), (h0, c0))
    leaves = {"x": x, "h0": h0, "c0": c0} | dict(module.named_parameters())
    gradients = torch.autograd.grad(scramble(y, hT, cT), list(leaves.values()))
    named = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {"y": y, "hT": hT, "cT": cT} | named


def packed_results_and_gradients(module, lengths):
    """Compute the same through torch's packing, which knows no sequence without a step."""
    x = padded(lengths, batch_first=module.batch_first).requires_grad_()
    h0, c0 = initial_states(module, len(lengths))
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=module.batch_first, enforce_sorted=False)
    y, (hT, cT) = module(packed, (h0, c0))
    y, _ = pad_packed_sequence(y, batch_first=module.batch_first)
    leaves = {"x": x, "h0": h0, "c0": c0} | dict(module.named_parameters())
    gradients = torch.autograd.grad(scramble(y, hT, cT), list(leaves.values()))
    named = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {"y": y, "hT": hT, "cT": cT} | named


@pytest.mark.parametrize("arguments", MODELS, ids=str)
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_equals_packing_by_hand(arguments, lengths):
    theirs, ours = pair(**arguments)
    expected = packed_results_and_gradients(theirs, lengths)
    assert_same(results_and_gradients(ours, lengths), expected)


@pytest.mark.parametrize("arguments", MODELS, ids=str)
@pytest.mark.parametrize("lengths", [[0, 3, 0, 5, 1], [0, 2], [4, 0], [2, 0, 0]], ids=str)
def test_sequences_without_a_step_pass_their_states_through(arguments, lengths):
    _, ours = pair(**arguments)
    steps = max(lengths) + 2
    x = padded(lengths, steps=steps, batch_first=ours.batch_first).requires_grad_()
    h0, c0 = initial_states(ours, len(lengths))
    y, (hT, cT) = ours((x, torch.tensor(lengths)), (h0, c0))
    by_sequence = y if ours.batch_first else y.transpose(0, 1)
    assert by_sequence.shape[:2] == (len(lengths), steps)
    # To weigh each sequence as it is weighed alone.
    loss = 0
    for index, length in enumerate(lengths):
        rows, states = x.detach().select(0 if ours.batch_first else 1, index)[:length], (h0[:, index], c0[:, index])
        assert (by_sequence[index, length:] == 0).all()
        if length == 0:
            assert torch.equal(hT[:, index], h0[:, index])
            assert torch.equal(cT[:, index], c0[:, index])
        else:
            alone, (h_alone, c_alone) = ours(rows, tuple(state.detach() for state in states))
            torch.testing.assert_close(by_sequence[index, :length], alone)
            torch.testing.assert_close(hT[:, index], h_alone)
            torch.testing.assert_close(cT[:, index], c_alone)
        loss = loss + (index + 1) * (by_sequence[index].sin().sum() + hT[:, index].sum() + 2 * cT[:, index].sum())
    dx, dh0, dc0, *d_weights = torch.autograd.grad(loss, [x, h0, c0, *ours.parameters()])
    assert dx.isfinite().all()
    for index, length in enumerate(lengths):
        if length == 0:
            assert torch.equal(dh0[:, index], torch.full_like(dh0[:, index], index + 1))
            assert torch.equal(dc0[:, index], torch.full_like(dc0[:, index], 2 * (index + 1)))
    # What has no step moves no weight.
    kept = [index for index, length in enumerate(lengths) if length > 0]
    x_kept = x.detach().index_select(0 if ours.batch_first else 1, torch.tensor(kept))
    y, (hT, cT) = ours(
        (x_kept, torch.tensor([lengths[index] for index in kept])), (h0[:, kept].detach(), c0[:, kept].detach())
    )
    by_sequence = y if ours.batch_first else y.transpose(0, 1)
    loss = sum(
        (index + 1) * (by_sequence[place].sin().sum() + hT[:, place].sum() + 2 * cT[:, place].sum())
        for place, index in enumerate(kept)
    )
    for gradient, expected in zip(d_weights, torch.autograd.grad(loss, list(ours.parameters())), strict=True):
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(("lengths", "steps"), [([0, 0, 0], 4), ([0, 0], 0), ([], 3), ([], 0), ([0], 1)], ids=str)
@pytest.mark.parametrize("arguments", MODELS, ids=str)
def test_nothing_to_compute(arguments, lengths, steps):
    _, ours = pair(**arguments)
    results = results_and_gradients(ours, lengths, steps=steps)
    directions = 2 if ours.bidirectional else 1
    shape = (len(lengths), steps) if ours.batch_first else (steps, len(lengths))
    assert results["y"].shape == (*shape, directions * (ours.proj_size or ours.hidden_size))
    assert not results["y"].any()
    h0, c0 = initial_states(ours, len(lengths))
    assert torch.equal(results["hT"], h0)
    assert torch.equal(results["cT"], c0)
    for name, parameter in ours.named_parameters():
        assert torch.equal(results[f"gradient of {name}"], torch.zeros_like(parameter))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.booleans(), st.integers(0, 2))
def test_a_sequence_does_not_see_its_batch(lengths, batch_first, more_steps):
    _, ours = pair(bidirectional=True, batch_first=batch_first)
    x = padded(lengths, steps=max(lengths) + more_steps, batch_first=batch_first)
    y, (hT, cT) = ours((x, torch.tensor(lengths)))
    for index, length in enumerate(lengths):
        x_alone = x.narrow(0 if batch_first else 1, index, 1)
        alone, (h_alone, c_alone) = ours((x_alone, torch.tensor([length])))
        torch.testing.assert_close(y.narrow(0 if batch_first else 1, index, 1), alone)
        torch.testing.assert_close(hT[:, index : index + 1], h_alone)
        torch.testing.assert_close(cT[:, index : index + 1], c_alone)


@pytest.mark.parametrize("batch_first", [False, True])
def test_gradcheck_to_second_order(batch_first):
    _, ours = pair(hidden_size=2, bidirectional=True, batch_first=batch_first)
    lengths = torch.tensor([2, 0, 3])
    x = padded([3, 3, 3], batch_first=batch_first).requires_grad_()
    h0, c0 = initial_states(ours, 3)

    def run(x, h0, c0, *parameters):
        named = dict(zip(dict(ours.named_parameters()), parameters, strict=True))
        y, (hT, cT) = torch.func.functional_call(ours, named, ((x, lengths), (h0, c0)))
        return y, hT, cT

    inputs = (x, h0, c0, *ours.parameters())
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_without_states_they_are_zero():
    _, ours = pair(bidirectional=True)
    x, lengths = padded([3, 0, 2]), torch.tensor([3, 0, 2])
    zeros = torch.zeros(2, 3, 5, dtype=torch.float64)
    given_zeros, absent = ours((x, lengths), (zeros, zeros)), ours((x, lengths))
    torch.testing.assert_close(absent, given_zeros, rtol=0, atol=0)


def test_autocast_gives_its_dtype_as_padded_input_does():
    layer = LSTM(WIDTH, 4)
    x = torch.randn(3, 2, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        y, (hT, cT) = layer((x, torch.tensor([0, 3])))
    assert {y.dtype, hT.dtype, cT.dtype} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 2], "lengths must be an int64 tensor, got list"),
        (torch.tensor([3, 2], dtype=torch.int32), "lengths must be int64 on the CPU, got torch.int32 on cpu"),
        (torch.tensor([3, 2], device="meta"), "lengths must be int64 on the CPU, got torch.int64 on meta"),
        (torch.tensor([3]), r"lengths must hold one number for each of 2 sequences, got \[1\]"),
        (torch.tensor([[3, 2]]), r"lengths must hold one number for each of 2 sequences, got \[1, 2\]"),
        (torch.tensor([3, -1]), r"lengths must lie between 0 and the 3 steps of the input, got \[3, -1\]"),
        (torch.tensor([4, 1]), r"lengths must lie between 0 and the 3 steps of the input, got \[4, 1\]"),
    ],
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_wrong_lengths_are_named(lengths, message, batch_first):
    _, ours = pair(batch_first=batch_first)
    with pytest.raises(ValueError, match=message):
        ours((padded([3, 3], batch_first=batch_first), lengths))


def test_input_beside_lengths_is_checked_like_padded_input():
    _, ours = pair()
    lengths = torch.tensor([2, 2])
    with pytest.raises(RuntimeError, match="input must have 3 dimensions, got 2"):
        ours((padded([2, 2])[0], lengths))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(1, 2, 5\), got \[1, 3, 5\]"):
        ours(
            (padded([2, 2]), lengths),
            (torch.zeros(1, 2, 5, dtype=torch.float64), torch.zeros(1, 3, 5, dtype=torch.float64)),
        )
