"""The encoder's benchmark with --device cuda, walked on the CPU."""

from pathlib import Path

import pytest
import torch

from scripts.benchmarking import encode_shapes
from scripts.benchmarking.cuda.accelerator import HostAccelerator
from scripts.benchmarking.cuda.records import CudaEncodeReport
from scripts.benchmarking.results import read_report
from scripts.benchmarking.tables import report_text
from tests.scripts.cuda_command import run


def test_the_encoder_is_walked(host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from scripts.benchmarking.cuda import encode

    plan = encode.EncodePlan
    monkeypatch.setattr(encode, "EncodePlan", lambda **given: plan(**given, vocabulary_size=40))
    out = tmp_path / "encode-cuda.json"
    sizes = ["--hidden", "8", "--batch", "3", "--batch", "5", "--mean-length", "3", "--turns", "2"]
    result = run("encode", "--device", "cuda", *sizes, "--json", str(out))
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, CudaEncodeReport)
    assert report.refused == []
    assert [row.batch for row in report.rows] == [3, 5]
    assert run("encode", "--device", "cuda", *sizes, "--json", str(out), "--resume").exit_code == 0
    assert read_report(out) == report.model_copy(update={"machine": read_report(out).machine}), "not measured again"
    for row in report.rows:
        assert set(row.figures) == {
            "simlstm frozen", "simlstm frozen, from and to the host", "torch bfloat16", "torch float16",
            "MiniLM shape, padded", "MiniLM shape, nested",
        }  # fmt: skip
        for figure in row.figures.values():
            assert figure.sentences_per_second == pytest.approx(row.batch / figure.timing.device.median_s)
            assert figure.parity > 0.99
    assert report_text(report) in result.output


def test_an_encoder_that_computes_something_else_gets_no_row(host: HostAccelerator, monkeypatch: pytest.MonkeyPatch):
    from scripts.benchmarking.cuda import encode

    frozen = encode.FrozenEncoder.from_encoder

    class Wrong:
        @staticmethod
        def from_encoder(encoder, **options):
            changed = encode_shapes.copy.deepcopy(encoder)
            with torch.no_grad():
                changed.recurrent.weight_hh_l0.zero_()
            return frozen(changed, **options)

    monkeypatch.setattr(encode, "FrozenEncoder", Wrong)
    report = encode.measure(
        host,
        encode.EncodePlan([32], [20], 12.0, 2, 60, turn_seconds=1e-4, vocabulary_size=40, input_size=6),
    )
    assert report.rows == []
    assert len(report.refused) == 2
    assert "parity failed: simlstm frozen: cosine" in report.refused[0]
    assert "No figure, because it failed" in report_text(report)


def test_the_largest_batches_come_first_and_each_row_is_saved(host: HostAccelerator):
    from scripts.benchmarking.cuda import encode

    saved: list[list[int]] = []
    plan = encode.EncodePlan([8], [2, 3], 3.0, 2, 60, turn_seconds=1e-4, vocabulary_size=40, input_size=6)
    encode.measure(host, plan, save=lambda report: saved.append([row.batch for row in report.rows]))
    assert saved == [[3], [2, 3], [2, 3]]
