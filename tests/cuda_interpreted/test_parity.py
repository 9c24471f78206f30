"""Every kernel gives the outputs, final states and gradients of torch operations in float64."""

import pytest
import torch

from simlstm.rnn.backends import differentiable
from simlstm.rnn.backends.cuda import launch, lstm
from simlstm.rnn.backends.cuda.plan import Chip, Plan, resident_parts
from tests.cuda.cases import LENGTHS, TOLERANCES, assert_close, computed, random_case, truth

WHOLE, SPLIT = "whole", "split"


def plan_of(kind: str, hidden_size: int, block_sequences: int = 16) -> Plan:
    """Return a plan of small blocks, so that there are several of everything."""
    units = 16
    match kind:
        case "whole":
            return Plan(WHOLE, block_sequences, max(16, 1 << (hidden_size - 1).bit_length()), 0, 4, at_once=True)
        case "split":
            return Plan(SPLIT, block_sequences, units, 0, 4, at_once=True)
        case "streamed":
            return Plan(SPLIT, block_sequences, units, 16, 4, at_once=False)
    raise ValueError(kind)


@pytest.fixture
def with_plan(monkeypatch):
    """Have a plan taken, on a chip of so many multiprocessors."""

    def take(plan, multiprocessors=132):
        monkeypatch.setattr(lstm, "plan_for", lambda problem, device: plan)
        monkeypatch.setattr(launch, "chip_of", lambda device: Chip(multiprocessors))

    return take


def check(case, name="float32"):
    assert_close(computed(case), truth(case), TOLERANCES[name])


@pytest.mark.parametrize("kind", ["whole", "split"])
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_every_shape_of_batch(kind, lengths, with_plan):
    with_plan(plan_of(kind, 20))
    check(random_case(lengths, 7, 20))


@pytest.mark.parametrize("kind", ["whole", "split", "streamed"])
@pytest.mark.parametrize("hidden_size", [1, 5, 33, 40, 72])
def test_odd_hidden_sizes(kind, hidden_size, with_plan):
    with_plan(plan_of(kind, hidden_size))
    check(random_case([3, 1] if hidden_size < 72 else [2], 7, hidden_size, directions=2 if hidden_size < 40 else 1))


def test_weights_in_two_parts_and_in_one():
    """Which of the sizes above have a second resident part: both kinds are among them."""
    assert [resident_parts(size)[1] for size in (1, 5, 20, 33, 40, 72)] == [0, 0, 0, 16, 16, 16]


@pytest.mark.parametrize("kind", ["whole", "split"])
@pytest.mark.parametrize(
    "variant",
    [
        {"directions": 1},
        {"bias": False},
        {"states": False},
        {"directions": 1, "bias": False, "states": False},
        {"input_size": 1},
    ],
    ids=str,
)
def test_what_may_be_absent(kind, variant, with_plan):
    with_plan(plan_of(kind, 20))
    check(random_case([3, 2, 2, 1], **{"input_size": 7, "hidden_size": 20} | variant))


@pytest.mark.parametrize("kind", ["whole", "split", "streamed"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bits(kind, dtype, with_plan):
    with_plan(plan_of(kind, 40))
    check(random_case([4, 3, 1], 7, 20, dtype), str(dtype).removeprefix("torch."))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_products_of_sixteen_bits_of_float32_tensors(dtype):
    """As under autocast: parameters and results are float32."""
    case = random_case([6, 4, 4, 1], 7, 20)
    actual = computed(case, dtype)
    assert {tensor.dtype for tensor in actual.values()} == {torch.float32}
    assert_close(actual, truth(case), TOLERANCES[str(dtype).removeprefix("torch.")])


@pytest.mark.parametrize(("multiprocessors", "groups"), [(2, 1), (4, 2), (132, 4)])
def test_groups_of_several_blocks(multiprocessors, groups, with_plan):
    plan = plan_of("split", 20)
    with_plan(plan, multiprocessors)
    lengths = [4] + [3] * 18 + [2] * 20 + [1] * 20
    case = random_case(lengths, 3, 20, directions=1)
    problem = launch.problem_of(
        launch.Recurrent([w.w_hh for w in case.weights]), len(lengths), lstm.Arithmetic.of(torch.float32),
        backward=False, keeps=True,
    )  # fmt: skip
    assert launch.groups(plan, problem, Chip(multiprocessors)) == groups
    check(case)


@pytest.mark.parametrize("block_sequences", [32])
@pytest.mark.parametrize("kind", ["whole", "split"])
def test_larger_blocks(kind, block_sequences, with_plan):
    with_plan(plan_of(kind, 20, block_sequences))
    check(random_case(LENGTHS["several blocks"], 3, 20, directions=1))


@pytest.mark.parametrize("hidden_size", [5, 33])
def test_the_plan_that_is_taken_unasked(hidden_size):
    check(random_case(LENGTHS["ragged"], 7, hidden_size))


@pytest.mark.parametrize("kind", ["whole", "split"])
@pytest.mark.parametrize("used", range(3), ids=["y", "hT", "cT"])
def test_gradients_when_only_one_result_is_used(kind, used, with_plan):
    with_plan(plan_of(kind, 20))
    case = random_case([3, 2, 1], 3, 20)
    exact = case.to("cpu", torch.float64)
    gradients = []
    for one, run in ((case, lstm.lstm_layer), (exact, differentiable.lstm_layer)):
        arguments = (one.x, one.walk, one.h0, one.c0, one.weights, *([one.x.dtype] if one is case else []))
        outputs = run(*arguments)
        found = torch.autograd.grad(outputs[used].sin().sum(), list(one.leaves().values()), allow_unused=True)
        gradients.append(dict(zip(one.leaves(), found, strict=True)))
    for name, expected in gradients[1].items():
        if expected is None:
            expected = torch.zeros_like(gradients[0][name])
        assert_close({name: gradients[0][name]}, {name: expected}, TOLERANCES["float32"])


@pytest.mark.parametrize("kind", ["whole", "split"])
def test_without_gradients_nothing_is_kept_and_the_result_is_the_same(kind, with_plan):
    with_plan(plan_of(kind, 20))
    case = random_case([3, 2, 1], 3, 20)
    kept = lstm.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float32)
    with torch.no_grad():
        outputs = lstm.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float32)
    assert all(torch.equal(*both) for both in zip(outputs, kept, strict=True))
    assert not any(output.requires_grad for output in outputs)


