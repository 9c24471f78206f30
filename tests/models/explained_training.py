"""A small model that learned something: explanations of random weights are explanations of noise."""

import torch

from simlstm.data.batching import pack
from simlstm.data.demo import demo_pairs
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer

BATCH = 64


def train_on_demo(pooling: str, head: str, *, steps: int = 150) -> SimilarityModel:
    """Train on the English part of the embedded corpus, for some seconds."""
    data = demo_pairs("train", language="en")
    tokenizer = Tokenizer.train([*data.sentences1, *data.sentences2])
    config = ModelConfig(
        vocabulary_size=tokenizer.vocabulary_size, embedding_size=48, hidden_size=48, pooling=pooling, head=head
    )
    torch.manual_seed(0)
    model = SiameseModel.from_config(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    first, second = tokenizer.encode(data.sentences1), tokenizer.encode(data.sentences2)
    targets = torch.tensor(data.scaled_targets(), dtype=torch.float32)
    for _ in range(steps):
        rows = torch.randint(len(targets), (BATCH,), generator=generator)
        tokens = pack([first[row] for row in rows] + [second[row] for row in rows])
        loss = (model(tokens).score - targets[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return SimilarityModel(model.eval(), tokenizer, config=config)
