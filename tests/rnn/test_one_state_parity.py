"""GRU and RNN: outputs, final states and every gradient equal torch's and the plain recurrence's."""

import itertools

import pytest
import torch
from lstm_cases import LENGTHS, WIDTH, assert_same, scramble, sequences
from one_state_cases import (
    MODES,
    initial_state,
    make,
    pair,
    reference_results_and_gradients,
    results_and_gradients,
    with_gradients,
)
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

KINDS = [
    {"num_layers": layers, "bidirectional": bidirectional, "bias": bias}
    for layers, bidirectional, bias in itertools.product((1, 2), (False, True), (False, True))
]
pytestmark = pytest.mark.parametrize("mode", MODES)


def kind_name(kind: dict[str, int]) -> str:
    return "-".join(f"{name}{int(value)}" for name, value in kind.items())


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_equals_torch(mode, kind, lengths):
    theirs, ours = pair(mode, **kind)
    assert_same(results_and_gradients(ours, lengths), results_and_gradients(theirs, lengths))


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
@pytest.mark.parametrize("name", ["ragged", "unsorted", "one row", "equal"])
def test_equals_the_plain_recurrence(mode, kind, name):
    _, ours = pair(mode, **kind)
    lengths = LENGTHS[name]
    assert_same(results_and_gradients(ours, lengths), reference_results_and_gradients(ours, lengths))


@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_the_initial_state_is_zero_by_default(mode, lengths):
    theirs, ours = pair(mode, bidirectional=True, num_layers=2)
    assert_same(
        results_and_gradients(ours, lengths, with_state=False),
        results_and_gradients(theirs, lengths, with_state=False),
    )


def test_equals_torch_in_float32(mode):
    theirs, ours = pair(mode, torch.float32, bidirectional=True, num_layers=2, hidden_size=24)
    lengths = [23, 17, 17, 9, 3, 1]
    # Gradients of weights sum over all rows in another order than torch's, a few units in the last place each.
    assert_same(results_and_gradients(ours, lengths), results_and_gradients(theirs, lengths), rtol=2e-5, atol=3e-6)


def test_a_thousand_steps_do_not_drift(mode):
    theirs, ours = pair(mode, torch.float32, bidirectional=True)
    # The two round differently at every step; the recurrence shrinks old differences.
    assert_same(results_and_gradients(ours, [1000, 3]), results_and_gradients(theirs, [1000, 3]), rtol=1e-4, atol=1e-5)


def test_the_reverse_direction_starts_at_each_sequences_own_end(mode):
    """A layer that adds up half of what it has read tells, at the first row, where the reading began."""
    layer = make(mode, input_size=1, hidden_size=1, bidirectional=True, bias=False)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        if mode == "GRU":
            layer.weight_ih_l0_reverse[2] = 1.0  # r = z = 1/2, so that h = (h + tanh(x)) / 2
        else:
            layer.weight_ih_l0_reverse[0] = layer.weight_hh_l0_reverse[0] = 0.5  # h = tanh or relu of (h + x) / 2
    step = {
        "GRU": lambda h, x: (h + torch.tanh(x)) / 2,
        "RNN_TANH": lambda h, x: torch.tanh((h + x) / 2),
        "RNN_RELU": lambda h, x: torch.relu((h + x) / 2),
    }[mode]
    three, zero = torch.tensor(3.0), torch.tensor(0.0)
    after_one = step(zero, three)
    after_two = step(after_one, zero)
    after_three = step(after_two, zero)
    packed = pack_sequence([torch.tensor([[0.0], [0.0], [3.0]]), torch.tensor([[0.0], [3.0]])])
    y, hT = layer(packed)
    assert (y.data[:, 0] == 0).all()
    # Rows: step 0 of both sequences, step 1 of both, step 2 of the long one.
    expected = torch.stack([after_three, after_two, after_two, after_one, after_one])
    torch.testing.assert_close(y.data[:, 1], expected)
    torch.testing.assert_close(hT[1, :, 0], expected[:2])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS[::3], ids=kind_name)
def test_padded_input_equals_torch(mode, kind, batch_first):
    modules = pair(mode, batch_first=batch_first, **kind)
    x = torch.randn(4, 3, WIDTH, dtype=torch.float64, requires_grad=True)
    h0 = initial_state(modules[0], 4 if batch_first else 3)
    theirs, ours = (with_gradients(module, x, h0, *module(x, h0)) for module in modules)
    assert_same(ours, theirs)


@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched_input_equals_torch(mode, batch_first):
    theirs, ours = pair(mode, batch_first=batch_first, bidirectional=True, num_layers=2)
    x = torch.randn(4, WIDTH, dtype=torch.float64)
    for arguments in [(x,), (x, initial_state(theirs, 1).squeeze(1).detach())]:
        torch.testing.assert_close(ours(*arguments), theirs(*arguments))


