"""The log: one line per event, cut back on resume."""

import json

from simlstm.training.journal import Journal


def _lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_log_has_no_step_twice(tmp_path):
    with Journal(tmp_path, tensorboard=False) as journal:
        journal.write("train", 1, {"loss": 0.5}, epoch=0)
        position = journal.position()
        journal.write("train", 2, {"loss": 0.4}, epoch=0)
    with Journal(tmp_path, tensorboard=False, keep_bytes=position, step=1) as journal:
        journal.write("train", 2, {"loss": 0.3}, epoch=0)
    assert [(line["step"], line["loss"]) for line in _lines(tmp_path)] == [(1, 0.5), (2, 0.3)]


def test_a_log_that_somebody_shortened_is_gone_on_with(tmp_path):
    with Journal(tmp_path, tensorboard=False, keep_bytes=1000) as journal:
        journal.write("dev", 1, {"spearman": 0.5}, epoch=0)
    assert _lines(tmp_path) == [{"event": "dev", "step": 1, "epoch": 0, "spearman": 0.5}]


def test_tensorboard_reads_the_same_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Journal(tmp_path, tensorboard=True) as journal:
        journal.write("train", 1, {"loss": 0.5}, epoch=0)
        journal.write("train", 2, {"loss": 0.25}, epoch=0)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 0.5), (2, 0.25)]
