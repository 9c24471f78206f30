"""How exactly a run multiplies, and what it refuses."""

import subprocess
import sys

import pytest
import torch

from simlstm.training.config_file import ConfigError
from simlstm.training.means import RunningMeans
from simlstm.training.precision import Precision, check_precision, float32_products
from tests.training.processes import build_trainer

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["fp16", "tf32"])
def test_what_only_cuda_has_is_refused_elsewhere(graded, tiny, run, tmp_path, name):
    with pytest.raises(ConfigError, match=f"precision: got '{name}', which is for CUDA; the device is cpu; allowed:"):
        run(tiny(graded, training__precision=name), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["float32", "tf32", "bf16", "fp16"])
def test_cuda_has_every_precision(name):
    check_precision(name, torch.device("cuda", 3))


def _switches():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("name", "inside"), [("float32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_a_choice_and_ends_with_the_run(name, inside):
    before = _switches()
    with float32_products(name):
        assert _switches() == (inside, inside)
        assert torch.get_float32_matmul_precision() == ("high" if inside else "highest")
    assert _switches() == before


NEW_NAMES = {
    "products": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "everything": "torch.backends.fp32_precision = 'tf32'",
    "cudnn": "torch.backends.cudnn.fp32_precision = 'tf32'",
    "layers": "torch.backends.cudnn.rnn.fp32_precision = 'ieee'",
    "convolutions": "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "nothing": "pass",
}


@pytest.mark.parametrize("chosen", NEW_NAMES)
def test_a_process_that_chose_by_the_new_names_trains_too_and_finds_its_choice_again(chosen):
    """In a process of its own: what was chosen by either names is never forgotten by torch."""
    code = f"""
import torch
from simlstm.training.precision import float32_products

def chosen():
    backends = torch.backends
    return [each.fp32_precision for each in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)]

{NEW_NAMES[chosen]}
before = chosen()
for name in ("float32", "tf32", "bf16"):
    with float32_products(name):
        inside = [precision == "tf32" for precision in chosen()]
        assert inside == [name == "tf32"] * 3, (name, chosen())
    assert chosen() == before, (name, before, chosen())
if {chosen == "nothing"}:
    assert not torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
"""
    said = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr


def _step(precision, weight, optimizer, factor, norm=1.0):
    precision.scaler.scale((weight * factor).sum()).backward()
    values = precision.clip(optimizer, [weight], norm)
    precision.scaler.step(optimizer)
    precision.scaler.update()
    optimizer.zero_grad()
    return {name: value.item() for name, value in values.items()}


def test_a_step_that_overflows_is_left_out_and_the_scaling_is_resumed():
    """The CPU has a scaler, too, so that what a run does with it is tried here; a run has it on CUDA only."""
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    precision = Precision("fp16", CPU)
    assert _step(precision, weight, optimizer, 1e36) == {"gradient_norm": 0.0, "overflow": 1.0}
    assert torch.equal(weight, torch.ones(2))
    assert precision.scaler.get_scale() == 2.0**15
    assert _step(precision, weight, optimizer, 3.0)["gradient_norm"] == pytest.approx(3 * 2**0.5)
    assert weight.max() < 1
    resumed = Precision("fp16", CPU)
    resumed.load(precision.tensors())
    assert resumed.scaler.state_dict() == precision.scaler.state_dict()
    assert resumed.scaler.state_dict()["_growth_tracker"] == 1


def test_without_clipping_an_overflow_is_told_too():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    precision = Precision("fp16", CPU)
    assert _step(precision, weight, optimizer, 1e36, norm=0) == {"overflow": 1.0}
    assert torch.equal(weight, torch.ones(2))
    assert _step(precision, weight, optimizer, 1e30, norm=0) == {"overflow": 0.0}, "its square would be infinite"
    assert weight.max() < 1


@pytest.mark.parametrize("row_updates", [False, True])
@pytest.mark.parametrize(("norm", "names"), [(0.0, {"overflow"}), (1.0, {"overflow", "gradient_norm"})])
def test_the_loop_logs_overflows(graded, tiny, norm, names, row_updates):
    settings = {"optimizer__max_gradient_norm": norm, "embedding__row_updates": row_updates}
    trainer = build_trainer(tiny(graded, training__precision="fp16", **settings))
    trainer._step(trainer.corpus.epoch(0)[:1])
    assert set(trainer.means.sums()) & {"overflow", "gradient_norm"} == names


def test_a_step_that_is_left_out_is_not_in_the_mean_of_the_norms():
    means = RunningMeans(CPU)
    means.add({"gradient_norm": torch.tensor(0.0), "overflow": torch.tensor(1.0)})
    assert means.means() == {"overflow": 1.0}, "no step has a norm"
    for norm in (2.0, 4.0):
        means.add({"loss": torch.tensor(norm)})
        means.add({"gradient_norm": torch.tensor(norm), "overflow": torch.tensor(0.0)})
    assert means.means() == {"loss": 3.0, "gradient_norm": 3.0, "overflow": pytest.approx(1 / 3)}
    resumed = RunningMeans(CPU)
    resumed.load(means.sums(), means.counts)
    assert resumed.means() == means.means()
    means.clear()
    assert means.means() == {}


@pytest.mark.parametrize("name", ["float32", "bf16", "tf32"])
def test_without_float16_nothing_is_scaled(name):
    precision = Precision(name, CPU)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    assert _step(precision, weight, optimizer, 3.0) == {"gradient_norm": pytest.approx(3 * 2**0.5)}
    assert _step(precision, weight, optimizer, 3e38) == {"gradient_norm": float("inf")}, "for the log to stop at"
    assert _step(precision, weight, optimizer, 3.0, norm=0) == {}
    assert precision.tensors() == {}
    precision.load({})


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast(name, dtype):
    with Precision(name, CPU).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
