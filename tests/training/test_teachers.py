"""The cache of a teacher's vectors: what is kept, what is computed again, and what damage is noticed."""

import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from simlstm.models.similarity import SimilarityModel
from simlstm.training import teachers
from simlstm.training.teachers import TeacherCache
from tests.conftest import REPOSITORY
from tests.training.test_distillation import teacher  # noqa: F401 - a fixture

TEXTS = ["a man plays tea", "my dog", "", "苹果", "a man plays tea", "a lone \ud800 surrogate"]


@pytest.fixture
def cache(teacher, tmp_path):  # noqa: F811
    return TeacherCache(teacher, tmp_path, precision="float32")


def _shards(cache):
    return sorted(cache.folder.glob("*.safetensors"))


def test_the_vectors_are_the_teachers_in_the_order_of_the_texts(cache):
    vectors = cache.vectors(TEXTS)
    expected = SimilarityModel.from_pretrained(cache.teacher, dtype="float32").encode(TEXTS)
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors, expected, rtol=2e-3, atol=1e-4)
    assert cache.width() == expected.shape[1]


def test_a_second_run_encodes_only_what_is_new(cache, teacher, tmp_path, monkeypatch):  # noqa: F811
    cache.vectors(TEXTS)
    again = TeacherCache(teacher, tmp_path, precision="float32")
    encoded = []
    load = teachers.load_teacher

    def watched(*arguments):
        encode = load(*arguments)
        return lambda texts: (encoded.extend(texts), encode(texts))[1]

    monkeypatch.setattr(teachers, "load_teacher", watched)
    first = again.vectors(TEXTS)
    assert encoded == []
    longer = again.vectors(["new", *TEXTS, "a longer new one"])
    assert encoded == ["a longer new one", "new"]  # longest first
    assert (longer[1:-1] == first).all()
    assert len(_shards(cache)) == 2


def test_progress_is_told_shard_by_shard(cache, caplog, monkeypatch):
    monkeypatch.setattr(teachers, "_TEXTS_OF_A_SHARD", 2)
    with caplog.at_level(logging.INFO):
        cache.fill(TEXTS)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("teacher: ")]
    assert [line.partition(" new texts")[0] for line in told] == [f"teacher: {n} of 5" for n in (2, 4, 5)]
    assert len(_shards(cache)) == 3


def test_a_run_that_dies_while_encoding_loses_one_shard_at_most(cache, monkeypatch):
    monkeypatch.setattr(teachers, "_TEXTS_OF_A_SHARD", 2)
    load = teachers.load_teacher

    def dying(*arguments):
        encode, calls = load(*arguments), []

        def second_call_dies(texts):
            calls.append(texts)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return encode(texts)

        return second_call_dies

    monkeypatch.setattr(teachers, "load_teacher", dying)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(TEXTS)
    (cache.folder / ".000001-half.safetensors.partial").write_bytes(b"half a shard")
    monkeypatch.setattr(teachers, "load_teacher", load)
    fresh = TeacherCache(cache.teacher, cache.folder.parent, precision="float32")
    assert len(_shards(fresh)) == 1
    assert fresh.vectors(TEXTS).shape == (6, 12)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damage_names_the_file_to_delete(cache, damage):
    before = cache.vectors(TEXTS)
    (shard,) = _shards(cache)
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[-1] ^= 0x40
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"safetensors: damaged; delete this file, and its texts are encoded again"):
        cache.vectors(TEXTS)
    shard.unlink()
    assert (cache.vectors(TEXTS) == before).all()


def test_another_teacher_or_precision_has_vectors_of_its_own(cache, teacher, tmp_path):  # noqa: F811
    copy = tmp_path / "copy" / "teacher"
    shutil.copytree(teacher, copy)
    assert TeacherCache(copy, tmp_path, precision="float32").folder == cache.folder
    assert TeacherCache(copy, tmp_path, precision="bf16").folder != cache.folder
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert TeacherCache(copy, tmp_path, precision="float32").folder != cache.folder


def test_the_card_tells_the_licence(cache, tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\n# An encoder\nlicense: mit\n")
    assert TeacherCache(folder, tmp_path).description()["licence"] == "apache-2.0"
    assert "licence" not in cache.description()


def test_what_is_no_teacher_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is no folder; allowed: that of a sentence-transformers model, or"):
        TeacherCache("nowhere", tmp_path)
    with pytest.raises(ValueError, match="holds neither a sentence-transformers model nor a simlstm checkpoint"):
        TeacherCache(tmp_path, tmp_path / "cache").vectors(["a"])
    with pytest.raises(ValueError, match="precision: 'int8' came; allowed: auto, float32, bf16"):
        TeacherCache(tmp_path, precision="int8")


def test_a_transformer_teaches_as_sentence_transformers_encodes(tmp_path):
    """A transformer of random weights, made on the spot: no network is asked for one."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers comes with simlstm[bench]")
    script = tmp_path / "teach.py"
    script.write_text(TRANSFORMER, encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, script, tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# In a process of its own: the library's imports warn, and warnings are errors here.
TRANSFORMER = """
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer, models
from transformers import BertConfig, BertModel, BertTokenizer

from simlstm.training.teachers import TeacherCache

out = Path(sys.argv[1])
bert = out / "bert"
bert.mkdir()
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "plays", "tea"]
(bert / "vocab.txt").write_text("\\n".join(words))
BertTokenizer(str(bert / "vocab.txt")).save_pretrained(bert)
BertModel(BertConfig(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                     intermediate_size=16)).save_pretrained(bert)
part = models.Transformer(str(bert))
encoder = SentenceTransformer(modules=[part, models.Pooling(16)], device="cpu")
encoder.save_pretrained(str(out / "encoder"))
texts = ["a man plays", "tea", "a man plays tea a man"]
expected = encoder.encode(texts)
exact = TeacherCache(out / "encoder", out / "cache", precision="float32")
np.testing.assert_allclose(exact.vectors(texts), expected, rtol=2e-3, atol=1e-3)
rough = TeacherCache(out / "encoder", out / "cache", precision="bf16").vectors(texts)
np.testing.assert_allclose(rough, expected, rtol=0.05, atol=0.1)
assert exact.width() == 16
"""
