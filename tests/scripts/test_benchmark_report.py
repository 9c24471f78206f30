"""From results to tables, plots and the page: generated, complete, and what the committed page says."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from scripts.benchmarking.optional import MissingPackageError
from scripts.benchmarking.page import filled_page, write_page
from scripts.benchmarking.plots import draw_report
from scripts.benchmarking.results import (
    EncodeReport,
    EncodeRow,
    Figure,
    LayerReport,
    LayerRow,
    LinearRow,
    Machine,
    MiniLmFigure,
    TextReport,
    TextRow,
    Timing,
    TrainFigure,
    TrainReport,
    read_report,
    write_report,
)
from scripts.benchmarking.tables import report_text

ROOT = Path(__file__).parents[2]
MACHINE = Machine(
    processor="Abacus 9 (2 cores)", instruction_sets=["avx2", "fma"], native_backend="avx2", cpu_capability="AVX2",
    threads=2, load_average=0.25, python="3.11.7", packages={"torch": "2.13.0"}, libraries={"mkl": "2024.2"},
    commit="abc",
)  # fmt: skip
PEAKS = {"float32 (MKL)": 200.0, "float32 (oneDNN)": 400.0, "bfloat16 (oneDNN)": 800.0}


def timing(milliseconds: float) -> Timing:
    return Timing(median_s=milliseconds / 1e3, quartiles_s=(milliseconds / 2e3, milliseconds / 5e2), turns=3)


def figure(milliseconds: float, ratio: float) -> Figure:
    return Figure(timing=timing(milliseconds), gflops=123.4, share_of_peak=0.308, ratio=ratio, parity=1e-6)


def layer_report() -> LayerReport:
    figures = {"simlstm": figure(2.5, 1), "torch packed": figure(5, 2.02), "ONNX Runtime": figure(4, 1.61)}
    rows = [
        LayerRow(hidden_size=size, batch=batch, sentences=8, packed_rows=95, mode=mode, peaks=PEAKS, figures=figures,
                 best_peer="ONNX Runtime", ratio=1.61)
        for size in (128, 256) for batch in (1, 32) for mode in ("inference", "forward+backward")
    ]  # fmt: skip
    return LayerReport(machine=MACHINE, input_size=300, mean_length=12, skipped={"a peer": "not there"}, rows=rows)


def encode_report() -> EncodeReport:
    figures = {"torch": figure(9, 1), "float32": figure(3, 3.04), "bfloat16": figure(1.5, 6.17)}
    row = EncodeRow(
        hidden_size=256, batch=32, sentences=32, packed_rows=380, peaks=PEAKS, figures=figures,
        parity_kind={"float32": "relative difference", "bfloat16": "lowest cosine"},
    )  # fmt: skip
    linear = [
        LinearRow(precision=precision, sentences=count, tokens=12 * count, timing=timing(count / 100),
                  resident_before_mib=300, resident_peak_mib=330 + count / 1000, result_mib=count / 1000)
        for precision in ("float32", "bfloat16") for count in (1000, 10_000)
    ]  # fmt: skip
    texts = TextReport(
        source="a book", model="a model", sentences=10_000, mean_tokens=11.26,
        rows=[TextRow(precision="float32", timing=timing(0.05), sentences_per_second=20_000, ratio=45.6)],
        minilm=MiniLmFigure(timing=timing(2.2), sentences=512, batch_size=32, sentences_per_second=450),
    )  # fmt: skip
    return EncodeReport(
        machine=MACHINE, backend="native", input_size=300, vocabulary_size=20_000, mean_length=12, rows=[row],
        linearity_hidden_size=256, linearity=linear, texts=texts,
    )  # fmt: skip


def train_report() -> TrainReport:
    parts = {"collate": 0.001, "forward": 0.01, "backward": 0.02, "update": 0.007}
    figures = {
        name: TrainFigure(timing=timing(38), seconds=seconds, sentences_per_second=1000 / seconds, parts=parts)
        for name, seconds in (("simlstm", 20.0), ("torch.nn.LSTM", 33.0))
    }
    return TrainReport(machine=MACHINE, config="stsb.toml", precision="float32", steps=9, sentences=1000,
                       step_ratio=1.58, total_ratio=1.65, figures=figures)  # fmt: skip


REPORTS = {"rnn-cpu": layer_report, "encode-cpu": encode_report, "train-cpu": train_report}
PLOTS = {
    "rnn-cpu": {"inference-ratio", "inference-rate", "training-ratio", "training-rate"},
    "encode-cpu": {"ratio", "rate", "time", "memory"},
    "train-cpu": {"parts"},
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_reads_as_it_was_written(name: str, tmp_path: Path):
    report = REPORTS[name]()
    write_report(report, tmp_path / "made" / "report.json")
    assert read_report(tmp_path / "made" / "report.json") == report


@pytest.mark.parametrize("change", [{"subject": "dance"}, {"machine": {}}, {"rows": None}, {"more": 1}])
def test_a_file_that_is_no_report_is_refused(change: dict, tmp_path: Path):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(layer_report().model_dump() | change))
    with pytest.raises(ValueError, match=next(iter(change))):
        read_report(file)


def cells(text: str, first: str) -> list[str]:
    """Return the cells of the table row that begins with ``first``."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")][:1]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_layers_table():
    text = report_text(layer_report())
    assert cells(text, "H") == [
        "H", "B", "simlstm ms", "torch packed ms", "ONNX Runtime ms", "over the best", "GFLOP/s", "of peak",
    ]  # fmt: skip
    assert cells(text, "128 | 1") == ["128", "1", "2.5 (1.25–5)", "5 · 2.02×", "4 · 1.61×", "**1.61**", "123", "31%"]
    assert text.count("| 256 | 32 |") == 2
    assert "a peer did not take part: not there" in text
    assert "float32 (oneDNN) 400–400" in text
    assert "Abacus 9" in text
    assert "load average at the start 0.25" in text
    assert "busy" not in text


