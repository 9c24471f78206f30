"""Tiny models with random weights, and pairs that a tiny one can learn."""

import json
from pathlib import Path

import pytest
import torch

from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer

NOUNS = ["cat", "dog", "tree", "river", "stone", "bird"]
SYNONYMS = ["feline", "hound", "oak", "stream", "rock", "finch"]
ADJECTIVES = ["red", "blue", "old", "new", "big", "small"]
SENTENCES = [f"the {adjective} {noun}" for noun in [*NOUNS, *SYNONYMS] for adjective in ADJECTIVES]


def tiny_checkpoint(folder: Path) -> Path:
    """Save a checkpoint with random weights."""
    tokenizer = Tokenizer.train(SENTENCES)
    config = ModelConfig(
        vocabulary_size=tokenizer.vocabulary_size, unknown_id=tokenizer.unknown_id, embedding_size=8, hidden_size=6
    )
    torch.manual_seed(0)
    SimilarityModel(SiameseModel.from_config(config), tokenizer, config=config).save_pretrained(folder)
    return folder


def tiny_transformer(folder: Path) -> Path:
    """Save a BERT of one layer with random weights, with a model card; skip where its packages are missing."""
    pytest.importorskip("sentence_transformers", reason="a teacher needs the extra teach")
    tokenizers = pytest.importorskip("tokenizers")
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", *NOUNS, *SYNONYMS, *ADJECTIVES]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no passwords
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    ).save_pretrained(folder)  # fmt: skip
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# tiny\n")
    return folder


def graded_file(path: Path, adjectives: list[str], *, turned: bool = False) -> Path:
    """Write pairs of a noun and a synonym; those that mean the same score 0.9, others 0.1 (or turned round)."""
    rows = [
        (0.9 if (first == second) != turned else 0.1, f"the {adjective} {noun}", f"the {adjective} {synonym}")
        for adjective in adjectives
        for first, noun in enumerate(NOUNS)
        for second, synonym in enumerate(SYNONYMS)
        if first == second or (second - first) % len(NOUNS) < 3
    ]
    lines = [f"{score}\tnouns\t{a}\t{b}" for score, a, b in rows]
    path.write_text("\n".join(["score\tsource\tsentence1\tsentence2", *lines]) + "\n")
    return path


def marked_file(path: Path, nouns: list[str]) -> Path:
    """Write pairs whose score one word decides: what a cross-encoder without pretraining can learn in seconds."""
    lines = [
        f"{0.9 if number < 3 else 0.1}\tmarks\tthe {noun}\tthe {adjective} {noun}"
        for noun in nouns
        for number, adjective in enumerate(ADJECTIVES)
    ]
    path.write_text("\n".join(["score\tsource\tsentence1\tsentence2", *lines]) + "\n")
    return path


def read_record(path: Path) -> dict:
    """Read JSON."""
    return json.loads(path.read_text())
