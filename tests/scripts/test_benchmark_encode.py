"""Sentences to vectors: the frozen encoder against stock modules, growing numbers, and text against MiniLM."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.benchmarking import encode_shapes, texts
from scripts.benchmarking.encode import Part, measure
from scripts.benchmarking.encode_shapes import (
    build_encoder,
    check_vectors,
    measure_shapes,
    packed_sentences,
    stock_encoder,
)
from scripts.benchmarking.interleave import Measurement
from scripts.benchmarking.linearity import measure_linearity
from scripts.benchmarking.minilm import BATCH_SIZE, MiniLm, spread_sample
from scripts.benchmarking.parity import check_cosine
from scripts.benchmarking.sentences import read_sentences
from scripts.benchmarking.texts import measure_texts
from simlstm.models.config import ModelConfig
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.rnn.frozen import PRECISIONS
from simlstm.text.tokenizer import Tokenizer

SENTENCES = [f"{color} {animal} {place}" for color in ("a red", "one blue") for animal in ("cat", "dog", "horse")
             for place in ("sits", "runs over the wide field", "is here")]  # fmt: skip


@pytest.fixture(autouse=True)
def _few_tokens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encode_shapes, "VOCABULARY_SIZE", 40)
    monkeypatch.setattr("scripts.benchmarking.linearity.VOCABULARY_SIZE", 40)


class FakeMiniLm:
    """Unit vectors, and the number of sentences of each call."""

    def __init__(self, folder: Path) -> None:
        self.calls: list[int] = []
        self.length = 2.0 if folder.name == "not-normalized" else 1.0

    def encode(self, sentences):
        self.calls.append(len(sentences))
        return np.full((len(sentences), 4), self.length / 2, dtype=np.float32)


def test_the_stock_encoder_is_torchs_layer_with_the_same_weights():
    encoder = build_encoder(4)
    stock = stock_encoder(encoder)
    assert type(stock.recurrent) is torch.nn.LSTM
    (tokens,) = packed_sentences(5, 3.0)
    torch.testing.assert_close(stock(tokens), encoder(tokens), rtol=1e-5, atol=1e-6)


def test_shapes_are_measured_in_every_precision():
    (row,) = measure_shapes([4], [3], mean_length=3.0, turns=2, peak_size=16)
    assert set(row.figures) == {"torch", *PRECISIONS}
    assert row.figures["torch"].ratio == 1.0
    for name in PRECISIONS:
        figure = row.figures[name]
        recurrent = 2 * 2 * 4 * 4 * 4 * (row.packed_rows - row.sentences)
        assert figure.gflops == pytest.approx(1e-9 * recurrent / figure.timing.median_s)
        assert figure.parity is not None
        assert row.parity_kind[name] == ("relative difference" if name == "float32" else "lowest cosine")


def test_the_share_is_of_the_peak_of_the_dtype_multiplied_in(monkeypatch: pytest.MonkeyPatch):
    peaks = {"float32 (MKL)": 1.0, "float32 (oneDNN)": 2.0, "bfloat16 (oneDNN)": 5.0}
    monkeypatch.setattr(encode_shapes, "measure_peaks", lambda size: peaks)
    (row,) = measure_shapes([4], [3], mean_length=3.0, turns=2)
    for name, peak in (("torch", 2.0), ("float32", 2.0), ("bfloat16", 5.0), ("int8", 5.0)):
        assert row.figures[name].share_of_peak == pytest.approx(row.figures[name].gflops / peak)


def test_ratios_are_the_stock_modules_seconds_over_the_frozen_encoders(monkeypatch: pytest.MonkeyPatch):
    seconds = {"torch": [6.0, 12.0], "float32": [3.0, 6.0], "bfloat16": [1.0, 2.0], "int8": [12.0, 24.0]}
    prescribed = {name: Measurement(name, values) for name, values in seconds.items()}
    monkeypatch.setattr(encode_shapes, "interleave", lambda calls, turns: {name: prescribed[name] for name in calls})
    (row,) = measure_shapes([4], [3], mean_length=3.0, turns=2, peak_size=16)
    ratios = {name: figure.ratio for name, figure in row.figures.items()}
    assert ratios == {"torch": 1.0, "float32": 2.0, "bfloat16": 6.0, "int8": 0.5}
    needed = 2 * 2 * 4 * 4 * (300 + 4) * row.packed_rows
    assert row.figures["torch"].gflops == pytest.approx(1e-9 * needed / 9.0), (
        "the stock modules multiply the input, too"
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_encoder_without_its_recurrence_gets_no_figure(precision):
    encoder = build_encoder(32)
    tokens = packed_sentences(20, 12.0)[0]
    with torch.no_grad():
        right = stock_encoder(encoder)(tokens)
        check_vectors(precision, FrozenEncoder.from_encoder(encoder, precision=precision)(tokens), right)
        encoder.recurrent.weight_hh_l0_reverse.zero_()
    wrong = FrozenEncoder.from_encoder(encoder, precision=precision)(tokens)
    with pytest.raises(RuntimeError, match=f"parity failed: frozen {precision}"):
        check_vectors(precision, wrong, right)


def test_growing_numbers_of_sentences():
    rows = measure_linearity([3, 20], ["float32", "bfloat16"], hidden_size=4, mean_length=3.0, turns=2)
    assert [(row.precision, row.sentences) for row in rows] == [
        ("float32", 3), ("float32", 20), ("bfloat16", 3), ("bfloat16", 20),
    ]  # fmt: skip
    assert all(row.tokens >= row.sentences for row in rows)
    assert rows[1].result_mib == 20 * 8 * 4 / 2**20
    if sys.platform == "linux":
        assert all(row.resident_peak_mib >= row.resident_before_mib > 10 for row in rows)


def test_sentences_are_distinct(tmp_path: Path):
    file = tmp_path / "lines.txt"
    file.write_text("one\ntwo\n\n one \nthree\nfour\n", encoding="utf-8")
    assert read_sentences(file, 3) == (["one", "two", "three"], "lines.txt")
    with pytest.raises(ValueError, match=r"lines\.txt: 4 distinct sentences, 5 were asked for"):
        read_sentences(file, 5)
    demo, source = read_sentences(None, 500)
    assert len(set(demo)) == 500
    assert "demo corpus" in source


def test_the_sample_holds_whole_batches_of_all_lengths():
    sentences = ["x" * (number % 50 + 1) for number in range(100 * BATCH_SIZE)]
    sample = spread_sample(sentences, 10 * BATCH_SIZE - 5)
    assert len(sample) == 10 * BATCH_SIZE
    ordered = sorted(sentences, key=len, reverse=True)
    assert sample[:BATCH_SIZE] == ordered[5 * BATCH_SIZE : 6 * BATCH_SIZE]
    means = [sum(map(len, texts)) / len(texts) for texts in (sample, sentences)]
    assert means[0] == pytest.approx(means[1], rel=0.02)
    assert sorted(spread_sample(sentences[:40], 1000)) == sorted(sentences[:40])


def test_text_is_measured_against_minilm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def prescribed(calls, *, turns, **_):
        for call in calls.values():
            call()
        seconds = {"float32": [0.2, 0.4], "bfloat16": [0.1, 0.2], "int8": [0.05, 0.1], "MiniLM": [0.8, 1.6]}
        return {name: Measurement(name, seconds[name]) for name in calls}

    monkeypatch.setattr(texts, "MiniLm", FakeMiniLm)
    monkeypatch.setattr(texts, "interleave", prescribed)
    many = [f"{sentence} {number}" for sentence in SENTENCES for number in range(10)]
    report = measure_texts(many, "these", model=None, minilm=tmp_path, minilm_sentences=30, turns=2)
    assert (report.sentences, report.source, report.skipped) == (180, "these", None)
    assert report.minilm.sentences == 32, "whole batches"
    assert report.minilm.sentences_per_second == pytest.approx(32 / 1.2)
    assert 4 <= report.mean_tokens <= 8
    rows = {row.precision: row for row in report.rows}
    assert rows["float32"].sentences_per_second == pytest.approx(180 / 0.3)
    ratios = [rows[precision].ratio for precision in ("float32", "bfloat16", "int8")]
    assert ratios == pytest.approx([4 * 180 / 32, 8 * 180 / 32, 16 * 180 / 32])


def test_a_peer_that_is_not_minilm_gets_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(texts, "MiniLm", FakeMiniLm)
    with pytest.raises(RuntimeError, match=r"length 2\.000 and more, 1 is expected"):
        measure_texts(SENTENCES, "these", model=None, minilm=tmp_path / "not-normalized", minilm_sentences=8, turns=2)


def test_without_minilm_ours_is_measured_and_the_reason_stands(tmp_path: Path):
    report = measure_texts(SENTENCES, "these", model=None, minilm=tmp_path, minilm_sentences=8, turns=2)
    assert report.minilm is None
    assert "make minilm" in report.skipped
    assert {row.ratio for row in report.rows} == {None}


def test_a_checkpoint_can_be_measured(tmp_path: Path):
    tokenizer = Tokenizer.train(SENTENCES)
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size, embedding_size=6, hidden_size=5)
    SimilarityModel(SiameseModel.from_config(config).eval(), tokenizer, config=config).save_pretrained(tmp_path / "m")
    report = measure(
        [4], [2], parts=[Part.texts], mean_length=3.0, turns=2, counts=[3], texts=10, sentences=None,
        model=tmp_path / "m", minilm=tmp_path, minilm_sentences=8,
    )  # fmt: skip
    assert report.texts.model == "the checkpoint m"
    assert (report.rows, report.linearity) == ([], [])


def test_other_vectors_in_a_lower_precision_stop_the_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    build = texts.build_models

    def mixed(folder, sentences):
        models, name = build(folder, sentences)
        torch.manual_seed(1)
        other = SiameseModel.from_config(models["int8"].config).eval()
        models["int8"] = SimilarityModel(other, models["int8"].tokenizer, config=models["int8"].config).freeze("int8")
        return models, name

    monkeypatch.setattr(texts, "build_models", mixed)
    with pytest.raises(RuntimeError, match="parity failed: int8: cosine"):
        measure_texts(SENTENCES, "these", model=None, minilm=tmp_path, minilm_sentences=8, turns=2)


def test_sentence_transformers_runs_a_tiny_encoder(tmp_path: Path):
    package = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *["a", "b", "c", "d", "e"]]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformer = tmp_path / "transformer"
    transformers.BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")).save_pretrained(transformer)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertModel(config).half().save_pretrained(transformer)
    modules = pytest.importorskip("sentence_transformers.models")
    parts = [modules.Transformer(str(transformer)), modules.Pooling(8), modules.Normalize()]
    package.SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / "tiny"))
    peer = MiniLm(tmp_path / "tiny")
    assert {weights.dtype for weights in peer.model.parameters()} == {torch.float32}, "whatever was stored"
    vectors = torch.from_numpy(peer.encode(["a b", "c", "a b"]))
    assert vectors.shape == (3, 8)
    assert check_cosine("the same", vectors[:1], vectors[2:], allowed=0.9999) > 0
    torch.testing.assert_close(torch.linalg.vector_norm(vectors, dim=1), torch.ones(3))
