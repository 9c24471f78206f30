"""Autocast on CUDA gives outputs and states the dtypes that torch.nn.LSTM's have there."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from simlstm.rnn import LSTM


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", ["packed", "padded", "lengths"])
@pytest.mark.parametrize("given", [False, True])
def test_dtypes_are_torchs(dtype, form, given):
    torch.manual_seed(0)
    theirs = torch.nn.LSTM(12, 20, bidirectional=True, device="cuda")
    ours = LSTM(12, 20, bidirectional=True, device="cuda")
    ours.load_state_dict(theirs.state_dict())
    sentences = [torch.randn(4, 12, device="cuda") for _ in range(3)]
    packed = pack_sequence(sentences)
    padded = torch.stack(sentences, 1)
    hx = tuple(torch.randn(2, 3, 20, device="cuda") for _ in range(2)) if given else None
    lengths = torch.full((3,), 4, device="cuda")
    with torch.autocast("cuda", dtype):
        y, states = theirs(packed if form == "packed" else padded, hx)
        found, found_states = ours({"packed": packed, "padded": padded, "lengths": (padded, lengths)}[form], hx)
    y, found = (result.data if form == "packed" else result for result in (y, found))
    assert found.dtype == y.dtype == dtype
    assert [state.dtype for state in found_states] == [state.dtype for state in states]
    # Both round h and the weights to 16 bits: half a unit in the last place, 2**-9 of values below 1, at each step.
    torch.testing.assert_close(found, y, rtol=0, atol=0.02)
