"""Outputs, final states and every gradient equal torch.nn.LSTM's and the plain recurrence's."""

import itertools

import pytest
import torch
from lstm_cases import (
    LENGTHS,
    WIDTH,
    assert_same,
    initial_states,
    pair,
    reference_results_and_gradients,
    results_and_gradients,
    scramble,
    sequences,
)
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from simlstm.rnn import LSTM

KINDS = [
    {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "proj_size": projection}
    for layers, bidirectional, bias, projection in itertools.product((1, 2), (False, True), (False, True), (0, 2))
]


def kind_name(kind: dict[str, int]) -> str:
    return "-".join(f"{name}{int(value)}" for name, value in kind.items())


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_equals_torch(kind, lengths):
    theirs, ours = pair(**kind)
    assert_same(results_and_gradients(ours, lengths), results_and_gradients(theirs, lengths))


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
@pytest.mark.parametrize("name", ["ragged", "unsorted", "one row", "equal"])
def test_equals_the_plain_recurrence(kind, name):
    _, ours = pair(**kind)
    lengths = LENGTHS[name]
    assert_same(results_and_gradients(ours, lengths), reference_results_and_gradients(ours, lengths))


@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_initial_states_are_zero_by_default(lengths):
    theirs, ours = pair(bidirectional=True, num_layers=2)
    assert_same(
        results_and_gradients(ours, lengths, with_states=False),
        results_and_gradients(theirs, lengths, with_states=False),
    )


def test_equals_torch_in_float32():
    theirs, ours = pair(torch.float32, bidirectional=True, num_layers=2, hidden_size=24)
    lengths = [23, 17, 17, 9, 3, 1]
    # Gradients of weights sum over all rows in another order than torch's, a few units in the last place each.
    assert_same(results_and_gradients(ours, lengths), results_and_gradients(theirs, lengths), rtol=2e-5, atol=2e-6)


def test_a_thousand_steps_do_not_drift():
    theirs, ours = pair(torch.float32, bidirectional=True)
    # The two round differently at every step; the forget gate forgets old differences.
    assert_same(results_and_gradients(ours, [1000, 3]), results_and_gradients(theirs, [1000, 3]), rtol=1e-4, atol=1e-5)


def test_the_reverse_direction_starts_at_each_sequences_own_end():
    """A cell that copies its input's sign into h tells, at the first row, what the last rows were."""
    layer = LSTM(1, 1, bidirectional=True, bias=False)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0_reverse[2] = 1.0  # g = tanh(x); i = f = o = 1/2, so that c = (c + tanh(x)) / 2
    packed = pack_sequence([torch.tensor([[0.0], [0.0], [3.0]]), torch.tensor([[0.0], [3.0]])])
    y, (hT, _) = layer(packed)
    seen = torch.tanh(torch.tensor(3.0)) / 2  # c one row after a 3 was read, halved at each further row
    expected_reverse = {
        (0, 0): 0.5 * torch.tanh(seen / 4),  # first row of the long sequence: read last
        (0, 1): 0.5 * torch.tanh(seen / 2),
        (1, 0): 0.5 * torch.tanh(seen / 2),
        (1, 1): 0.5 * torch.tanh(seen),
        (2, 0): 0.5 * torch.tanh(seen),
    }
    rows = iter(y.data)
    for step, running in enumerate(packed.batch_sizes.tolist()):
        for sequence in range(running):
            forward, reverse = next(rows)
            assert forward == 0
            torch.testing.assert_close(reverse, expected_reverse[step, sequence])
    torch.testing.assert_close(hT[1, :, 0], torch.stack([expected_reverse[0, 0], expected_reverse[0, 1]]))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS[::3], ids=kind_name)