def test_a_busy_machine_is_told():
    busy = MACHINE.model_copy(update={"load_average": 1.5})
    assert "The machine was busy in the minute before" in report_text(
        layer_report().model_copy(update={"machine": busy})
    )


def test_the_encoders_tables():
    text = report_text(encode_report())
    assert cells(text, "256 | 32") == [
        "256", "32", "9 (4.5–18)", "3 · **3.04×**", "1.5 · **6.17×**", "123 · 31%", "123 · 31%",
    ]  # fmt: skip
    assert cells(text, "bfloat16 | 10,000") == ["bfloat16", "10,000", "0.1", "10.0", "300", "340", "30"]
    assert cells(text, "simlstm, float32") == ["simlstm, float32", "10,000", "20,000", "**45.6**"]
    assert cells(text, "MiniLM, float32") == ["MiniLM, float32", "512", "450", ""]
    assert "its rate stands for all 10,000" in text


def test_the_training_table():
    text = report_text(train_report())
    assert cells(text, "simlstm") == ["simlstm", "20.0", "50", "38 (19–76)", "1", "10", "20", "7"]
    assert "All steps together **1.65**, median step 1.58." in text


@pytest.mark.parametrize("name", REPORTS)
def test_plots_are_svg_whose_text_is_text_and_whose_axes_say_what_they_show(name: str, tmp_path: Path):
    pytest.importorskip("matplotlib")
    write_report(REPORTS[name](), tmp_path / f"{name}.json")
    plots = draw_report(tmp_path / f"{name}.json", tmp_path / "plots")
    assert {plot.stem.removeprefix(f"{name}-") for plot in plots} == PLOTS[name]
    for plot in plots:
        tree = ElementTree.parse(plot)  # noqa: S314 - written by this test
        said = " ".join("".join(text.itertext()) for text in tree.iter("{http://www.w3.org/2000/svg}text"))
        assert re.search(r"hidden size H|sentences N|training step, ms", said), plot
        assert re.search(r"1 = equal|GFLOP/s|seconds|MiB|recurrent layer", said), plot
        assert re.search(r"simlstm|float32|torch packed", said), plot
    first = [plot.read_bytes() for plot in plots]
    assert draw_report(tmp_path / f"{name}.json", tmp_path / "plots") == plots
    assert [plot.read_bytes() for plot in plots] == first, "the same results give the same files"


def test_bars_say_the_values(tmp_path: Path):
    pytest.importorskip("matplotlib")
    write_report(layer_report(), tmp_path / "rnn.json")
    ratio, rate, *_ = (plot.read_text() for plot in draw_report(tmp_path / "rnn.json", tmp_path))
    assert ">2.0<" in ratio
    assert ">1.6<" in ratio
    assert ">123<" in rate
    assert "float32 matrix product" in rate


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    write_report(layer_report(), tmp_path / "rnn.json")
    with pytest.raises(MissingPackageError, match=r"plots: .*bench"):
        draw_report(tmp_path / "rnn.json", tmp_path)


PAGE = "# A\n\n<!-- begin rnn-cpu -->\nold\n<!-- end rnn-cpu -->\n\nb\n<!-- begin other -->\n<!-- end other -->\n"


def test_the_page_is_filled_and_filling_twice_changes_nothing(tmp_path: Path):
    pytest.importorskip("matplotlib")
    (tmp_path / "README.md").write_text(PAGE, encoding="utf-8")
    write_report(layer_report(), tmp_path / "results" / "rnn-cpu.json")
    written = write_page(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert report_text(layer_report()) in text
    assert "old" not in text
    assert text.startswith("# A\n")
    assert "<!-- begin other -->\n\nNot measured on this code yet.\n\n<!-- end other -->" in text
    shown = re.findall(r"\]\((plots/[^)]+)\)", text)
    assert sorted(tmp_path / plot for plot in shown) == sorted(set(written) - {tmp_path / "README.md"})
    assert filled_page(text, tmp_path) == text


def test_results_without_a_section_are_named(tmp_path: Path):
    write_report(layer_report(), tmp_path / "results" / "stray.json")
    with pytest.raises(ValueError, match=r"begin stray --> for stray\.json"):
        filled_page(PAGE, tmp_path)


def test_the_committed_page_says_what_the_committed_results_say():
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert filled_page(page, ROOT / "benchmarks") == page, "run: simlstm benchmark report"
    for plot in re.findall(r"\]\((plots/[^)]+)\)", page):
        assert (ROOT / "benchmarks" / plot).is_file(), plot
