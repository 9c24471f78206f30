"""GRU and RNN: every buffer element that is read was written, and the same call gives the same bits."""

from collections.abc import Iterator

import pytest
import torch
from lstm_cases import LENGTHS, assert_same
from one_state_cases import MODES, pair, results_and_gradients


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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.usefixtures("poisoned_memory")
def test_no_result_is_nan(mode, dtype, lengths, bias):
    _, ours = pair(mode, dtype, bidirectional=True, num_layers=2, bias=bias)
    for with_state in (False, True):
        results = results_and_gradients(ours, lengths, with_state=with_state)
        assert all(result.isfinite().all() for result in results.values())
        # Deterministic: the same bits again.
        assert_same(results_and_gradients(ours, lengths, with_state=with_state), results, rtol=0, atol=0)
