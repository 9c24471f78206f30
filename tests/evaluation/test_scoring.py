"""Scoring files: every column kept, every kind of file, and bad rows named."""

import csv
import gzip
import json
import tracemalloc

import numpy as np
import pytest

from simlstm.data.errors import DataError
from simlstm.evaluation.evaluate import calibrate_model
from simlstm.evaluation.scoring import score_file

ROWS = [
    {"id": "1", "sentence1": "a man eats", "sentence2": "tea", "note": 'says "hi", then\nleaves'},
    {"id": "2", "sentence1": "小孩吃苹果", "sentence2": "a man plays the guitar", "note": "=1+1"},
    {"id": "3", "sentence1": "", "sentence2": "一\u2028二", "note": ""},
]


@pytest.fixture
def calibrated(model, pairs):
    model.calibration = calibrate_model(model, pairs("binary"))
    return model


def _write(path, rows=ROWS):
    if ".csv" in path.name:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    elif ".tsv" in path.name:
        lines = [
            "\t".join(rows[0]),
            *("\t".join(str(cell).replace("\n", " ") for cell in row.values()) for row in rows),
        ]
        path.write_bytes("\n".join(lines).encode())
    elif ".jsonl" in path.name:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def _read(path):
    content = b"" if path.suffix == ".parquet" else path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    text = content.decode()
    if ".csv" in path.name:
        import io

        return list(csv.DictReader(io.StringIO(text, newline="")))
    if ".tsv" in path.name:
        header, *lines = text.splitlines() if "\u2028" not in text else text.rstrip("\n").split("\n")
        return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.rstrip("\n").split("\n")]
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


def _plain(row, names):
    """Bring typed and text cells to one form, for comparison across kinds of files."""
    words = {True: "true", False: "false", None: ""}
    return [
        words[row[name]] if isinstance(row[name], bool | None) else str(row[name]).replace("\n", " ") for name in names
    ]


@pytest.mark.parametrize("target", ["out.csv", "out.tsv", "out.jsonl", "out.parquet", "out.csv.gz", "out.jsonl.gz"])
@pytest.mark.parametrize("source", ["in.csv", "in.tsv", "in.jsonl", "in.parquet", "in.tsv.gz"])
def test_from_every_kind_to_every_kind(calibrated, tmp_path, source, target):
    rows = [{**row, "note": row["note"].replace("\n", " ")} for row in ROWS]
    result = score_file(calibrated, _write(tmp_path / source, rows), tmp_path / target)
    assert (result.rows, result.truncated) == (3, 1)
    written = _read(tmp_path / target)
    assert list(written[0]) == ["id", "sentence1", "sentence2", "note", "score", "probability", "is_match", "truncated"]
    assert [_plain(row, ROWS[0]) for row in written] == [_plain(row, ROWS[0]) for row in rows]
    scores = calibrated.score([row["sentence1"] for row in rows], [row["sentence2"] for row in rows])
    assert [float(row["score"]) for row in written] == pytest.approx(scores, abs=1e-6)
    expected = calibrated.probability_of(scores)
    assert [float(row["probability"]) for row in written] == pytest.approx(expected, abs=1e-6)
    matches = ["true" if score >= calibrated.threshold else "false" for score in scores]
    assert [_plain(row, ["is_match", "truncated"]) for row in written] == [
        [match, cut] for match, cut in zip(matches, ["false", "true", "false"], strict=True)
    ]


def test_line_breaks_and_quotes_survive_csv(calibrated, tmp_path):
    score_file(calibrated, _write(tmp_path / "in.csv"), tmp_path / "out.csv")
    assert _read(tmp_path / "out.csv")[0]["note"] == 'says "hi", then\nleaves'


def test_a_score_reads_back_as_the_same_float32(model, tmp_path):
    score_file(model, _write(tmp_path / "in.csv"), tmp_path / "out.csv")
    written = [np.float32(row["score"]) for row in _read(tmp_path / "out.csv")]
    expected = model.score([row["sentence1"] for row in ROWS], [row["sentence2"] for row in ROWS])
    assert written == pytest.approx(expected, rel=1e-6)
    assert all(len(row["score"]) <= 12 for row in _read(tmp_path / "out.csv"))


