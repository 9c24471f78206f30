"""What keeps an encoder from being frozen: whatever a frozen one would leave out, or read beyond its end."""

import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from simlstm.data.batching import pack
from simlstm.models.freezable import obstacle
from simlstm.models.freezing import FreshEncoder, Watch
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.pooling import LastPooling, MeanMaxPooling, MeanPooling
from simlstm.rnn import LSTM


class Doubled(LSTM):
    """A recurrence that computes something else."""

    def forward(self, input, hx=None):
        output, states = super().forward(input, hx)
        return output._replace(data=2 * output.data), states


class Halved(MeanPooling):
    """A pooling of somebody's own."""

    def forward(self, rows, batch_sizes):
        return super().forward(rows, batch_sizes) / 2


def halved_in_a_mean():
    pooling = MeanMaxPooling(10, bidirectional=True)
    pooling.mean = Halved(10, bidirectional=True)
    return pooling


def no_parameter(module, name):
    weight = getattr(module, name).detach()
    delattr(module, name)
    setattr(module, name, weight)


def resize(module, name, *shape):
    setattr(module, name, nn.Parameter(torch.zeros(shape)))


def set_part(name, build):
    return lambda encoder: setattr(encoder, name, build(encoder))


# By the first words of what is said about it.
OBSTACLES = {
    f"encoder.recurrent is a {__name__}.Doubled; allowed: simlstm.rnn.layer.LSTM": set_part(
        "recurrent", lambda _: Doubled(7, 5, bidirectional=True)
    ),
    "encoder.recurrent is a torch.nn.modules.rnn.LSTM; allowed: simlstm.rnn.layer.LSTM": set_part(
        "recurrent", lambda _: nn.LSTM(7, 5, bidirectional=True)
    ),
    "encoder.recurrent has proj_size": set_part("recurrent", lambda _: LSTM(7, 8, bidirectional=True, proj_size=5)),
    "encoder.recurrent has zoneout_h": set_part("recurrent", lambda _: LSTM(7, 5, bidirectional=True, zoneout_h=0.1)),
    "encoder.recurrent has zoneout_c": set_part("recurrent", lambda _: LSTM(7, 5, bidirectional=True, zoneout_c=0.1)),
    "encoder.recurrent has num_layers, bidirectional or bias set": lambda e: setattr(e.recurrent, "bias", False),
    "encoder.projection is a torch.nn.modules.container.Sequential; allowed: torch.nn.modules.linear.Linear": set_part(
        "projection", lambda e: nn.Sequential(e.projection, nn.Tanh())
    ),
    "encoder.projection is a torch.nn.utils.parametrize.ParametrizedLinear": lambda e: parametrizations.weight_norm(
        e.projection
    ),
    f"encoder.pooling is a {__name__}.Halved; allowed: ": set_part("pooling", lambda _: Halved(10, bidirectional=True)),
    f"encoder.pooling.mean is a {__name__}.Halved": set_part("pooling", lambda _: halved_in_a_mean()),
    "encoder.pooling.hidden is a torch.nn.modules.activation.ReLU": lambda e: setattr(e.pooling, "hidden", nn.ReLU()),
    "encoder.pooling has bidirectional False": set_part("pooling", lambda _: LastPooling(10, bidirectional=False)),
    "encoder.pooling has input_size 8": set_part("pooling", lambda _: LastPooling(8, bidirectional=True)),
    "encoder.embedding_dropout is a torch.nn.modules.activation.Tanh": set_part(
        "embedding_dropout", lambda _: nn.Tanh()
    ),
    "encoder.embedding_dropout is missing": set_part("embedding_dropout", lambda _: None),
    "encoder.extra is no part of a SentenceEncoder": set_part("extra", lambda _: nn.Identity()),
    "encoder has a forward hook": lambda e: e.register_forward_hook(lambda *_: None),
    "encoder.recurrent has a forward hook": lambda e: prune.l1_unstructured(e.recurrent, "weight_hh_l0", amount=0.5),
    "encoder.pooling.hidden has a forward hook": lambda e: e.pooling.hidden.register_forward_pre_hook(lambda *_: None),
    "encoder has a forward method of its own": lambda e: setattr(e, "forward", e.forward),
    "encoder.embedding has max_norm": lambda e: setattr(e.embedding, "max_norm", 1.0),
    "encoder.embedding.weight is torch.float64 on cpu": lambda e: e.embedding.double(),
    "encoder.embedding.weight is torch.float32 on meta": lambda e: e.to("meta"),
    "encoder.recurrent.weight_hh_l0 is a torch.Tensor; allowed: torch.nn.parameter.Parameter": lambda e: no_parameter(
        e.recurrent, "weight_hh_l0"
    ),
    "encoder.embedding.weight is a torch.Tensor": lambda e: no_parameter(e.embedding, "weight"),
    "encoder.embedding.weight has shape [32, 10]; allowed: [32, 7]": lambda e: resize(e.embedding, "weight", 32, 10),
    "encoder.embedding.weight has shape [9, 7]; allowed: [32, 7]": lambda e: resize(e.embedding, "weight", 9, 7),
    "encoder.recurrent.weight_hh_l0 has shape [8, 5]": lambda e: resize(e.recurrent, "weight_hh_l0", 8, 5),
    "encoder.recurrent.weight_ih_l0 has shape [20, 5]": lambda e: resize(e.recurrent, "weight_ih_l0", 20, 5),
    "encoder.recurrent.bias_ih_l0 has shape [1]": lambda e: resize(e.recurrent, "bias_ih_l0", 1),
    "encoder.projection.bias has shape [1]": lambda e: resize(e.projection, "bias", 1),
    "encoder.recurrent.bias_hh_l0 holds NaN": lambda e: e.recurrent.bias_hh_l0.data[3:4].fill_(float("nan")),
    "encoder.projection.weight holds NaN or an infinity": lambda e: e.projection.weight.data.fill_(float("inf")),
}


