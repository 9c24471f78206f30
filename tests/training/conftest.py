"""Small data and small models for the training tests."""

import csv
import itertools
import random

import pytest

from simlstm.evaluation.evaluate import calibrate_model, evaluate_model
from simlstm.training.config_file import load_config
from simlstm.training.run import train

SUBJECTS = ["a man", "a woman", "the child", "my dog", "一个男人", "小孩"]
VERBS = ["plays", "eats", "likes", "sells", "喜欢", "卖"]
OBJECTS = ["an apple", "the guitar", "a red car", "tea", "苹果", "茶"]


def write_pairs(path, *, rows, seed, kind="graded"):
    """Write pairs whose score is the share of parts that two sentences have in common."""
    chance = random.Random(seed)
    sentences = list(itertools.product(SUBJECTS, VERBS, OBJECTS))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence1", "sentence2", "score"])
        for _ in range(rows):
            first = chance.choice(sentences)
            second = tuple(
                chance.choice([part, chance.choice(parts)])
                for part, parts in zip(first, (SUBJECTS, VERBS, OBJECTS), strict=True)
            )
            same = sum(a == b for a, b in zip(first, second, strict=True))
            score = round(same / 3, 3) if kind == "graded" else int(same >= 2)
            writer.writerow([" ".join(first), " ".join(second), score])
    return path


@pytest.fixture(scope="session")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graded")
    return write_pairs(folder / "train.csv", rows=96, seed=1), write_pairs(folder / "dev.csv", rows=40, seed=2)


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("binary")
    return (
        write_pairs(folder / "train.csv", rows=96, seed=3, kind="binary"),
        write_pairs(folder / "dev.csv", rows=40, seed=4, kind="binary"),
    )


@pytest.fixture(scope="session")
def paraphrases(tmp_path_factory):
    path = tmp_path_factory.mktemp("positive") / "pairs.jsonl"
    rows = [f'{{"sentence1": "{s} {o}", "sentence2": "{o} {s}"}}' for s in SUBJECTS[:4] for o in OBJECTS[:4]]
    path.write_text("\n".join(rows), encoding="utf-8")
    return {"path": str(path), "format": "jsonl", "columns": {"sentence1": "sentence1", "sentence2": "sentence2"}}


TINY = {
    "model.embedding_size": 8,
    "model.hidden_size": 6,
    "model.head_hidden_size": 8,
    "training.epochs": 2,
    "training.batch_size": 8,
    "training.tensorboard": False,
    "training.device": "cpu",
}


@pytest.fixture(scope="session")
def tiny_settings():
    return TINY


@pytest.fixture
def tiny():
    """Build the configuration of a tiny model on two files; keyword arguments are settings, ``__`` for the dot."""

    def build(files, **settings):
        train_files, dev = files
        flags = {
            "data.train": train_files if isinstance(train_files, list) else [str(train_files)],
            "data.dev": dev if isinstance(dev, dict) else str(dev),
            **TINY,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        if flags.get("model.head", "mlp") != "mlp":
            flags["model.head_hidden_size"] = None
        return load_config(flags=flags)

    return build


@pytest.fixture
def run():
    """Train with the real evaluation and calibration."""

    def start(config, out, **arguments):
        return train(config, out, evaluate=evaluate_model, calibrate=calibrate_model, **arguments)

    return start
