"""A frozen encoder is never older than the weights: every way in which weights change, and who has to look."""

import copy
import logging
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from simlstm import SimilarityModel
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.pooling import MeanPooling
from simlstm.rnn import LSTM
from simlstm.rnn.frozen import frozen_backend
from tests.models.fresh_cases import TEXTS, assert_fresh, attentive


@pytest.fixture
def frozen_calls(monkeypatch):
    """Count the encoders that are frozen."""
    calls = []
    original = FrozenEncoder.from_encoder.__func__

    def counting(cls, encoder, **options):
        calls.append(options)
        return original(cls, encoder, **options)

    monkeypatch.setattr(FrozenEncoder, "from_encoder", classmethod(counting))
    return calls


@pytest.fixture
def folder(make_model, tmp_path):
    attentive(make_model).save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def optimizer_step(siamese, optimizer):
    steps = optimizer(siamese.parameters(), lr=0.1)
    siamese.encoder.embedding.weight.square().sum().backward()
    for parameter in siamese.parameters():
        parameter.grad = torch.ones_like(parameter)
    steps.step()


def load_other_weights(siamese, **options):
    other = {name: tensor + 0.1 for name, tensor in siamese.state_dict().items()}
    siamese.load_state_dict(other, **options)


def write_through_data(siamese):
    weight = siamese.encoder.recurrent.weight_hh_l0
    version = weight._version
    weight.data.copy_(weight.data.flip(0))  # the same numbers in other places: sums would not show it
    assert weight._version == version, "torch does not count such a write"


def write_through_numpy(siamese):
    siamese.encoder.embedding.weight.detach().numpy()[1:] += 0.25


def swap_rows_of_the_table(siamese):
    table = siamese.encoder.embedding.weight
    table.data = table.data.roll(1, dims=0)


def replace_the_recurrence(siamese):
    siamese.encoder.recurrent = nn.LSTM(7, 5, num_layers=2, bidirectional=True)


def replace_by_our_own(siamese):
    siamese.encoder.recurrent = LSTM(7, 5, num_layers=2, bidirectional=True)


def replace_the_pooling(siamese):
    siamese.encoder.pooling = MeanPooling(10, bidirectional=True)


def replace_the_encoder(siamese):
    siamese.encoder = copy.deepcopy(siamese.encoder)
    load_other_weights(siamese)


def normalize(siamese):
    siamese.encoder.normalize = True


def nest_in_the_pooling(siamese):
    siamese.encoder.pooling.hidden = nn.Sequential(siamese.encoder.pooling.hidden, nn.ReLU())


