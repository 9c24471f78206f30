"""GRU and RNN over `(x, lengths)`: no sorting or packing by the caller, sequences without a step among them."""

import pytest
import torch
from lstm_cases import LENGTHS, WIDTH, assert_same, scramble
from one_state_cases import MODES, initial_state, pair, with_gradients
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

pytestmark = [pytest.mark.parametrize("mode", MODES), pytest.mark.parametrize("batch_first", [False, True])]


def padded(lengths, steps, *, batch_first):
    """Return x with NaN wherever no sequence is: whatever reads it shows."""
    x = torch.randn(steps, len(lengths), WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    for index, length in enumerate(lengths):
        x[length:, index] = torch.nan
    return x.transpose(0, 1).contiguous() if batch_first else x


@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_equals_packing_by_hand(mode, lengths, batch_first):
    theirs, ours = pair(mode, bidirectional=True, num_layers=2, batch_first=batch_first)
    x = padded(lengths, max(lengths), batch_first=batch_first).requires_grad_()
    h0 = initial_state(ours, len(lengths))
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=False)
    y, hT = theirs(packed, h0)
    y, _ = pad_packed_sequence(y, batch_first=batch_first)
    expected = with_gradients(theirs, x, h0, y, hT)
    assert_same(with_gradients(ours, x, h0, *ours((x, torch.tensor(lengths)), h0)), expected)


@pytest.mark.parametrize("lengths", [[0, 3, 0, 5, 1], [2, 0, 0], [0, 0]], ids=str)
def test_sequences_without_a_step_pass_their_state_through(mode, lengths, batch_first):
    _, ours = pair(mode, bidirectional=True, batch_first=batch_first)
    x = padded(lengths, max(lengths) + 1, batch_first=batch_first).requires_grad_()
    h0 = initial_state(ours, len(lengths))
    y, hT = ours((x, torch.tensor(lengths)), h0)
    by_sequence = y if batch_first else y.transpose(0, 1)
    dx, dh0 = torch.autograd.grad(scramble(y) + hT.sum(), [x, h0])
    assert dx.isfinite().all()
    for index, length in enumerate(lengths):
        assert not by_sequence[index, length:].any()
        if length == 0:
            assert torch.equal(hT[:, index], h0[:, index])
            assert torch.equal(dh0[:, index], torch.ones_like(dh0[:, index]))
        else:
            rows = x.detach().select(0 if batch_first else 1, index)[:length]
            alone, h_alone = ours(rows, h0[:, index].detach())
            torch.testing.assert_close(by_sequence[index, :length], alone)
            torch.testing.assert_close(hT[:, index], h_alone)