def test_without_a_calibration_the_columns_are_empty(model, tmp_path):
    score_file(model, _write(tmp_path / "in.csv"), tmp_path / "out.jsonl")
    assert {(row["probability"], row["is_match"]) for row in _read(tmp_path / "out.jsonl")} == {(None, None)}


def test_parquet_keeps_its_types(model, tmp_path):
    import datetime

    import pyarrow.parquet

    rows = [{**row, "n": number, "when": datetime.date(2020, 1, 1 + number)} for number, row in enumerate(ROWS)]
    score_file(model, _write(tmp_path / "in.parquet", rows), tmp_path / "out.parquet", chunk_size=2)
    schema = pyarrow.parquet.read_schema(tmp_path / "out.parquet")
    assert [str(schema.field(name).type) for name in ("n", "when", "score", "is_match")] == [
        "int64", "date32[day]", "float", "bool",
    ]  # fmt: skip
    assert _read(tmp_path / "out.parquet")[2]["when"] == datetime.date(2020, 1, 3)


def test_json_rows_keep_their_own_keys_and_parts(model, tmp_path):
    rows = [{**ROWS[0], "tags": ["x", {"y": 1}]}, {**ROWS[1], "more": 2.5}]
    score_file(model, _write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    first, second = _read(tmp_path / "out.jsonl")
    assert first["tags"] == ["x", {"y": 1}]
    assert second["more"] == 2.5
    with pytest.raises(DataError, match="line 2: has 'more', which the first row lacks; write JSON lines"):
        score_file(model, tmp_path / "in.jsonl", tmp_path / "out.csv")


def test_usual_names_are_found_and_others_can_be_given(model, tmp_path):
    rows = [{"Question1": "a man eats", "question2": "tea"}]
    score_file(model, _write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    rows = [{"left": "a man eats", "right": "tea"}]
    source = _write(tmp_path / "other.csv", rows)
    with pytest.raises(ValueError, match=r"no column is sentence1, .*; name the column of sentence1: there are"):
        score_file(model, source, tmp_path / "out.csv")
    with pytest.raises(ValueError, match=r"sentence1: got 'middle'; .* has the columns left, right"):
        score_file(model, source, tmp_path / "out.csv", sentence1="middle", sentence2="right")
    assert score_file(model, source, tmp_path / "out.csv", sentence1="left", sentence2="right").rows == 1


def test_a_column_is_not_overwritten(model, tmp_path):
    source = _write(tmp_path / "in.csv", [{**row, "score": "0.5"} for row in ROWS])
    with pytest.raises(ValueError, match="has a column 'score' already; give the added"):
        score_file(model, source, tmp_path / "out.csv")
    score_file(model, source, tmp_path / "out.csv", prefix="model_")
    assert {"score", "model_score"} <= _read(tmp_path / "out.csv")[0].keys()


def test_a_value_of_a_later_json_row_is_not_overwritten(model, tmp_path):
    source = _write(tmp_path / "in.jsonl", [ROWS[0], {**ROWS[1], "truncated": "by hand"}])
    for target in ("out.jsonl", "out.csv"):
        with pytest.raises(DataError, match=r"in.jsonl:2: has a value 'truncated' already; give the added"):
            score_file(model, source, tmp_path / target)
        assert not (tmp_path / target).exists()
    score_file(model, source, tmp_path / "out.jsonl", prefix="model_")
    assert _read(tmp_path / "out.jsonl")[1]["truncated"] == "by hand"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere/out.jsonl", r"out\.jsonl: the folder .*nowhere does not exist"),
        ("in.csv/out.jsonl", r"out\.jsonl: the folder .*in\.csv does not exist"),
        ("folder.csv", r"folder\.csv: is a folder; allowed: a file"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_scoring(model, tmp_path, target, message):
    (tmp_path / "folder.csv").mkdir()
    source = _write(tmp_path / "in.csv")
    scored = []
    with pytest.raises(ValueError, match=message):
        score_file(model, source, tmp_path / target, advance=scored.append)
    assert not scored
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.csv", "in.csv"]


BAD = [
    ("in.csv", b"sentence1,sentence2\na,b\na\n", r"in.csv:3: 1 cells; the header has 2"),
    ("in.csv", b'sentence1,sentence2\n"a\nb",c\na\n', r"in.csv:4: 1 cells"),
    ("in.csv", b'sentence1,sentence2\na,"b\n', r"in.csv:2: the row that starts here is not CSV"),
    ("in.csv", b"sentence1,sentence2\na,\xff\n", r"in.csv:2: not UTF-8"),
    ("in.csv", b"", r"in.csv:1: the file is empty"),
    ("in.csv", b"sentence1,sentence1\na,b\n", r"the header has 'sentence1' twice"),
    ("in.tsv", b"sentence1\tsentence2\na\tb\tc\n", r"in.tsv:2: 3 cells"),
    ("in.tsv.gz", b"not gzip", r"not a whole gzip file"),
    ("in.tsv.gz", gzip.compress(b"sentence1\tsentence2\na\tb\n" * 500)[:-20], r"not a whole gzip file"),
    ("in.jsonl", b'{"sentence1": "a", "sentence2": "b"}\n{"sentence1": "a"\n', r"in.jsonl:2: not JSON"),
    ("in.jsonl", b'{"sentence1": "a", "sentence2": "b"}\n[1]\n', r"in.jsonl:2: a JSON list came"),
    ("in.jsonl", b'{"sentence1": "a", "sentence2": null}\n', r"in.jsonl:1: sentence2 is nothing; allowed: text"),
    (
        "in.jsonl",
        b'{"sentence1": "a", "sentence2": "b"}\n\n{"sentence1": 5, "sentence2": "b"}\n',
        r"jsonl:3: sentence1 is 5",
    ),
    ("in.parquet", b"PAR1", r"in.parquet: not a Parquet file"),
    ("in.xlsx", b"", r"extension '.xlsx' came"),
]


@pytest.mark.parametrize(
    ("name", "content", "message"), BAD, ids=[f"{index}-{bad[0]}" for index, bad in enumerate(BAD)]
)
def test_a_bad_row_is_named_and_leaves_the_output_as_it_was(model, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "out.csv").write_text("earlier")
    with pytest.raises(DataError, match=message):
        score_file(model, tmp_path / name, tmp_path / "out.csv", chunk_size=1)
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([name, "out.csv"])


def test_a_missing_file_is_named(model, tmp_path):
    with pytest.raises(DataError, match=r"none.csv: no such file"):
        score_file(model, tmp_path / "none.csv", tmp_path / "out.csv")


def test_tsv_cannot_hold_a_line_break(model, tmp_path):
    with pytest.raises(DataError, match="line 2: a cell has a tab or line break, which TSV cannot hold; write CSV"):
        score_file(model, _write(tmp_path / "in.csv"), tmp_path / "out.tsv")


def test_byte_order_mark_crlf_and_blank_lines_are_accepted(model, tmp_path):
    (tmp_path / "in.csv").write_bytes("\ufeffsentence1,sentence2\r\na,b\r\n\r\nc,d\r\n".encode())
    assert score_file(model, tmp_path / "in.csv", tmp_path / "out.csv").rows == 2
    assert list(_read(tmp_path / "out.csv")[0])[:2] == ["sentence1", "sentence2"]


def test_lone_surrogates_survive_json(model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"sentence1": "a \\ud800", "sentence2": "\\u0000"}\n')
    score_file(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert _read(tmp_path / "out.jsonl")[0]["sentence1"] == "a \ud800"


def test_a_file_without_rows_gives_a_file_without_rows(model, tmp_path):
    (tmp_path / "in.csv").write_text("sentence1,sentence2\n")
    for name in ("out.csv", "out.parquet"):
        assert score_file(model, tmp_path / "in.csv", tmp_path / name).rows == 0
        assert (tmp_path / name).exists()


def test_memory_does_not_grow_with_the_file(model, tmp_path):
    def peak(rows):
        source = tmp_path / f"{rows}.csv"
        source.write_text("sentence1,sentence2\n" + "a man eats,tea\n" * rows)
        seen = []
        tracemalloc.start()
        score_file(model, source, tmp_path / "out.csv", chunk_size=500, advance=seen.append)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(seen) == rows
        return size

    peak(500)  # imports and caches
    # Rows that were kept would take 250 bytes each, as two strings; the peak itself varies by some 300 kB.
    assert peak(16_000) - peak(1_000) < 15_000 * 60
