"""A small model with random weights, and pairs to measure it on."""

import pytest
import torch

from simlstm.data.pairs import PairData
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer

SENTENCES = [
    "a man plays the guitar",
    "a man eats",
    "tea",
    "the child eats an apple",
    "小孩吃苹果",
    "",
    "a man plays the guitar",
]


@pytest.fixture
def model():
    torch.manual_seed(0)
    tokenizer = Tokenizer.train(SENTENCES)
    config = ModelConfig(
        vocabulary_size=tokenizer.vocabulary_size, embedding_size=8, hidden_size=6, head_hidden_size=8, max_tokens=4
    )
    return SimilarityModel(SiameseModel.from_config(config).eval(), tokenizer, config=config, name="small")


@pytest.fixture
def pairs():
    """Build pairs of all the sentences with each other."""

    def build(kind="graded", rows=None):
        grid = [(a, b) for a in SENTENCES for b in SENTENCES][:rows]
        high = {"graded": 5, "binary": 1, "positive": 1}[kind]
        return PairData(
            name=f"small {kind}",
            sentences1=[a for a, _ in grid],
            sentences2=[b for _, b in grid],
            targets=[float(high if a == b or kind == "positive" else len(a) % 2) for a, b in grid],
            kind=kind,
            score_range=(0, high),
            ids=[str(number) for number in range(len(grid))],
            groups=None,
            sources=None,
            sha256="0" * 64,
        )

    return build
