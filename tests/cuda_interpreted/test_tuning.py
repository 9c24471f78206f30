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
    assert notebook.read_all(CPU) == {tuning.name_of(tuning.coarse(problem())): plan.describe()}
    assert len(list(notebook.folder_of(CPU).iterdir())) == 1  # nothing half-written is left


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

    def call(self, plan):
        if plan == first:
            raise RuntimeError("out of resources")
        real(self, plan)

    monkeypatch.setattr(tuning._Call, "__call__", call)
    assert tuning.tune(problem(), CPU) in others


def test_no_plan_that_runs_is_an_error_with_the_reasons(monkeypatch):
    def call(self, plan):
        raise RuntimeError("out of resources")

    monkeypatch.setattr(tuning._Call, "__call__", call)
    with pytest.raises(RuntimeError, match=r"no plan runs for Problem.*out of resources"):
        tuning.tune(problem(), CPU)


@pytest.mark.parametrize("damage", ["{", "[]", '{"name": "a"}', "\x00"])
def test_a_damaged_file_counts_as_none(folder, damage):
    notebook.add(CPU, "a", 1)
    notebook.add(CPU, "b", 2)
    for file in notebook.folder_of(CPU).iterdir():
        if json.loads(file.read_text())["name"] == "a":
            file.write_text(damage)
    assert notebook.read(CPU, "a") is None
    assert notebook.read_all(CPU) == {"b": 2}
    notebook.add(CPU, "a", 3)
    assert notebook.read(CPU, "a") == 3


def test_a_folder_that_cannot_be_written_is_only_said(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(notebook.FOLDER, str(tmp_path / "file"))
    notebook.add(CPU, "a", 1)
    assert "a measurement cannot be kept" in caplog.text


def test_without_a_home_nothing_is_kept(monkeypatch):
    monkeypatch.delenv(notebook.FOLDER, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(notebook.Path, "home", home)
    notebook.add(CPU, "a", 1)
    assert notebook.read(CPU, "a") is None
    assert notebook.read_all(CPU) == {}


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


def states(sequences, hidden_size):
    return [torch.zeros(1, sequences, hidden_size) for _ in range(2)]


def is_faster(sequences, hidden_size):
    return rival.is_faster(torch.zeros(1, 3), *states(sequences, hidden_size), weights(hidden_size), torch.float16)


def test_who_is_faster_is_asked_once_where_it_can_be(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(rival.stock, "can_run", lambda *_: True)
    monkeypatch.setattr(rival, "compare", lambda *_, **__: asked.append(1) or True)
    assert not is_faster(1023, 256)
    assert not is_faster(1024, 255)
    assert not asked
    assert is_faster(1024, 256)
    assert is_faster(1000, 2000)  # does not fit: nothing to ask
    assert is_faster(1024, 256)
    assert len(asked) == 1
    monkeypatch.setattr(rival, "_known", {})
    assert is_faster(1024, 256)  # from the file
    assert len(asked) == 1


def test_while_a_graph_is_captured_the_kernels_are_taken(folder, monkeypatch):
    monkeypatch.setattr(rival.stock, "can_run", lambda *_: True)
    monkeypatch.setattr(notebook, "may_measure", lambda device: False)
    assert not is_faster(1024, 256)
    assert not is_faster(1000, 2000)


@pytest.mark.parametrize("module", [tuning, rival])
def test_without_memory_to_measure_nothing_is_kept(folder, monkeypatch, module):
    def out_of_memory(*_, **__):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(rival.stock, "can_run", lambda *_: True)
    monkeypatch.setattr(module, "seconds_of", out_of_memory)
    if module is tuning:
        assert tuning.plan_for(problem(), CPU) == candidates(tuning.coarse(problem()), chip_of(CPU))[0]
    else:
        assert not is_faster(1024, 256)
    assert notebook.read_all(CPU) == {}


def test_where_there_is_no_cudnn_it_is_not_faster():
    assert not is_faster(1024, 256)


def test_comparing_leaves_the_callers_draws_alone():
    layers = weights(4)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    rival.compare(3, 2, layers, torch.float32, trains=False, device=CPU)
    assert torch.rand(1) == expected
