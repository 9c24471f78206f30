"""The state folder: whole or absent, newest first, nothing left over."""

import pytest
import torch

from simlstm.training.state import Progress, StateFolder


def _names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def state(tmp_path):
    state = StateFolder(tmp_path / "state")
    state.begin({"config": {"a": 1}}, "tokens")
    return state


def test_it_returns_what_it_was_given(state):
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(3, 2).T, "count": torch.tensor(3.0), "r": torch.get_rng_state()}
    progress = Progress(step=7, epoch=1, best_value=0.1 + 0.2, best_step=5, sums={"loss": 1 / 3}, counts={"loss": 2})
    state.save(progress, tensors)
    loaded, values = StateFolder(state.folder).load()
    assert loaded == progress
    assert values.keys() == tensors.keys()
    assert all(torch.equal(values[name], tensors[name]) for name in tensors)
    assert state.description() == {"config": {"a": 1}}
    assert state.tokenizer() == "tokens"


def test_nothing_begun_nothing_saved(tmp_path):
    assert StateFolder(tmp_path / "none").description() is None
    assert StateFolder(tmp_path / "none").load() is None


def test_older_savings_go_and_the_named_best_stays(state):
    weights = {"w": torch.ones(2)}
    state.save_best(1, weights)
    state.save(Progress(step=1, best_step=1), weights)
    state.save_best(2, {"w": torch.zeros(2)})
    assert "best-00000001.safetensors" in _names(state.folder)  # the saving of step 1 still needs it
    state.save(Progress(step=2, best_step=2), weights)
    assert _names(state.folder) == ["best-00000002.safetensors", "run.json", "step-00000002", "tokenizer.json"]
    assert torch.equal(state.load_best(2)["w"], torch.zeros(2))


def test_what_a_crash_left_half_written_is_neither_read_nor_kept(state):
    state.save(Progress(step=1), {"w": torch.ones(1)})
    half = state.folder / ".step-00000002.partial"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    (state.folder / ".best-00000002.safetensors.partial").write_bytes(b"half")
    assert state.load()[0].step == 1
    state.save(Progress(step=2), {"w": torch.zeros(1)})
    assert state.load()[0].step == 2
    assert _names(state.folder) == ["run.json", "step-00000002", "tokenizer.json"]


def test_a_saved_step_is_left_alone(state):
    state.save(Progress(step=1, epoch=0), {"w": torch.ones(1)})
    state.save(Progress(step=1, epoch=9), {"w": torch.zeros(1)})
    progress, tensors = state.load()
    assert (progress.epoch, tensors["w"].item()) == (0, 1.0)


def test_the_higher_of_two_steps_counts(state):
    """A crash between the renaming of the new saving and the removal of the old one leaves both."""
    state.save(Progress(step=10), {"w": torch.ones(1)})
    (state.folder / "step-00000009").mkdir()
    assert state.load()[0].step == 10


def test_removal_leaves_nothing(state):
    state.save(Progress(step=1), {"w": torch.ones(1)})
    state.remove()
    assert not state.folder.exists()
    state.remove()


def test_removal_and_savings_spare_what_was_not_written_here(state):
    for name in ("notes.txt", "step-1.txt", "best.safetensors"):
        (state.folder / name).write_text("mine")
    (state.folder / "photos").mkdir()
    state.save(Progress(step=1), {"w": torch.ones(1)})
    state.remove()
    assert _names(state.folder) == ["best.safetensors", "notes.txt", "photos", "step-1.txt"] == state.strangers()