@pytest.mark.parametrize(("reason", "change"), OBSTACLES.items(), ids=OBSTACLES)
def test_what_cannot_be_frozen_is_not(make_model, reason, change):
    encoder = make_model(pooling="attention", projection_size=4).model.encoder
    assert obstacle(encoder) is None
    change(encoder)
    assert obstacle(encoder).startswith(reason)
    assert FreshEncoder("float32", Watch(watched=True)).of(encoder) is None
    with pytest.raises(ValueError, match=f"^encoder cannot be frozen: {re.escape(reason)}"):
        FrozenEncoder.from_encoder(encoder)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda e: resize(e.embedding, "weight", 32, 10), RuntimeError),
        (lambda e: resize(e.embedding, "weight", 1, 7), IndexError),
        (lambda e: resize(e.recurrent, "weight_hh_l0", 8, 5), RuntimeError),
    ],
)
def test_shapes_that_do_not_fit_fail_as_in_the_trainable_encoder(make_model, change, error):
    model = make_model().freeze()
    model.encode_tokens([[2, 3]])
    change(model.model.encoder)
    with pytest.raises(error):
        model.encode_tokens([[2, 3]])


def test_one_module_may_stand_in_two_places(make_model):
    encoder = make_model(pooling="attention", projection_size=10).model.encoder
    encoder.projection = encoder.pooling.hidden
    frozen = FrozenEncoder.from_encoder(encoder)
    tokens = pack([[2, 3, 4], [5]])
    torch.testing.assert_close(frozen(tokens), encoder.eval()(tokens).detach(), rtol=0, atol=5e-6)


def test_one_bias_for_all_gates_is_what_it_is_in_the_trainable_encoder(make_model):
    model = make_model().freeze()
    model.model.encoder.recurrent.bias_ih_l0 = nn.Parameter(torch.ones(1))
    frozen = make_model().freeze()
    frozen.model.encoder.recurrent.bias_ih_l0 = nn.Parameter(torch.ones(20))
    torch.testing.assert_close(model.encode_tokens([[2, 3]]), frozen.encode_tokens([[2, 3]]), rtol=0, atol=5e-6)
