"""Reports of CUDA runs as tables and plots, from small recorded ones."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from scripts.benchmarking.cuda.records import (
    Ceilings,
    CudaEncodeFigure,
    CudaEncodeReport,
    CudaEncodeRow,
    CudaFigure,
    CudaLayerReport,
    CudaLayerRow,
    CudaMachine,
    CudaTiming,
    CudaTrainFigure,
    CudaTrainReport,
    Gpu,
    StepRow,
)
from scripts.benchmarking.page import write_page
from scripts.benchmarking.plots import draw_report
from scripts.benchmarking.records import Timing
from scripts.benchmarking.results import read_report, write_report
from scripts.benchmarking.tables import report_text

GPU = Gpu(
    name="Abacus H", driver="580.1", cuda="13.0", cudnn="91300", triton="3.6.0", compute_capability="9.0",
    multiprocessors=132, memory_gib=139.8, cache_mib=60.0,
)  # fmt: skip
MACHINE = CudaMachine(
    processor="Abacus 9 (16 cores)", instruction_sets=["avx2"], native_backend=None, cpu_capability="AVX2", threads=16,
    load_average=0.25, python="3.12.3", packages={"torch": "2.11.0"}, libraries={}, commit="abc", gpu=GPU,
)  # fmt: skip


PLANS = {"hidden_size=128": "16 sequences", "cuDNN is faster: hidden_size=512": True}


def timing(milliseconds: float) -> CudaTiming:
    seconds = milliseconds / 1e3
    device = Timing(median_s=seconds, quartiles_s=(seconds / 2, 2 * seconds), turns=20)
    return CudaTiming(device=device, host_s=seconds / 4, calls=7)


def figure(milliseconds: float, ratio: float, peak: float | None = 12.34) -> CudaFigure:
    return CudaFigure(timing=timing(milliseconds), us_per_step=25 * milliseconds, tflops=123.4, gbytes=1234.0,
                      roofline_share=0.308, ratio=ratio, peak_mib=peak, parity=3e-3)  # fmt: skip


def layer_report() -> CudaLayerReport:
    rows = []
    for layers, mean in ((1, 12.0), (2, 25.0)):
        for batch in (64, 512):
            for mode in ("inference", "forward+backward"):
                figures = {
                    "simlstm": figure(0.4, 1),
                    "torch packed bfloat16": figure(2, 5.02),
                    "torch packed float16": figure(1.2, 3.01),
                    "torch padded float16": figure(0.8, 2.04),
                }
                if batch == 64 and mode == "inference":
                    figures["simlstm CUDA graph"] = figure(0.3, 0.75, None)
                over = {"packed": 3.01, "padded": 2.04, "best": 2.04}
                fastest = {"packed": "torch packed float16"} | dict.fromkeys(("padded", "best"), "torch padded float16")
                if layers == 2 and batch == 512:  # the padded peer failed
                    del figures["torch padded float16"], over["padded"], fastest["padded"]
                    over["best"], fastest["best"] = 3.01, "torch packed float16"
                rows.append(CudaLayerRow(
                    hidden_size=128, batch=batch, num_layers=layers, mean_length=mean, mode=mode, steps=40,
                    packed_rows=800, input_sets=9, operations=10**9, least_bytes=10**6, roofline_s=0.00012,
                    ceilings=Ceilings(tflops={"bfloat16": 790.0, "float16": 780.0 + batch}, gbytes=4300.0),
                    figures=figures, over=over, fastest=fastest,
                    by_cudnn=0 if batch == 64 else layers if mode == "inference" else 1,
                ))  # fmt: skip
    steps = [
        StepRow(hidden_size=128, batch=64, mode="inference", steps=40, us_per_step={"bfloat16": 44.44, "float16": 21}),
        StepRow(hidden_size=128, batch=512, mode="inference", steps=50, us_per_step={"float16": 22}),
    ]
    return CudaLayerReport(
        machine=MACHINE, refused=["a shape, a peer: it broke"], left_out=["L=2", "L=3"], input_size=300,
        dtype="bfloat16", cudnn_takes={"bfloat16": False, "float16": True}, step_rows=steps, rows=rows,
        plans=PLANS,
    )  # fmt: skip


def encode_report() -> CudaEncodeReport:
    figures = {
        name: CudaEncodeFigure(timing=timing(2), sentences_per_second=rate, ratio=ratio, parity=0.99999)
        for name, rate, ratio in (("simlstm frozen", 2_345_678.0, 1.0), ("torch float16", 400_000.0, 5.86))
    }
    rows = [
        CudaEncodeRow(hidden_size=size, batch=4096, mean_length=12, steps=50, packed_rows=49_000, figures=shown)
        for size, shown in ((128, figures), (256, {"simlstm frozen": figures["simlstm frozen"]}))
    ]
    return CudaEncodeReport(machine=MACHINE, refused=[], left_out=[], input_size=300, vocabulary_size=20_000,
                            precision="bfloat16", rows=rows, plans=PLANS)  # fmt: skip


def train_report() -> CudaTrainReport:
    parts = {"collate": 0.001, "forward": 0.01, "backward": 0.02, "update": 0.007}
    figures = {
        name: CudaTrainFigure(timing=timing(milliseconds).device, sentences_per_second=6400 / milliseconds, parts=parts)
        for name, milliseconds in (("simlstm", 38), ("torch.nn.LSTM", 60))
    }
    return CudaTrainReport(
        machine=MACHINE, refused=[], left_out=[], plans={},
        config="train-cuda.toml", precision="TF32", steps=96, block=8,
        sentences=24_576, parity=1e-3, ratio=1.58, figures=figures,
    )  # fmt: skip


REPORTS = {"rnn-cuda": layer_report, "encode-cuda": encode_report, "train-float32-cuda": train_report}
PLOTS = {
    "rnn-cuda": {f"{mode}-{kind}" for mode in ("inference", "training") for kind in ("ratio", "roofline", "steps")},
    "encode-cuda": {"rate"},
    "train-float32-cuda": {"parts"},
}


def cells(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table rows that begin with ``first``."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_reads_as_it_was_written(name: str, tmp_path: Path):
    report = REPORTS[name]()
    write_report(report, tmp_path / "made" / "report.json")
    assert read_report(tmp_path / "made" / "report.json") == report
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["report.json"], "nothing unfinished is left"


def test_the_layers_tables():
    text = report_text(layer_report())
    assert text.index("µs a step") < text.index("Inference, 1 layer, mean length 12, bfloat16:")
    assert "Forward+backward, 2 layers, mean length 25, bfloat16:" in text
    steps, inference, training, *_ = cells(text, "128 | 64")
    assert steps == ["128", "64", "inference", "40", "44.4", "21.0"]
    assert cells(text, "128 | 512")[0] == ["128", "512", "inference", "50", "", "22.0"], "a dtype may have failed"
    assert inference == [
        "128", "64", "40", "0.4 (0.2–0.8)", "0.1", "10.00", "123.4", "1234", "0.12", "31%", "12.3",
        "1.2 · 30.0 µs · **3.01×**", "0.8 · 20.0 µs · **2.04×**", "**2.04**", "padded float16", "0.3",
    ]  # fmt: skip
    assert training[-1] == "", "no graph in training"
    assert [row[3] for row in cells(text, "128 | 512")[1:]] == [
        "0.4 (0.2–0.8) cuDNN", "0.4 (0.2–0.8) cuDNN", "0.4 (0.2–0.8) cuDNN", "0.4 (0.2–0.8) cuDNN in 1 of 2 layers",
    ]  # fmt: skip
    assert "ours handed its layers to cuDNN" in text
    assert cells(text, "128 | 512")[-1][-5:] == ["1.2 · 30.0 µs · **3.01×**", "", "**3.01**", "packed float16", ""]
    assert "torch.nn.LSTM runs bfloat16 without cuDNN, float16 by cuDNN." in text
    assert "bfloat16 790–790 TFLOP/s, float16 844–1292 TFLOP/s; large copy: 4300–4300 GB/s." in text
    assert "- a shape, a peer: it broke" in text
    assert "Not begun, because the time was over: L=2; L=3." in text
    assert "Abacus H, compute capability 9.0, 132 multiprocessors, 140 GiB" in text
    assert "driver 580.1, CUDA 13.0, cuDNN 91300, triton 3.6.0" in text
    assert "commit abc" in text


def test_without_a_row_the_layers_report_says_why():
    text = report_text(layer_report().model_copy(update={"rows": [], "step_rows": []}))
    assert "| H |" not in text
    assert "it broke" in text
    assert "handed" not in text


def test_the_encoders_table():
    text = report_text(encode_report())
    assert cells(text, "128 | 4096") == [["128", "4096", "2,345,678", "400,000 · 5.86×"]]
    assert cells(text, "256 | 4096") == [["256", "4096", "2,345,678", ""]]
    assert "| H |" not in report_text(encode_report().model_copy(update={"rows": []}))


def test_the_training_table():
    text = report_text(train_report())
    assert cells(text, "simlstm") == [["simlstm", "168", "38 (19–76)", "1", "10", "20", "7"]]
    assert "train-cuda.toml, TF32, 96 steps in blocks of 8, 24,576 sentences:" in text
    assert "Median block **1.58**." in text


@pytest.mark.parametrize("name", REPORTS)
def test_plots_say_what_they_show(name: str, tmp_path: Path):
    pytest.importorskip("matplotlib")
    write_report(REPORTS[name](), tmp_path / f"{name}.json")
    plots = draw_report(tmp_path / f"{name}.json", tmp_path / "plots")
    assert {plot.stem.removeprefix(f"{name}-") for plot in plots} == PLOTS[name]
    for plot in plots:
        tree = ElementTree.parse(plot)  # noqa: S314 - written by this test
        said = " ".join("".join(text.itertext()) for text in tree.iter("{http://www.w3.org/2000/svg}text"))
        assert re.search(r"hidden size H|training step, ms", said), plot
        assert re.search(r"1 = equal|roofline|µs a step|sentences a second|recurrent layer", said), plot
        assert re.search(r"simlstm|mean length 25", said), plot
        assert "nan" not in said, plot


def test_an_encoder_without_a_row_has_no_plot(tmp_path: Path):
    write_report(encode_report().model_copy(update={"rows": []}), tmp_path / "encode-cuda.json")
    assert draw_report(tmp_path / "encode-cuda.json", tmp_path) == []


def test_bars_say_the_values(tmp_path: Path):
    pytest.importorskip("matplotlib")
    write_report(layer_report(), tmp_path / "rnn-cuda.json")
    shown = {plot.stem: plot.read_text() for plot in draw_report(tmp_path / "rnn-cuda.json", tmp_path)}
    assert ">2.0<" in shown["rnn-cuda-inference-ratio"]
    assert ">3.0<" in shown["rnn-cuda-inference-ratio"], "where the padded peer failed"
    assert ">31<" in shown["rnn-cuda-training-roofline"]
    steps = shown["rnn-cuda-inference-steps"]
    assert {f">{value}<" for value in ("10.0", "7.5", "30.0", "20.0")} <= set(re.findall(r">[\d.]+<", steps))
    assert ">7.5<" not in shown["rnn-cuda-training-steps"], "no graph in training"


def test_the_page_has_a_section_for_every_part_and_says_what_is_not_measured(tmp_path: Path):
    pytest.importorskip("matplotlib")
    source = Path(__file__).parents[2] / "benchmarks"
    script = (source / "cuda.sh").read_text()
    page = (source / "README.md").read_text(encoding="utf-8")
    parts = re.findall(r"^measure \d+ (\S+)", script, re.MULTILINE)
    assert parts == ["rnn-cuda", "encode-cuda", "train-float32-cuda", "train-bfloat16-cuda"]
    for name in parts:
        assert f"<!-- begin {name} -->" in page
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    for name in parts:
        report = REPORTS.get(name, train_report)()
        write_report(report, tmp_path / "results" / f"{name}.json")
    write_page(tmp_path)
    filled = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert filled.count("Abacus H, compute capability 9.0") == 4
    assert "![rnn-cuda-inference-ratio](plots/rnn-cuda-inference-ratio.svg)" in filled


def test_the_script_stays_within_nine_minutes():
    script = (Path(__file__).parents[2] / "benchmarks" / "cuda.sh").read_text()
    limits = [int(seconds) for seconds in re.findall(r"^measure (\d+)", script, re.MULTILINE)]
    assert sum(limits) + 5 * len(limits) <= 540, "a part is stopped five seconds after its limit at the latest"
