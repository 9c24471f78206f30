"""What is trained on, and what is held out."""

import pytest

from simlstm.training.config_file import load_config
from simlstm.training.run_data import read_run_data

TRAIN = ("A dog runs.,a cat  SLEEPS,3", "Two men talk.,A man talks.,4", "It rains.,The sun shines.,1")


@pytest.fixture
def files(tmp_path):
    def write(name, rows):
        path = tmp_path / name
        path.write_text("\n".join(("sentence1,sentence2,score", *rows)) + "\n", encoding="utf-8")
        return {"path": str(path), "score_range": [0.0, 5.0]}

    return write


@pytest.mark.parametrize("leave_out", [True, False])
def test_held_out_pairs_are_left_out_in_either_order_whatever_their_case(files, leave_out):
    dev = files("dev.csv", ["Ａ cat sleeps,A DOG runs.,0", "A man talks.,It rains.,2"])
    test = files("test.csv", ["the sun shines.,It rains.,5"])
    flags = {"data.train": [files("train.csv", TRAIN)], "data.dev": dev, "data.count_overlap": [test]}
    data = read_run_data(load_config(flags=flags | {"data.leave_out_overlap": leave_out}))
    # Sentences of held-out pairs stay in other pairs.
    assert data.train[0].sentences1 == (
        ["Two men talk."] if leave_out else ["A dog runs.", "Two men talk.", "It rains."]
    )
    assert len(data.dev) == 2