def test_padded_input_equals_torch(kind, batch_first):
    theirs, ours = pair(batch_first=batch_first, **kind)
    x = torch.randn(4, 3, WIDTH, dtype=torch.float64, requires_grad=True)
    states = initial_states(theirs, 4 if batch_first else 3)
    results = []
    for module in (ours, theirs):
        y, (hT, cT) = module(x, states)
        gradients = torch.autograd.grad(scramble(y, hT, cT), [x, *states, *module.parameters()])
        results.append([y, hT, cT, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched_input_equals_torch(batch_first):
    theirs, ours = pair(batch_first=batch_first, bidirectional=True, proj_size=2, num_layers=2)
    x = torch.randn(4, WIDTH, dtype=torch.float64)
    states = tuple(state.squeeze(1).detach() for state in initial_states(theirs, 1))
    for arguments in [(x,), (x, states)]:
        torch.testing.assert_close(ours(*arguments), theirs(*arguments))


def test_a_batch_of_no_sequences():
    theirs, ours = pair(bidirectional=True, num_layers=2)
    x = torch.zeros(4, 0, WIDTH, dtype=torch.float64, requires_grad=True)
    y, (hT, cT) = ours(x)
    expected_y, (expected_h, expected_c) = theirs(x)
    assert (y.shape, hT.shape, cT.shape) == (expected_y.shape, expected_h.shape, expected_c.shape)
    (y.sum() + hT.sum() + cT.sum()).backward()
    assert x.grad.shape == x.shape
    assert all((parameter.grad == 0).all() for parameter in ours.parameters())
    packed = PackedSequence(x.new_zeros(0, WIDTH), torch.tensor([0]))
    assert ours(packed)[0].data.shape == theirs(packed)[0].data.shape


def test_steps_without_rows_change_nothing():
    """torch.nn.LSTM accepts batch sizes that end in zeros; a padding-aware caller may pass them."""
    theirs, ours = pair(bidirectional=True)
    packed = pack_sequence(sequences([3, 1]))
    with_zeros = PackedSequence(packed.data, torch.cat([packed.batch_sizes, torch.zeros(2, dtype=torch.int64)]))
    torch.testing.assert_close(ours(with_zeros)[0].data, theirs(packed)[0].data)


@pytest.mark.parametrize("used", ["y", "hT", "cT"])
def test_gradients_when_only_one_result_is_used(used):
    theirs, ours = pair(bidirectional=True, num_layers=2)
    packed = pack_sequence(sequences([4, 3, 1]))
    gradients = []
    for module in (ours, theirs):
        y, (hT, cT) = module(packed)
        gradients.append(
            torch.autograd.grad(
                scramble({"y": y.data, "hT": hT, "cT": cT}[used]), list(module.parameters()), allow_unused=True
            )
        )
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, torch.zeros_like(actual) if expected is None else expected)


def test_non_contiguous_everything():
    theirs, ours = pair(bidirectional=True, hidden_size=WIDTH)

    def strided(tensor: torch.Tensor) -> torch.Tensor:
        return torch.stack([tensor, torch.full_like(tensor, torch.nan)], dim=-1)[..., 0]

    packed = pack_sequence(sequences([5, 2, 2]))
    x = strided(packed.data).requires_grad_()
    states = tuple(strided(state.detach()).requires_grad_() for state in initial_states(theirs, 3))
    for name, parameter in list(ours.named_parameters()):
        strided_parameter = torch.nn.Parameter(strided(parameter.detach()))
        assert not strided_parameter.is_contiguous()
        setattr(ours, name, strided_parameter)
    results = []
    for module in (ours, theirs):
        y, (hT, cT) = module(PackedSequence(x, packed.batch_sizes), states)
        inputs = [x, *states, *(dict(module.named_parameters())[name] for name in theirs.state_dict())]
        gradients = torch.autograd.grad([y.data, hT], inputs, [strided(y.data.detach()), strided(hT.detach())])
        results.append([y.data, hT, cT, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_dropout_between_layers_draws_torchs_mask():
    theirs, ours = pair(num_layers=3, dropout=0.5, bidirectional=True)
    results = []
    for module in (ours, theirs):
        torch.manual_seed(7)
        results.append(results_and_gradients(module, [6, 3, 1]))
    assert_same(*results)
    ours.eval()
    theirs.eval()
    assert_same(results_and_gradients(ours, [6, 3, 1]), results_and_gradients(theirs, [6, 3, 1]))


def test_a_row_does_not_depend_on_what_it_is_batched_with():
    _, ours = pair(torch.float32, bidirectional=True, num_layers=2, hidden_size=32)
    rows = sequences([19, 3, 11, 1, 7, 11, 2], torch.float32)
    together, (hT, _) = ours(pack_sequence(rows, enforce_sorted=False))
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(together)
    for index, row in enumerate(rows):
        alone, (h_alone, _) = ours(row.unsqueeze(1))
        # A product may sum in another order when it has more rows: some units in the last place of values up to 1.
        torch.testing.assert_close(padded[: lengths[index], index], alone[:, 0], rtol=0, atol=2e-6)
        torch.testing.assert_close(hT[:, index], h_alone[:, 0], rtol=0, atol=2e-6)


def test_results_are_the_callers_own():
    """Writing into a result changes no gradient: nothing that the backward pass needs is shared with the caller."""
    _, ours = pair(bidirectional=False)
    x = pack_padded_sequence(torch.randn(4, 2, WIDTH, dtype=torch.float64), [4, 2])
    gradients = []
    for spoil in (False, True):
        y, (hT, cT) = ours(x)
        results = [y.data, hT, cT]
        if spoil:
            with torch.no_grad():
                for result in results:
                    result.fill_(torch.nan)
        ones = [torch.ones_like(result) for result in results]
        gradients.append(torch.autograd.grad(results, list(ours.parameters()), ones))
    for spoiled, clean in zip(*gradients, strict=True):
        assert torch.equal(spoiled, clean)


def test_gradients_that_arrive_are_not_written_to():
    _, ours = pair(bidirectional=True)
    y, (hT, cT) = ours(pack_sequence(sequences([3, 2])))
    arriving = [torch.randn_like(result) for result in (y.data, hT, cT)]
    copies = [gradient.clone() for gradient in arriving]
    torch.autograd.grad([y.data, hT, cT], list(ours.parameters()), arriving)
    for gradient, copy in zip(arriving, copies, strict=True):
        assert torch.equal(gradient, copy)
