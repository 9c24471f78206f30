"""The layer that users hold, sent to the kernels: unsorted batches, stacks, padded batches with lengths."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import LSTM, ragged
from simlstm.rnn.backends.cuda import lstm as kernels
from simlstm.rnn.device_layout import DeviceLayout
from tests.cuda.cases import TOLERANCES, arriving, assert_close

WIDTH, HIDDEN = 3, 5


@pytest.fixture(autouse=True)
def _launches(monkeypatch):
    """Count the launches: a layer that went elsewhere would agree, too."""
    count = []
    forward = kernels.forward

    def counted(*arguments):
        count.append(arguments)
        return forward(*arguments)

    monkeypatch.setattr(kernels, "forward", counted)
    yield
    assert count


def pair(**kind):
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(WIDTH, HIDDEN, dtype=torch.float64, **kind)
    ours = LSTM(WIDTH, HIDDEN, **kind)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            b.copy_(a)
    return ours, theirs


def results(module, x, outputs):
    leaves = {"x": x} | dict(module.named_parameters())
    gradients = torch.autograd.grad(outputs, list(leaves.values()), arriving(outputs))
    return dict(zip(("y", "hT", "cT"), outputs, strict=True)) | dict(zip(leaves, gradients, strict=True))


@pytest.mark.parametrize("lengths", [[1, 4, 2, 2], [3], [1, 1]], ids=str)
@pytest.mark.parametrize("kind", [{"num_layers": 2, "bidirectional": True}, {"bias": False}], ids=str)
def test_packed_batches_in_any_order(kind, lengths):
    torch.manual_seed(2)
    rows = [torch.randn(length, WIDTH) for length in lengths]
    found = []
    for module in pair(**kind):
        packed = pack_sequence([row.to(module.weight_ih_l0.dtype) for row in rows], enforce_sorted=False)
        x = packed.data.requires_grad_()
        y, (hT, cT) = module(PackedSequence(x, *packed[1:]))
        found.append(results(module, x, [y.data, hT, cT]))
    assert_close(*found, TOLERANCES["float32"])


@pytest.mark.parametrize("batch_first", [False, True])
def test_padded_batches_whose_lengths_only_the_device_knows(batch_first, monkeypatch):
    """Everything at and behind a length may be NaN; gradients there are zeros."""
    lengths, steps = torch.tensor([2, 0, 4, 1]), 5
    torch.manual_seed(2)
    clean = torch.randn(len(lengths), steps, WIDTH)
    behind = torch.arange(steps) >= lengths[:, None]
    ours, theirs = pair(num_layers=2, bidirectional=True, batch_first=batch_first)
    found = []
    for module in (ours, theirs):
        x = clean.to(module.weight_ih_l0.dtype)
        x[behind] = torch.nan if module is ours else 0.0
        x = (x if batch_first else x.transpose(0, 1).contiguous()).requires_grad_()
        if module is ours:
            monkeypatch.setattr(ragged, "layout_of", DeviceLayout)
            y, (hT, cT) = module((x, lengths))
        else:
            in_batch_first = x if batch_first else x.transpose(0, 1)
            runs = lengths > 0
            rows = [row[:length] for row, length in zip(in_batch_first[runs], lengths[runs], strict=True)]
            packed, (h, c) = module(pack_sequence(rows, enforce_sorted=False))
            some, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=steps)
            y = some.new_zeros(len(lengths), steps, 2 * HIDDEN).index_put((runs.nonzero()[:, 0],), some)
            y = y if batch_first else y.transpose(0, 1)
            hT, cT = (s.new_zeros(4, len(lengths), HIDDEN).index_copy(1, runs.nonzero()[:, 0], s) for s in (h, c))
        found.append(results(module, x, [y, hT, cT]))
    assert_close(*found, TOLERANCES["float32"])
    gradient = found[0]["x"] if batch_first else found[0]["x"].transpose(0, 1)
    assert (gradient[behind] == 0).all()


def test_autocast_multiplies_in_sixteen_bits():
    ours, theirs = pair(bidirectional=True)
    torch.manual_seed(2)
    found = []
    for module in (ours, theirs):
        torch.manual_seed(2)
        x = torch.randn(4, 3, WIDTH).to(module.weight_ih_l0.dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=module is ours):
            y, (hT, cT) = module(x)
        found.append(results(module, x, [y, hT, cT]))
    assert_close(*found, TOLERANCES["bfloat16"])
    # Operands were rounded: agreement to float32's last digits would say that they were not.
    assert (found[0]["y"].double() - found[1]["y"]).abs().max() > 1e-4
