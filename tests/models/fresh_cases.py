"""What tests of models that freeze their encoder share: texts, a model, and the trainable encoder's vectors of it."""

import numpy as np

from simlstm.models.inference import encode_tokens

TEXTS = ["a man plays a guitar", "a woman sings", "the dog does not run", "一只猫在睡觉"]
TOLERANCE = 5e-6  # see tests/models/frozen_cases.py


def attentive(make_model):
    """Build a model with every part that there is, and an attention that makes a difference."""
    model = make_model(pooling="attention", projection_size=4, num_layers=2, dropout=0.1)
    model.model.encoder.pooling.relevance.weight.data.mul_(100)
    return model


def live(model):
    ids = [encoding.ids for encoding in model.tokenize(TEXTS)]
    return encode_tokens(model._model, ids, batch_size=256).numpy()


def assert_fresh(model):
    np.testing.assert_allclose(model.encode(TEXTS), live(model), rtol=0, atol=TOLERANCE)