def test_a_batch_of_no_sequences(mode):
    theirs, ours = pair(mode, bidirectional=True, num_layers=2)
    x = torch.zeros(4, 0, WIDTH, dtype=torch.float64, requires_grad=True)
    y, hT = ours(x)
    assert [y.shape, hT.shape] == [result.shape for result in theirs(x)]
    (y.sum() + hT.sum()).backward()
    assert x.grad.shape == x.shape
    assert all((parameter.grad == 0).all() for parameter in ours.parameters())
    packed = PackedSequence(x.new_zeros(0, WIDTH), torch.tensor([0]))
    assert ours(packed)[0].data.shape == (0, 10)


def test_steps_without_rows_change_nothing(mode):
    theirs, ours = pair(mode, bidirectional=True)
    packed = pack_sequence(sequences([3, 1]))
    with_zeros = PackedSequence(packed.data, torch.cat([packed.batch_sizes, torch.zeros(2, dtype=torch.int64)]))
    torch.testing.assert_close(ours(with_zeros)[0].data, theirs(packed)[0].data)


@pytest.mark.parametrize("used", ["y", "hT"])
def test_gradients_when_only_one_result_is_used(mode, used):
    packed = pack_sequence(sequences([4, 3, 1]))
    gradients = []
    for module in pair(mode, bidirectional=True, num_layers=2):
        y, hT = module(packed)
        loss = scramble({"y": y.data, "hT": hT}[used])
        gradients.append(torch.autograd.grad(loss, list(module.parameters()), materialize_grads=True))
    for theirs, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_non_contiguous_everything(mode):
    theirs, ours = pair(mode, bidirectional=True, hidden_size=WIDTH)

    def strided(tensor: torch.Tensor) -> torch.Tensor:
        return torch.stack([tensor, torch.full_like(tensor, torch.nan)], dim=-1)[..., 0]

    packed = pack_sequence(sequences([5, 2, 2]))
    x = strided(packed.data).requires_grad_()
    h0 = strided(initial_state(theirs, 3).detach()).requires_grad_()
    for name, parameter in list(ours.named_parameters()):
        strided_parameter = torch.nn.Parameter(strided(parameter.detach()))
        assert not strided_parameter.is_contiguous()
        setattr(ours, name, strided_parameter)
    results = []
    for module in (ours, theirs):
        y, hT = module(PackedSequence(x, packed.batch_sizes), h0)
        inputs = [x, h0, *(dict(module.named_parameters())[name] for name in theirs.state_dict())]
        gradients = torch.autograd.grad([y.data, hT], inputs, [strided(y.data.detach()), strided(hT.detach())])
        results.append([y.data, hT, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_dropout_between_layers_draws_torchs_mask(mode):
    modules = pair(mode, num_layers=3, dropout=0.5, bidirectional=True)
    results = []
    for module in modules:
        torch.manual_seed(7)
        results.append(results_and_gradients(module, [6, 3, 1]))
    assert_same(results[1], results[0])
    theirs, ours = (module.eval() for module in modules)
    assert_same(results_and_gradients(ours, [6, 3, 1]), results_and_gradients(theirs, [6, 3, 1]))


def test_a_row_does_not_depend_on_what_it_is_batched_with(mode):
    _, ours = pair(mode, torch.float32, bidirectional=True, num_layers=2, hidden_size=32)
    rows = sequences([19, 3, 11, 1, 7, 11, 2], torch.float32)
    together, hT = ours(pack_sequence(rows, enforce_sorted=False))
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(together)
    for index, row in enumerate(rows):
        alone, h_alone = ours(row.unsqueeze(1))
        # A product may sum in another order when it has more rows: some units in the last place of values up to 1.
        torch.testing.assert_close(padded[: lengths[index], index], alone[:, 0], rtol=0, atol=2e-6)
        torch.testing.assert_close(hT[:, index], h_alone[:, 0], rtol=0, atol=2e-6)


def test_results_are_the_callers_own(mode):
    """Writing into a result changes no gradient: nothing that the backward pass needs is shared with the caller."""
    _, ours = pair(mode, bidirectional=False)
    x = pack_padded_sequence(torch.randn(4, 2, WIDTH, dtype=torch.float64), [4, 2])
    gradients = []
    for spoil in (False, True):
        y, hT = ours(x)
        if spoil:
            with torch.no_grad():
                y.data.fill_(torch.nan)
                hT.fill_(torch.nan)
        ones = [torch.ones_like(y.data), torch.ones_like(hT)]
        gradients.append(torch.autograd.grad([y.data, hT], list(ours.parameters()), ones))
    for clean, spoiled in zip(*gradients, strict=True):
        assert torch.equal(spoiled, clean)


def test_gradients_that_arrive_are_not_written_to(mode):
    _, ours = pair(mode, bidirectional=True)
    y, hT = ours(pack_sequence(sequences([3, 2])))
    arriving = [torch.randn_like(y.data), torch.randn_like(hT)]
    copies = [gradient.clone() for gradient in arriving]
    torch.autograd.grad([y.data, hT], list(ours.parameters()), arriving)
    for gradient, copy in zip(arriving, copies, strict=True):
        assert torch.equal(gradient, copy)
