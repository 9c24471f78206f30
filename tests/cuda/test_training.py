"""Training on CUDA: the numbers of the CPU, every precision, resuming, and torchrun with NCCL."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from simlstm.models.checkpoint import read_checkpoint
from simlstm.training.interruption import Interrupted
from simlstm.training.state import StateFolder
from tests.training.conftest import graded, run, tiny  # noqa: F401 - fixtures
from tests.training.metrics_log import logged
from tests.training.test_resume import StopAfter

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"
# Adam divides by the size of the gradient: with a large epsilon, rounding stays rounding.
SMOOTH = {"training__batch_size": 5, "optimizer__epsilon": 1e-2, "training__log_every": 1, "training__epochs": 1}
POOLINGS = ["mean", "max", "mean_max", "last", "attention"]


def _losses(out):
    return torch.tensor([line["loss"] for line in logged(out, "train")], dtype=torch.float64)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_float32_agrees_with_the_cpu(graded, tiny, run, tmp_path, pooling):  # noqa: F811
    """In float32 a sum of tens of products rounds by 1e-6 of its size; twenty steps may make tens of that."""
    for device in ("cpu", "cuda"):
        run(tiny(graded, **SMOOTH, training__device=device, model__pooling=pooling), tmp_path / device)
    assert len(_losses(tmp_path / "cpu")) == 20
    torch.testing.assert_close(_losses(tmp_path / "cuda"), _losses(tmp_path / "cpu"), rtol=5e-5, atol=1e-6)
    cpu, cuda = (read_checkpoint(tmp_path / device).state for device in ("cpu", "cuda"))
    for name, value in cpu.items():
        torch.testing.assert_close(cuda[name], value, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_fewer_bits_agree_roughly_and_lower_the_loss(graded, tiny, run, tmp_path, precision):  # noqa: F811
    """Products of 8 bits of mantissa (bfloat16) are off by 0.4% each, their sums by less; float16 leaves out steps."""
    settings = {"training__log_every": 12, "training__epochs": 10, "optimizer__learning_rate": 0.01}
    for name in ("float32", precision):
        run(tiny(graded, **settings, training__device="cuda", training__precision=name), tmp_path / name)
    exact, rough = _losses(tmp_path / "float32"), _losses(tmp_path / precision)
    assert rough.isfinite().all()
    torch.testing.assert_close(rough[0], exact[0], rtol=0.05, atol=0)
    assert rough[-1] < 0.8 * rough[0]
    if precision == "fp16":
        overflow = [line["overflow"] for line in logged(tmp_path / precision, "train")]
        assert overflow[-1] < 0.5, "the scale has come down to what fits"


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_resuming_ends_in_the_same_bytes(graded, tiny, run, tmp_path, precision):  # noqa: F811
    config = tiny(
        graded, training__device="cuda", training__precision=precision, training__ema_decay=0.9,
        model__word_dropout=0.1, model__embedding_dropout=0.3, model__head_dropout=0.2,
    )  # fmt: skip
    run(config, tmp_path / "whole")
    for step in (5, 17):
        with pytest.raises(Interrupted):
            run(config, tmp_path / "broken", resume=True, display=StopAfter(step, signal.SIGTERM))
        saved = StateFolder(tmp_path / "broken" / "state").load()
        assert saved is not None
        assert "random:cuda" in saved[1]
        assert ("scaling:scale" in saved[1]) == (precision == "fp16")
    run(config, tmp_path / "broken", resume=True)
    whole, broken = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert whole == broken


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_step_does_not_wait_for_the_device(binary_steps):
    """Torch raises at anything that makes the host wait."""
    trainer, plan = binary_steps
    trainer._step(plan[:2])  # what is allocated and compiled once may wait
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer._step(plan[2:4])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.progress.step == 2


@pytest.fixture(params=["float32", "bf16", "fp16"])
def binary_steps(request, graded, tiny):  # noqa: F811
    """Build a trainer whose batches have labels, groups and every loss."""
    from tests.training.conftest import write_pairs
    from tests.training.processes import build_trainer

    labels = write_pairs(graded[0].with_name("labels.csv"), rows=64, seed=3, kind="binary")
    every = {f"loss__weights__{name}": 0.5 for name in ("kl", "mse", "bce", "contrastive", "cosent")}
    config = tiny(
        (labels, labels), **every, loss__weights__multiple_negatives=0.5, training__device="cuda",
        training__precision=request.param, training__accumulation_steps=2, model__pooling="mean_max",
        model__word_dropout=0.1,
    )  # fmt: skip
    trainer = build_trainer(config, device="cuda")
    return trainer, trainer.corpus.epoch(0)


@pytest.mark.parametrize("count", [1, 2])
def test_torchrun_trains_as_one_process_does(graded, tiny_settings, tiny, run, tmp_path, count):  # noqa: F811
    if torch.cuda.device_count() < count:
        pytest.skip(f"needs {count} GPUs; there are {torch.cuda.device_count()}")
    out = tmp_path / "launched"
    options = ["--train", str(graded[0]), "--dev", str(graded[1]), "--out", str(out)]
    settings = {key.replace("__", "."): value for key, value in SMOOTH.items()}
    for key, value in {**tiny_settings, **settings, "training.device": "cuda"}.items():
        options += ["--set", f"{key}={str(value).lower()}"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), str(SCRIPT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), *sys.path])}
    done = subprocess.run([*launcher, *options], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "config.json").read_text())["provenance"]["processes"] == count
    run(tiny(graded, **SMOOTH, training__device="cuda"), tmp_path / "alone")
    torch.testing.assert_close(_losses(out), _losses(tmp_path / "alone"), rtol=5e-5, atol=1e-6)
