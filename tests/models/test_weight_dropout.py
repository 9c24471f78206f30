"""DropConnect on the recurrent weights, and dropout inside the recurrence: in training only, with exact gradients."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from simlstm.models.encoder import SentenceEncoder
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.weight_dropout import run_with_dropped_weights
from simlstm.rnn import LSTM

LENGTHS = [5, 1, 3, 3]


def _encoder(**settings):
    torch.manual_seed(0)
    return SentenceEncoder(vocabulary_size=20, embedding_size=6, hidden_size=5, **settings)


def _tokens():
    generator = torch.Generator().manual_seed(1)
    return pack_sequence([torch.randint(20, (n,), generator=generator) for n in LENGTHS], enforce_sorted=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layers", [1, 2])
def test_it_is_the_layer_with_some_weights_at_zero_and_so_is_its_gradient(layers, dtype):
    rate = 0.4
    layer = LSTM(3, 4, num_layers=layers, bidirectional=True, dtype=dtype)
    plain = LSTM(3, 4, num_layers=layers, bidirectional=True, dtype=dtype)
    plain.load_state_dict(layer.state_dict())
    x = pack_sequence([torch.randn(n, 3, dtype=dtype) for n in LENGTHS], enforce_sorted=False)
    torch.manual_seed(7)
    output, _ = run_with_dropped_weights(layer, rate, x)
    output.data.square().sum().backward()
    torch.manual_seed(7)
    factors = {}
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            if name.startswith("weight_hh"):
                factors[name] = torch.nn.functional.dropout(torch.ones_like(weight), rate)
                weight.mul_(factors[name])
    assert any((factor == 0).any() for factor in factors.values())
    expected, _ = plain(x)
    expected.data.square().sum().backward()
    assert torch.equal(output.data, expected.data)
    for (name, weight), other in zip(layer.named_parameters(), plain.parameters(), strict=True):
        # The layer of other weights gives the gradient of those; the mask passes it on to what it kept.
        torch.testing.assert_close(weight.grad, other.grad * factors.get(name, 1))


def test_gradcheck_through_the_mask():
    layer = LSTM(2, 3, bidirectional=True, dtype=torch.float64)
    x = pack_sequence([torch.randn(n, 2, dtype=torch.float64) for n in (3, 1)])
    names = [name for name, _ in layer.named_parameters()]

    def run(*values):
        for name, value in zip(names, values, strict=True):
            layer._parameters[name] = value
        torch.manual_seed(3)
        return run_with_dropped_weights(layer, 0.5, x)[0].data

    assert torch.autograd.gradcheck(run, [value.detach().clone().requires_grad_() for value in layer.parameters()])


@pytest.mark.parametrize("name", ["weight_dropout", "recurrent_dropout"])
def test_it_acts_in_training_only_and_draws_anew_each_time(name):
    tokens = _tokens()
    noisy, plain = _encoder(**{name: 0.5}), _encoder()
    assert list(noisy.state_dict()) == list(plain.state_dict())
    assert torch.equal(noisy.eval()(tokens), plain.eval()(tokens))
    noisy.train()
    first, second = noisy(tokens), noisy(tokens)
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    again = noisy(tokens)
    torch.manual_seed(5)
    assert torch.equal(noisy(tokens), again)
    assert all(torch.equal(a, b) for a, b in zip(noisy.parameters(), plain.parameters(), strict=True))
    assert all(type(weight) is torch.nn.Parameter for weight in noisy.recurrent.parameters())


@pytest.mark.parametrize("name", ["weight_dropout", "recurrent_dropout"])
def test_a_frozen_encoder_knows_nothing_of_it(name):
    ids = [[1, 2, 3], [4], [5, 6]]
    frozen = FrozenEncoder.from_encoder(_encoder(**{name: 0.5}).eval())
    assert torch.equal(frozen.encode(ids), FrozenEncoder.from_encoder(_encoder().eval()).encode(ids))


def test_one_mask_holds_for_all_sentences_and_steps():
    """Two equal sentences of one batch stay equal, with the only matrix that could tell them apart dropped alike."""
    encoder = _encoder(weight_dropout=0.5).train()
    same = encoder(pack_sequence([torch.tensor([1, 2, 3])] * 2))
    assert torch.equal(same[0], same[1])


def test_a_layer_that_would_ignore_it_is_refused():
    encoder = _encoder(weight_dropout=0.5)
    encoder.recurrent = torch.nn.LSTM(6, 5, bidirectional=True)
    with pytest.raises(
        TypeError, match=r"weight_dropout=0.5 needs a layer of simlstm.rnn, got torch.nn.modules.rnn.LSTM"
    ):
        encoder.train()(_tokens())
    encoder.eval()(_tokens())
