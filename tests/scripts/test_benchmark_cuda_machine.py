"""What a GPU's report says of its machine: the driver, Triton, which layers cuDNN takes, the plans measured there."""

import subprocess
import sys

import pytest
import torch

from scripts.benchmarking.cuda import cudnn_use, gpu


def test_a_driver_is_named_or_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 580.1.2\necho 580.1.2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.driver_version() == "580.1.2"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu.driver_version() is None
    program.write_text("#!/bin/sh\n")
    assert gpu.driver_version() is None
    program.unlink()
    assert gpu.driver_version() is None


def test_triton_is_optional(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise gpu.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gpu.importlib.metadata, "version", missing)
    assert gpu.triton_version() is None


def test_layer_and_encoder_on_a_gpu_need_no_training_or_peer_package():
    code = """
import sys
from scripts.benchmarking.cuda import command, encode, rnn
from scripts.benchmarking.machine import describe_machine
describe_machine()
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"sklearn", "scipy", "tensorboard", "jieba", "pyarrow", "onnxruntime", "matplotlib", "transformers"}
    assert not unwanted & set(said.stdout.split())


def test_layers_that_ours_hands_on_are_counted(monkeypatch: pytest.MonkeyPatch):
    handed: list[tuple[int, ...]] = []
    monkeypatch.setattr(cudnn_use.stock, "lstm_layer", lambda *given: handed.append(given))
    operator = cudnn_use.stock.lstm_layer
    assert cudnn_use.layers_by_cudnn(lambda: [cudnn_use.stock.lstm_layer(1, 2), cudnn_use.stock.lstm_layer(3)]) == 2
    assert handed == [(1, 2), (3,)]
    with pytest.raises(ZeroDivisionError):
        cudnn_use.layers_by_cudnn(lambda: 1 // 0)
    assert cudnn_use.stock.lstm_layer is operator
    assert cudnn_use.layers_by_cudnn(lambda: None) == 0


def test_plans_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path):
    pytest.importorskip("triton")
    from simlstm.rnn.backends.cuda import notebook

    monkeypatch.setenv(notebook.FOLDER, str(tmp_path))
    monkeypatch.setattr(notebook, "kind_of", lambda device: f"Abacus on {device}")
    device = torch.device("cuda", 0)
    notebook.add(device, "cuDNN is faster: hidden_size=512", True)
    notebook.add(device, "hidden_size=128", {"rows": 16})
    assert cudnn_use.measured_plans(device) == {
        "cuDNN is faster: hidden_size=512": True,
        "hidden_size=128": {"rows": 16},
    }
    assert cudnn_use.measured_plans(torch.device("cpu")) == {}
