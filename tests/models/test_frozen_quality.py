"""What bfloat16 and int8 cost in quality, on a model that was really trained: for a moment, on the demo corpus."""

import pytest
import torch

from simlstm import SimilarityModel
from simlstm.data.batching import collate_pairs
from simlstm.data.demo.corpus import demo_pairs
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.text.tokenizer import Tokenizer
from tests.models.frozen_cases import BACKENDS

# The bounds of docs/serve.md, which real checkpoints keep on STS-B dev.
BOUNDS = {"float32": 1e-5, "bfloat16": 0.0005, "int8": 0.002}


@pytest.fixture(scope="module")
def dev():
    return demo_pairs("dev")


@pytest.fixture(scope="module")
def trained():
    pairs = demo_pairs("train", size=1200)
    tokenizer = Tokenizer.train([*pairs.sentences1, *pairs.sentences2])
    config = ModelConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        unknown_id=tokenizer.unknown_id,
        embedding_size=32,
        hidden_size=32,
        head="cosine",
    )
    torch.manual_seed(0)
    model = SiameseModel.from_config(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    first, second = tokenizer.encode(pairs.sentences1), tokenizer.encode(pairs.sentences2)
    targets = pairs.scaled_targets()
    for _ in range(8):
        for start in range(0, len(targets), 50):
            rows = slice(start, start + 50)
            batch = collate_pairs(first[rows], second[rows], targets[rows])
            loss = (model(batch.tokens).score - batch.targets).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return SimilarityModel(model, tokenizer, config=config)


@pytest.fixture(scope="module")
def live_spearman(trained, dev):
    spearman = evaluate_model(trained, dev)["spearman"]
    assert spearman > 0.4, "an untrained model would prove nothing"
    return spearman


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", BOUNDS)
def test_ranks_stay_where_they_are(monkeypatch, trained, dev, live_spearman, backend, dtype):
    monkeypatch.setattr("simlstm.models.frozen.frozen_backend", lambda: backend)
    spearman = evaluate_model(trained.freeze(dtype), dev)["spearman"]
    assert trained._fresh._frozen.backend == backend
    assert spearman == pytest.approx(live_spearman, abs=BOUNDS[dtype])