@pytest.mark.parametrize("directions", [1, 2])
def test_all_steps_in_one_launch_of_programs_that_wait_for_themselves_alone(directions, monkeypatch, with_plan):
    """The interpreter runs one program after the other: a launch of all steps ends where each owns all units."""
    with_plan(Plan(SPLIT, 16, 32, 0, 4, at_once=True), multiprocessors=directions)
    case = random_case(LENGTHS["several blocks"], 3, 20, directions=directions)
    expected = computed(case)
    monkeypatch.setattr(launch, "is_interpreted", lambda: False)
    actual = computed(case)
    assert all(torch.equal(actual[name], value) for name, value in expected.items())


def test_twice_differentiable():
    case = random_case([4, 2, 1], 3, 5)
    exact = case.to("cpu", torch.float64)
    second = []
    for one, run in ((case, lstm.lstm_layer), (exact, differentiable.lstm_layer)):
        arguments = (one.x, one.walk, one.h0, one.c0, one.weights, *([one.x.dtype] if one is case else []))
        leaves = one.leaves()
        y, hT, cT = run(*arguments)
        first = torch.autograd.grad(
            y.sin().sum() + hT.sin().sum() + cT.sin().sum(), list(leaves.values()), create_graph=True
        )
        found = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), list(leaves.values()))
        second.append(dict(zip(leaves, found, strict=True)))
    # Each of two backward passes rounds as one does.
    assert_close(*second, 2 * TOLERANCES["float32"])


@pytest.mark.parametrize("kind", ["whole", "split"])
def test_operands_that_are_not_contiguous_nor_aligned(kind, with_plan):
    with_plan(plan_of(kind, 20))
    case = random_case([3, 2, 1], 3, 20)

    def strided(tensor):
        return torch.stack([tensor.detach(), torch.full_like(tensor, torch.nan)], dim=-1)[..., 0].requires_grad_()

    def shifted(tensor):
        return torch.cat([tensor.new_zeros(1), tensor.detach().flatten()])[1:].view(tensor.shape).requires_grad_()

    expected = computed(case)
    for change in (strided, shifted):
        weights = [type(w)(*(None if t is None else change(t) for t in w)) for w in case.weights]
        changed = type(case)(change(case.x), case.walk, change(case.h0), change(case.c0), weights)
        assert_close(computed(changed), {k: v.double() for k, v in expected.items()}, TOLERANCES["float32"])


def test_the_reverse_direction_starts_at_each_sequences_own_end():
    """Each sequence alone gives what it gives in a batch, to the bit: blocks are computed row by row."""
    case = random_case([6, 3, 1], 3, 20)
    with torch.no_grad():
        y, hT, cT = lstm.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float32)
        for sequence, length in enumerate([6, 3, 1]):
            rows = [start + sequence for start in [0, 3, 5, 7, 8, 9][:length]]
            alone = random_case([length], 3, 20)
            arguments = (case.h0[:, sequence : sequence + 1], case.c0[:, sequence : sequence + 1], case.weights)
            y_alone, h_alone, c_alone = lstm.lstm_layer(case.x[rows], alone.walk, *arguments, torch.float32)
            torch.testing.assert_close(y[rows], y_alone, rtol=0, atol=1e-6)
            torch.testing.assert_close(hT[:, sequence], h_alone[:, 0], rtol=0, atol=1e-6)
            torch.testing.assert_close(cT[:, sequence], c_alone[:, 0], rtol=0, atol=1e-6)
