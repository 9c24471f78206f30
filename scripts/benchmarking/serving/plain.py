"""The plain peer: the same checkpoint behind one FastAPI route, as one writes it without a batcher.

Stock modules (``torch.nn.LSTM`` with the checkpoint's weights), a ``def`` endpoint that FastAPI runs in its pool of
threads, uvicorn with uvloop and httptools. Each call computes on one thread, so that requests share the cores.

Run: ``python -m scripts.benchmarking.serving.plain MODEL PORT``.
"""

import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from scripts.benchmarking.train import with_stock_layer
from simlstm.data.batching import pack
from simlstm.models.similarity import SimilarityModel

ROUTE = "/similarity"


class Pair(BaseModel):
    """Two sentences."""

    sentence1: str
    sentence2: str


class Score(BaseModel):
    """Their similarity."""

    score: float


def create_app(model: SimilarityModel) -> FastAPI:
    """Serve a checkpoint's pair head over stock modules."""
    siamese, tokenizer, limit = with_stock_layer(model.model).eval(), model.tokenizer, model.max_tokens
    app = FastAPI()

    @app.post(ROUTE)
    def similarity(pair: Pair) -> Score:
        ids = tokenizer.encode([pair.sentence1, pair.sentence2], max_tokens=limit)
        with torch.inference_mode():
            return Score(score=siamese(pack(ids)).score.item())

    return app


if __name__ == "__main__":
    torch.set_num_threads(1)
    application = create_app(SimilarityModel.from_pretrained(sys.argv[1], device="cpu"))
    uvicorn.run(
        application, port=int(sys.argv[2]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
