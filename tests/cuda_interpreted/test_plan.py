"""Plans: whatever the problem, each fits onto the chip and covers it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from simlstm.rnn.backends.cuda.plan import (
    Chip,
    Plan,
    Problem,
    candidates,
    fits,
    groups,
    power_of_two,
    resident_parts,
    slices,
)

SHARED_BYTES = 227 * 1024
# Of one direction: i, f, g and o.
GATES = 4

PRODUCTS = [
    (torch.bfloat16, "ieee"), (torch.float16, "ieee"), (torch.float32, "tf32"), (torch.float32, "ieee"),
    (torch.bfloat16, "exact"),
]  # fmt: skip

problems = st.builds(
    lambda product, **rest: Problem(products=product[0], precision=product[1], **rest),
    st.sampled_from(PRODUCTS),
    hidden_size=st.integers(1, 4200),
    directions=st.sampled_from([1, 2]),
    sequences=st.one_of(st.integers(1, 200), st.integers(1, 100_000)),
    backward=st.booleans(),
    keeps=st.booleans(),
)
chips = st.builds(Chip, multiprocessors=st.integers(1, 200))


@example(Problem(256, 2, 5000, torch.bfloat16, "ieee", backward=False, keeps=True), Chip(12))
@given(problems, chips)
def test_every_candidate_can_run(problem, chip):
    plans = candidates(problem, chip)
    assert plans
    assert len(set(plans)) == len(plans)
    for plan in plans:
        assert plan.block_sequences == power_of_two(plan.block_sequences) >= 16
        assert plan.block_units == power_of_two(plan.block_units) >= 16
        assert plan.warps in (2, 4, 8)
        if plan.kernel == "whole":
            assert plan.block_units >= problem.hidden_size
            assert plan.at_once
            weights = GATES * plan.block_units**2
        else:
            programs = slices(problem.hidden_size, plan.block_units) * problem.directions * groups(plan, problem, chip)
            # Programs that wait for one another must all run.
            assert not plan.at_once or programs <= chip.multiprocessors
            assert slices(problem.hidden_size, plan.block_units) * plan.block_units >= problem.hidden_size
            weights = 0 if plan.block_k else GATES * plan.block_units * sum(resident_parts(problem.hidden_size))
        assert weights * problem.products.itemsize < SHARED_BYTES


@given(problems, chips)
def test_groups_serve_every_sequence_and_none_idles(problem, chip):
    for plan in candidates(problem, chip):
        blocks = -(-problem.sequences // plan.block_sequences)
        assert 1 <= groups(plan, problem, chip) <= blocks


@given(st.integers(1, 10_000))
def test_resident_parts_cover_the_units(hidden_size):
    first, rest = resident_parts(hidden_size)
    assert first == power_of_two(first) >= 16
    assert rest == 0 or 16 <= rest == power_of_two(rest) < first
    assert first + rest >= hidden_size
    assert first + rest < 2 * max(16, hidden_size)


@given(problems, chips)
def test_a_plan_does_not_depend_on_the_exact_batch(problem, chip):
    """Blocks and warps are compiled in: batches of about one size must share them."""
    sizes = {tuple(candidates(replace(problem, sequences=size), chip)) for size in range(70, 81)}
    assert len(sizes) <= 2


def test_what_fits_and_what_does_not():
    h200 = Chip(132)

    def problem(hidden_size, products=torch.bfloat16, precision="ieee"):
        return Problem(hidden_size, 2, 64, products, precision, backward=False, keeps=True)

    assert all(fits(problem(size), h200) for size in (64, 128, 256, 300, 512, 1024))
    assert not fits(problem(2048), h200)
    assert candidates(problem(128), h200)[0].kernel == "whole"
    assert candidates(problem(512), h200)[0].kernel == "split"
    assert candidates(problem(2048), h200)[0].block_k > 0


def test_a_plan_describes_itself():
    plan = Plan("split", 16, 32, 0, 4, at_once=True)
    assert Plan(**plan.describe()) == plan


@pytest.mark.parametrize(("number", "power"), [(1, 1), (2, 2), (3, 4), (64, 64), (65, 128)])
def test_power_of_two(number, power):
    assert power_of_two(number) == power


def test_the_limits_that_the_readme_names():
    h200 = Chip(132)

    def largest(products, precision, *, backward):
        sizes = range(16, 1500, 16)
        problems = (Problem(size, 2, 512, products, precision, backward, not backward) for size in sizes)
        return max(problem.hidden_size for problem in problems if fits(problem, h200))

    found = [
        largest(products, precision, backward=backward)
        for products, precision in ((torch.bfloat16, "ieee"), (torch.float32, "tf32"))
        for backward in (False, True)
    ]
    assert found == [1056, 768, 640, 384]
    readme = (Path(__file__).parents[2] / "simlstm/rnn/README.md").read_text("utf-8")
    assert "H > {} in 16 bits ({} in training), {} in TF32 ({})".format(*found) in readme
