"""The arithmetic of a model's encoder: what was asked for, where it is refused, and what it is called."""

import numpy as np
import pytest
import torch
from torch import nn

from simlstm import SimilarityModel
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.frozen import frozen_backend
from tests.models.fresh_cases import TEXTS, assert_fresh, attentive, live


@pytest.fixture
def folder(make_model, tmp_path):
    attentive(make_model).save_pretrained(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_loaded_model_computes_in_the_dtype_asked_for(folder, dtype):
    model = SimilarityModel.from_pretrained(folder, device="cpu", dtype=dtype)
    assert (model.dtype, model.backend) == (dtype, frozen_backend())
    ids = [encoding.ids for encoding in model.tokenize(TEXTS)]
    expected = FrozenEncoder.from_encoder(model._model.encoder, precision=dtype).encode(ids)
    assert torch.equal(model.encode(TEXTS, convert_to_tensor=True), expected)
    assert torch.equal(model.encode_tokens(ids), expected)
    again = SimilarityModel.from_pretrained(folder, device="cpu").freeze(dtype)
    assert torch.equal(again.encode(TEXTS, convert_to_tensor=True), expected)


def test_no_dtype_is_float32_on_the_cpu(folder, make_model):
    for model in (SimilarityModel.from_pretrained(folder, device="cpu"), make_model().freeze()):
        assert model.dtype == "float32"


def test_a_frozen_model_that_moves_is_frozen_anew_or_not_at_all(make_model):
    model = make_model().freeze()
    expected = model.encode(TEXTS)
    model.model.to("meta")
    assert model.backend == "live"
    model.model.to_empty(device="cpu").load_state_dict(make_model().model.state_dict())
    assert np.array_equal(model.encode(TEXTS), expected)


def test_int8_is_refused_where_there_is_none(make_model):
    model = make_model().freeze("int8")
    model.model.encoder.recurrent = nn.LSTM(7, 5, bidirectional=True)
    with pytest.raises(
        ValueError, match=r"dtype='int8' needs a frozen.*encoder\.recurrent is a torch\.nn\.modules\.rnn\.LSTM; allowed"
    ):
        model.encode(TEXTS)


def test_bfloat16_is_autocast_where_the_encoder_cannot_be_frozen(make_model):
    model = make_model().freeze("bfloat16")
    model.model.encoder.recurrent = nn.LSTM(7, 5, bidirectional=True)
    assert model.backend == "live"
    exact = live(model)
    with torch.autocast("cpu", torch.bfloat16):
        expected = live(model)
    assert np.array_equal(model.encode(TEXTS), expected)
    assert not np.array_equal(expected, exact)


def test_a_model_in_float64_is_computed_in_float64(make_model):
    model = make_model().freeze()
    model.model.double()
    assert model.backend == "live"
    assert_fresh(model)
    assert model.encode(TEXTS).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("weights", ["float64", "float16", "bfloat16"])
def test_the_dtype_is_that_of_what_is_computed(make_model, dtype, weights):
    model = make_model().freeze(dtype)
    assert model.dtype == dtype
    model.model.to(getattr(torch, weights))
    assert (model.dtype, model.backend) == (weights, "live")
    assert_fresh(model)
    assert not np.array_equal(model.encode(TEXTS), make_model().freeze(dtype).encode(TEXTS))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_shown_and_not_hidden(make_model, value):
    model = make_model().freeze()
    siamese = model.model
    model.encode(TEXTS)
    siamese.encoder.recurrent.weight_hh_l0.data.fill_(value)
    assert np.isnan(model.encode(TEXTS)).any()
    with pytest.raises(ValueError, match=r"encoder\.recurrent\.weight_hh_l0 holds NaN or an infinity"):
        model.freeze("int8").encode(TEXTS)
