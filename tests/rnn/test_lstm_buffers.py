"""Every buffer element that is read was written: uninitialised memory is filled with NaN, and none comes out."""

from collections.abc import Iterator

import pytest
import torch
from lstm_cases import LENGTHS, assert_same, pair, results_and_gradients

from simlstm.rnn import LSTMCell


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """In this mode torch fills what ``torch.empty`` and its kin return with NaN."""
    assert torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
@pytest.mark.parametrize("projection", [0, 2])
@pytest.mark.usefixtures("poisoned_memory")
def test_no_result_is_nan(dtype, lengths, projection):
    _, ours = pair(dtype, bidirectional=True, num_layers=2, proj_size=projection)
    for with_states in (False, True):
        results = results_and_gradients(ours, lengths, with_states=with_states)
        assert all(result.isfinite().all() for result in results.values())
        # Deterministic: the same bits again.
        assert_same(results_and_gradients(ours, lengths, with_states=with_states), results, rtol=0, atol=0)


@pytest.mark.usefixtures("poisoned_memory")
def test_no_result_of_the_cell_is_nan():
    cell = LSTMCell(3, 5)
    h, c = cell(torch.randn(4, 3))
    (h.sum() + c.sum()).backward()
    assert h.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())
