"""The commands with --device cuda, and their script: refused without a GPU, and with what only the other device has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts.benchmarking.cuda import command
from scripts.benchmarking.cuda.accelerator import CudaAccelerator, HostAccelerator
from tests.scripts.cuda_command import ROOT, run

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@WITHOUT_GPU
@pytest.mark.parametrize("subject", ["rnn", "encode", "train"])
def test_without_a_gpu_a_sentence_says_so(subject: str, tmp_path: Path):
    result = run(subject, "--device", "cuda", "--json", str(tmp_path / "none.json"))
    assert result.exit_code == 1
    assert "torch sees no CUDA device on this machine; --device cpu is allowed" in result.output
    assert not (tmp_path / "none.json").exists()


@WITHOUT_GPU
def test_the_script_tries_every_part_and_fails_without_a_gpu(tmp_path: Path):
    pytest.importorskip("triton")
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [ROOT / "benchmarks" / "cuda.sh", tmp_path], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert said.returncode == 1
    assert said.stderr.count("torch sees no CUDA device") == 4
    assert "rnn-cuda (1) encode-cuda (1) train-float32-cuda (1) train-bfloat16-cuda (1)" in said.stderr


def test_the_script_names_what_is_missing_before_anything_is_measured(tmp_path: Path):
    """Two of its packages are hidden from it; what else would be missing is what this test's own Python lacks."""
    pytest.importorskip("triton")
    for name in ("pydantic", "scipy"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run([ROOT / "benchmarks" / "cuda.sh", tmp_path], capture_output=True, text=True, env=environment)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        f"benchmarks/cuda.sh: nothing is measured, because {sys.executable} cannot import "
        "pydantic (no pydantic here), scipy (no scipy here)\n"
    )
    header = (ROOT / "benchmarks" / "cuda.sh").read_text().partition("set -u")[0].replace(" and ", " ")
    asked = (ROOT / "benchmarks" / "cuda.sh").read_text().partition("\n' ")[2].partition(" ||")[0]
    assert "pydantic" in asked
    assert " ".join(header.split()).find(asked.replace(" ", ", ").replace("safetensors, ", "safetensors ")) > 0


def test_the_script_goes_on_behind_what_never_ends(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\ntest "$1" = -c && exit 0\n'
        'echo "$@" >> "$0.log"\ncase "$*" in *--resume|*train*) exit 0;; *) exit 3;; esac\n'
    )
    python.chmod(0o755)
    said = subprocess.run(
        [ROOT / "benchmarks" / "cuda.sh", tmp_path], env={**os.environ, "PYTHON": str(python)}, capture_output=True
    )
    assert said.returncode == 0, said.stderr
    log = [line.split() for line in (tmp_path / "python.log").read_text().splitlines()]
    assert [(line[1], line[-1] == "--resume") for line in log] == [
        ("rnn", False), ("rnn", True), ("encode", False), ("encode", True), ("train", False), ("train", False),
    ]  # fmt: skip
    for line in log:
        assert line[line.index("--device") + 1] == "cuda"
        assert 0 < int(line[line.index("--seconds") + 1]) < 260
        assert line[line.index("--json") + 1].startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["rnn", "--layers", "2"], "--layers: got [2], which is for --device cuda"),
        (["encode", "--seconds", "1"], "--seconds: got 1.0"),
        (["rnn", "--resume"], "--resume: got True"),
        (["rnn", "--dtype", "float16"], "--dtype: got float16"),
        (["rnn", "--mean-length", "3", "--mean-length", "4"], "--mean-length: got 2 of them"),
    ],
)
def test_what_only_a_gpus_benchmark_has_is_refused_on_the_cpu(flags: list[str], said: str):
    result = run(*flags)
    assert result.exit_code == 1
    assert said in result.output


def test_other_mistakes_are_told(host: HostAccelerator):
    assert "--mean-length: got 2" in run("encode", "--device", "cuda", *["--mean-length", "3"] * 2).output
    assert "--dtype: got float16" in run("train", "--device", "cuda", "--dtype", "float16").output
    with pytest.raises(ValueError, match="subject: got dance"):
        command.measure(
            "dance", hidden_sizes=None, batches=None, layers=None, mean_lengths=None, dtype="bfloat16", turns=2,
            steps=None, config=Path("x"), seconds=None, peak_size=None, json_out=None,
        )  # fmt: skip


def test_cuda_is_asked_for_when_it_is_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no CUDA device"):
        CudaAccelerator()
