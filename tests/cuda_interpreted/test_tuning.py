"""Plans are chosen by measuring; here the interpreter is what is measured, with the CPU's clock."""

import json

import pytest
import torch

from simlstm.rnn.backends.cuda import notebook, rival, tuning
from simlstm.rnn.backends.cuda.launch import chip_of
from simlstm.rnn.backends.cuda.plan import Problem, candidates
from simlstm.rnn.weights import DirectionWeights

CPU = torch.device("cpu")


def problem(*, backward=False, sequences=20):
    return Problem(
        hidden_size=17,
        directions=2,
        sequences=sequences,
        products=torch.float16,
        precision="exact",
        backward=backward,
        keeps=not backward,
    )


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Let measuring take less time than a GPU would need: the interpreter is slower by some orders."""
    for module in (tuning, rival):
        monkeypatch.setattr(module, "_STEPS", 2)
        monkeypatch.setattr(module, "_TURNS", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of measurements that is used as if the CPU were a GPU."""
    monkeypatch.setenv(notebook.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(notebook, "is_open", lambda device: True)
    monkeypatch.setattr(tuning, "_chosen", {})
    monkeypatch.setattr(rival, "_known", {})
    return tmp_path / "cache"


@pytest.mark.parametrize("backward", [False, True])
def test_tuning_returns_a_candidate_that_ran(backward):
    assert tuning.tune(problem(backward=backward), CPU) in candidates(problem(backward=backward), chip_of(CPU))


def test_the_first_call_measures_and_keeps(folder):
    plan = tuning.plan_for(problem(), CPU)
    (content,) = json.loads(notebook.file_of(CPU).read_text()).values()
    assert content == plan.describe()
    assert list(folder.iterdir()) == [notebook.file_of(CPU)]  # nothing half-written is left


def test_later_processes_take_what_was_kept(folder, monkeypatch):
    coarse = tuning.coarse(problem())
    slowest = candidates(coarse, chip_of(CPU))[-1]
    notebook.add(CPU, tuning.name_of(coarse), slowest.describe())
    monkeypatch.setattr(tuning, "tune", lambda *_: pytest.fail("measured what was known"))
    assert tuning.plan_for(problem(sequences=18), CPU) == slowest
    assert tuning.plan_for(problem(sequences=32), CPU) == slowest  # of about the same size


def test_what_is_kept_and_no_candidate_is_measured_again(folder):
    coarse = tuning.coarse(problem())
    notebook.add(CPU, tuning.name_of(coarse), {"kernel": "of another version"})
    assert tuning.plan_for(problem(), CPU) in candidates(coarse, chip_of(CPU))


def test_without_measuring_the_first_candidate_is_taken(monkeypatch):
    monkeypatch.setattr(tuning, "tune", lambda *_: pytest.fail("measured on the CPU"))
    assert tuning.plan_for(problem(), CPU) == candidates(tuning.coarse(problem()), chip_of(CPU))[0]


def test_a_plan_that_does_not_run_is_left_out(monkeypatch):
    first, *others = candidates(problem(), chip_of(CPU))
    real = tuning._Call.__call__

    def call(self):
        if self._plan == first:
            raise RuntimeError("out of resources")
        real(self)

    monkeypatch.setattr(tuning._Call, "__call__", call)
    assert tuning.tune(problem(), CPU) in others


def test_no_plan_that_runs_is_an_error_with_the_reasons(monkeypatch):
    def call(self):
        raise RuntimeError("out of resources")

    monkeypatch.setattr(tuning._Call, "__call__", call)
    with pytest.raises(RuntimeError, match=r"no plan runs for Problem.*out of resources"):
        tuning.tune(problem(), CPU)


def test_a_damaged_file_counts_as_none(folder):
    notebook.add(CPU, "a", 1)
    notebook.file_of(CPU).write_text("{")
    assert notebook.read(CPU) == {}
    notebook.add(CPU, "b", 2)
    assert notebook.read(CPU) == {"b": 2}


def test_a_folder_that_cannot_be_written_is_only_said(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(notebook.FOLDER, str(tmp_path / "file"))
    notebook.add(CPU, "a", 1)
    assert "measurements cannot be kept" in caplog.text


def test_while_a_graph_is_captured_nothing_is_measured(folder, monkeypatch):
    monkeypatch.setattr(notebook, "may_measure", lambda device: False)
    assert tuning.plan_for(problem(), CPU) == candidates(tuning.coarse(problem()), chip_of(CPU))[0]
    assert not folder.exists()


def test_the_switch_is_checked(monkeypatch):
    cuda = torch.device("cuda")
    assert notebook.is_open(cuda)
    assert not notebook.is_open(CPU)
    monkeypatch.setenv(notebook.TUNING, "off")
    assert not notebook.is_open(cuda)
    monkeypatch.setenv(notebook.TUNING, "yes")
    with pytest.raises(ValueError, match="SIMLSTM_CUDA_TUNING must be auto or off, got 'yes'"):
        notebook.is_open(cuda)


def weights(hidden_size):
    gates = 4 * hidden_size
    made = (torch.randn(gates, 3), torch.randn(gates, hidden_size), torch.randn(gates), torch.randn(gates))
    return [DirectionWeights(*made, None)]


@pytest.mark.parametrize("trains", [False, True])
def test_rivals_are_run_for_real(trains, monkeypatch):
    layers = weights(4)
    before = [tensor.clone() for tensor in layers[0] if tensor is not None]
    assert rival.compare(3, 2, layers, torch.float32, trains=trains, device=CPU) in (True, False)
    assert all(map(torch.equal, before, (t for t in layers[0] if t is not None)))


def test_who_is_faster_is_asked_once_where_it_can_be(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(rival.stock, "can_run", lambda *_: True)
    monkeypatch.setattr(rival, "compare", lambda *_, **__: asked.append(1) or True)
    x = torch.zeros(1, 3)
    assert not rival.is_faster(x, 1023, weights(256), torch.float16)
    assert not rival.is_faster(x, 1024, weights(255), torch.float16)
    assert not asked
    assert rival.is_faster(x, 1024, weights(256), torch.float16)
    assert rival.is_faster(x, 1000, weights(2000), torch.float16)  # does not fit: nothing to ask
    assert rival.is_faster(x, 1024, weights(256), torch.float16)
    assert len(asked) == 1
    monkeypatch.setattr(rival, "_known", {})
    assert rival.is_faster(x, 1024, weights(256), torch.float16)  # from the file
    assert len(asked) == 1


def test_where_there_is_no_cudnn_it_is_not_faster():
    assert not rival.is_faster(torch.zeros(1, 3), 1024, weights(256), torch.float16)