CHANGES = {
    "sgd": lambda siamese: optimizer_step(siamese, torch.optim.SGD),
    "adamw": lambda siamese: optimizer_step(siamese, torch.optim.AdamW),
    "load_state_dict": load_other_weights,
    "load_state_dict(assign)": lambda siamese: load_other_weights(siamese, assign=True),
    ".data.copy_": write_through_data,
    "numpy": write_through_numpy,
    ".data =": swap_rows_of_the_table,
    "recurrent = nn.LSTM": replace_the_recurrence,
    "recurrent = LSTM": replace_by_our_own,
    "pooling =": replace_the_pooling,
    "encoder =": replace_the_encoder,
    "normalize =": normalize,
    "pooling.hidden =": nest_in_the_pooling,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("used_before_it_was_read", [False, True])
def test_no_change_of_a_loaded_model_goes_unnoticed(folder, change, used_before_it_was_read):
    model = SimilarityModel.from_pretrained(folder, device="cpu")
    if used_before_it_was_read:
        model.encode(TEXTS)
    siamese = model.model
    before = model.encode(TEXTS)
    change(siamese)
    assert np.abs(model.encode(TEXTS) - before).max() > 1e-3
    assert_fresh(model)
    siamese.encoder.embedding.weight.data.mul_(1.5)  # and once more
    assert_fresh(model)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("freeze", [False, True])
def test_no_change_of_a_model_of_ones_own_goes_unnoticed(make_model, change, freeze):
    model = attentive(make_model)
    siamese = model.model
    if freeze:
        model.freeze()
    before = model.encode(TEXTS)
    change(siamese)
    assert np.abs(model.encode(TEXTS) - before).max() > 1e-3
    assert_fresh(model)


def test_a_model_that_is_being_trained_is_measured_as_it_is(make_model, frozen_calls):
    model = make_model()
    for _ in range(3):
        optimizer_step(model.model, torch.optim.SGD)
        assert_fresh(model)
    assert model.backend == "live"
    assert not frozen_calls, "building a table for each evaluation would cost more than it saves"


def test_an_encoder_is_frozen_once_and_when_it_is_needed(folder, frozen_calls):
    model = SimilarityModel.from_pretrained(folder, device="cpu", dtype="bfloat16")
    assert not frozen_calls
    for _ in range(3):
        model.encode(TEXTS)
        model.score(TEXTS, TEXTS)
    assert frozen_calls == [{"precision": "bfloat16"}]
    siamese = model.model
    for _ in range(3):
        model.encode(TEXTS)
    assert len(frozen_calls) == 2, "once more when the weights were handed out, to keep a copy to compare with"
    with torch.no_grad():
        siamese.encoder.embedding.weight.add_(0.1)
    model.encode(TEXTS)
    model.encode(TEXTS)
    assert len(frozen_calls) == 3


def test_a_hook_sees_every_call(make_model):
    model = make_model().freeze()
    model.encode(TEXTS)
    seen = []
    handle = model.model.encoder.register_forward_pre_hook(lambda *_: seen.append(1))
    model.encode(TEXTS)
    assert seen == [1]
    handle.remove()
    model.encode(TEXTS)
    assert seen == [1]
    assert model.backend == frozen_backend()


def test_thawing_is_logged(make_model, caplog):
    model = make_model().freeze()
    with caplog.at_level(logging.INFO, "simlstm"):
        model.encode(TEXTS)
        model.model.encoder.recurrent = nn.LSTM(7, 5, bidirectional=True)
        model.encode(TEXTS)
        model.encode(TEXTS)
    assert caplog.messages == [
        f"encoder frozen: float32, {frozen_backend()} backend",
        "the encoder is computed as it is, not frozen: encoder.recurrent is a torch.nn.modules.rnn.LSTM; "
        "allowed: simlstm.rnn.layer.LSTM",
    ]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301
def test_copies_have_frozen_encoders_of_their_own(folder, duplicate):
    model = SimilarityModel.from_pretrained(folder, device="cpu", dtype="bfloat16")
    vectors = model.encode(TEXTS)
    twin = duplicate(model)
    assert np.array_equal(twin.encode(TEXTS), vectors)
    with torch.no_grad():
        twin.model.encoder.embedding.weight.add_(1.0)
    assert not np.array_equal(twin.encode(TEXTS), vectors)
    assert np.array_equal(model.encode(TEXTS), vectors)


def test_parts_without_weights_are_watched_too(make_model):
    model = make_model(pooling="max").freeze()
    model.encode(TEXTS)
    model.model.encoder.pooling = MeanPooling(10, bidirectional=True)
    assert_fresh(model)


def untrained(siamese):
    """Replace a weight by a tensor that is no parameter, which a user may go on writing to."""
    recurrent = siamese.encoder.recurrent
    weight = recurrent.weight_hh_l0.detach().clone()
    del recurrent.weight_hh_l0
    recurrent.weight_hh_l0 = weight
    return weight


def test_a_weight_that_is_no_parameter_is_followed(folder):
    model = SimilarityModel.from_pretrained(folder, device="cpu")
    model.encode(TEXTS)
    weight = untrained(model.model)
    assert_fresh(model)
    weight.mul_(-3)
    assert_fresh(model)
    assert model.backend == "live"


def test_a_setting_of_the_recurrence_is_followed(folder):
    model = SimilarityModel.from_pretrained(folder, device="cpu")
    siamese = model.model
    model.encode(TEXTS)
    siamese.encoder.recurrent.bias = False
    assert_fresh(model)
    siamese.encoder.recurrent = LSTM(7, 5, num_layers=2, bidirectional=True, bias=False)
    assert_fresh(model)
    assert model.backend == frozen_backend()
    siamese.encoder.output_size = 99  # what the trainable encoder says of itself, and does not keep to
    with pytest.raises(ValueError, match="99"):
        model.encode(TEXTS)


def test_shallow_copies_hold_one_model_and_watch_it_together(folder):
    model = SimilarityModel.from_pretrained(folder, device="cpu")
    twin = copy.copy(model).freeze("float32")
    for used in (model, twin):
        used.encode(TEXTS)
    model.model.encoder.embedding.weight.data.mul_(3)
    for used in (model, twin):
        assert_fresh(used)


def test_a_promise_spares_the_comparison_until_the_model_is_read_again(make_model, monkeypatch):
    compared = []
    equal = torch.equal
    monkeypatch.setattr(torch, "equal", lambda *tensors: compared.append(1) or equal(*tensors))
    model = make_model().freeze(watched=False)
    expected = model.encode(TEXTS)
    assert np.array_equal(model.encode(TEXTS), expected)
    assert not compared
    model.model.encoder.embedding.weight.data.mul_(3)
    assert_fresh(model)
    model.encode(TEXTS)
    assert compared
    with pytest.raises(ValueError, match="dtype must be one of"):
        model.freeze("float16", watched=False)
    model._model.encoder.embedding.weight.data.mul_(3)
    assert_fresh(model)  # what was refused promised nothing


def test_a_hook_on_all_modules_sees_every_call(folder):
    model = SimilarityModel.from_pretrained(folder, device="cpu")
    before = model.encode(TEXTS)

    def double(module, _, output):
        return 2 * output if isinstance(module, nn.Embedding) else None

    handle = nn.modules.module.register_module_forward_hook(double)
    try:
        assert model.backend == "live"
        assert np.abs(model.encode(TEXTS) - before).max() > 1e-3
        assert_fresh(model)
        assert model.backend == "live"
    finally:
        handle.remove()
    assert np.array_equal(model.encode(TEXTS), before)
