"""What is wrong is said with file, line and column, and with what is allowed."""

import gzip
import json
import sys

import pytest

from simlstm.data import errors, formats
from simlstm.data.formats import Columns, DataError, read_pairs

HEADER = b"sentence1,sentence2,score\n"
SICK = b"pair_ID\tsentence_A\tsentence_B\trelatedness_score\n"
GOOD = b'{"sentence1": "a", "sentence2": "b", "label": 1}\n'

# name of the file, content, arguments, message from the name of the file on
CASES = {
    "empty": ("x.csv", b"", {}, r":1: the file is empty"),
    "blank": ("x.tsv", b" \r\n\t\n", {}, r":1: the file is empty"),
    "mark alone": ("x.jsonl", b"\xef\xbb\xbf", {}, r":1: the file is empty"),
    "header alone": ("x.csv", HEADER, {}, r":1: no row follows the header"),
    "no extension": ("pairs", b"a", {}, r": extension '' came; allowed: \.csv, \.tsv, \.txt, \.jsonl, .*\.parquet"),
    "another extension": ("x.xlsx", b"a", {}, r": extension '\.xlsx' came"),
    "gzip alone": ("x.gz", b"a", {}, r": extension '' came"),
    "not gzip": ("x.csv.gz", b"a", {}, r": not a whole gzip file"),
    "gzip cut short": ("x.csv.gz", gzip.compress(HEADER * 50)[:-8], {}, r": not a whole gzip file"),
    "gzip damaged": ("x.csv.gz", gzip.compress(HEADER)[:12] + b"\xff" * 30, {}, r": not a whole gzip file"),
    "not utf-8": ("x.csv", HEADER + b"a,caf\xe9,1\n", {}, r":2: byte 31 is 0xe9; allowed: UTF-8"),
    "not utf-8 behind a mark": ("x.csv", b"\xef\xbb\xbfa\n\xff", {}, r":2: byte 5 is 0xff"),
    "utf-16": ("x.csv", "a,b,1".encode("utf-16"), {}, r":1: byte 0 is 0xff"),
    "score no number": (
        "x.csv",
        HEADER + b"a,b,1\na,b,high\n",
        {},
        r":3, column 'score': score 'high' came; allowed: a number",
    ),
    "score empty": ("x.csv", HEADER + b"a,b,\n", {}, r":2, column 'score': score '' came"),
    "score nan": ("x.csv", HEADER + b"a,b,nan\n", {}, r":2, column 'score': score 'nan' came"),
    "score with underscore": (
        "x.csv",
        HEADER + b"a,b,1_0\n",
        {"score_range": (0, 20)},
        r":2, column 'score': score '1_0' came",
    ),
    "score needs a range": (
        "x.csv",
        HEADER + b"a,b,1\na,b,3.5\n",
        {},
        r":3, column 'score': score 3.5 came; allowed: 0 to 1, or name",
    ),
    "score out of the range": (
        "x.csv",
        HEADER + b"a,b,5.1\n",
        {"score_range": (0, 5)},
        r":2, column 'score': score '5.1' came; allowed: a number from 0 to 5",
    ),
    "score below a format's range": (
        "x.txt",
        SICK + b"1\ta\tb\t5\n2\ta\tb\t0.9\n",
        {},
        r":3, column 'relatedness_score': score '0\.9' came; allowed: a number from 1 to 5",
    ),
    "score of a position": (
        "stsb.csv",
        b"a,b,1\n\na,b,7\n",
        {},
        r":3, column 3: score '7' came; allowed: a number from 0 to 5",
    ),
    "score behind line breaks": ("x.csv", HEADER + b'"a\n\n",b,1\na,b,2\n', {}, r":5, column 'score': score 2 came"),
    "label not 0 or 1": ("lcqmc.tsv", b"a\tb\t1\na\tb\t2\n", {}, r":2, column 3: label '2' came; allowed: 0 or 1"),
    "label between": ("lcqmc.tsv", b"a\tb\t0.5\n", {}, r":1, column 3: label '0\.5' came; allowed: 0 or 1"),
    "label empty": (
        "qqp.tsv",
        b"is_duplicate\tquestion1\tquestion2\n\ta\tb\n",
        {},
        r":2, column 'is_duplicate': label '' came",
    ),
    "label a list": ("afqmc.json", GOOD.replace(b"1}", b"[1]}"), {}, r":1, column 'label': label \[1\] came"),
    "label missing in a row": (
        "afqmc.json",
        GOOD + GOOD.replace(b"label", b"Label"),
        {},
        r":2, column 'label': nothing came",
    ),
    "score a huge number": (
        "x.jsonl",
        GOOD.replace(b"1}", b"1" + b"0" * 400 + b"}"),
        {},
        r":1, column 'label': score 10+ came",
    ),
    "ragged csv, short": (
        "x.csv",
        HEADER + b"a,b,1\na,b\n",
        {},
        r":3: a row of 2 columns came; allowed: 3, as in line 1",
    ),
    "ragged csv, long": ("x.csv", HEADER + b'a,"b\n",1\n\na,b,c,1\n', {}, r":5: a row of 4 columns came; allowed: 3"),
    "ragged tsv": ("lcqmc.tsv", b"a\tb\t1\na\tb\tc\t1\n", {}, r":2: a row of 4 columns came; allowed: 3, as in line 1"),
    "ragged, at least seven": (
        "stsb.tsv",
        b"g\tf\ty\t1\t5\ta\tb\nx\ty\n",
        {},
        r":2: a row of 2 columns came; allowed: 7 and more",
    ),
    "quote left open": ("x.csv", HEADER + b'a,b,1\na,"b,1\na,b,1\n', {}, r":3: the row that starts here is not CSV"),
    "text after a quote": ("x.csv", HEADER + b'a,"b"c,1\n', {}, r":2: the row that starts here is not CSV"),
    "unknown header": (
        "x.csv",
        b"left,right,stars\na,b,1\n",
        {},
        r":1: columns \['left', 'right', 'stars'\] came, .*format= one of stsb, sick, .*captions; or columns=",
    ),
    "two columns": ("x.tsv", b"a\tb\n", {}, r":1: columns \['a', 'b'\] came"),
    "two numbers": ("x.tsv", b"1\tb\t2\n", {}, r":1: columns \['1', 'b', '2'\] came"),
    "unknown keys": ("x.jsonl", b'{"a": 1}', {}, r":1: columns \['a'\] came"),
    "no keys": ("x.jsonl", b"{}\n{}", {}, r":1: columns \[\] came"),
    "missing column": (
        "x.csv",
        HEADER + b"a,b,1\n",
        {"columns": Columns("sentence1", "sentence2", "stars")},
        r":1: no column 'stars'; the columns are \['sentence1', 'sentence2', 'score'\]",
    ),
    "missing key": (
        "x.jsonl",
        GOOD,
        {"columns": Columns("sentence1", "text", "label")},
        r":1: no column 'text'; the columns are \['sentence1', 'sentence2', 'label'\]",
    ),
    "missing position": ("x.csv", b"a,b,1\n", {"columns": Columns(0, 1, 3)}, r":1: no column 4; the columns are 3"),
    "positions in json": ("x.jsonl", GOOD, {"columns": Columns(0, 1, 2)}, r":1: no column "),
    "another format's layout": (
        "x.csv",
        b"a,b,1\n",
        {"format": "sick"},
        r":1: columns \['a', 'b', '1'\] are no layout of format 'sick'; allowed: sentence1 = 'sentence_A'",
    ),
    "no score in the layout": (
        "x.csv",
        b"a,b,c\n",
        {"format": "stsb"},
        r":1: columns \['a', 'b', 'c'\] are no layout of format 'stsb'; .* no header, 3 columns, sentence1 = 0",
    ),
    "captions without a group": ("x.tsv", b"sentence\nalone\n", {"format": "captions"}, r":1: no column 'group'"),
    "captions alone": ("x.tsv", b"group\tsentence\ng\ta\nh\tb\n", {}, r": no group has two captions"),
    "json broken": ("x.jsonl", GOOD + b'{"sentence1": \n', {}, r":2: not JSON: "),
    "json too deep": ("x.jsonl", b"[" * 100_000, {}, r":1: not JSON: "),
    "json list": ("x.json", b'[{"sentence1": "a"}]', {}, r":1: a JSON list came; allowed: one JSON object a line"),
    "text a number": (
        "x.jsonl",
        GOOD + GOOD.replace(b'"b"', b"7"),
        {},
        r":2, column 'sentence2': 7 came; allowed: text",
    ),
    "text null": ("x.jsonl", GOOD.replace(b'"a"', b"null"), {}, r":1, column 'sentence1': nothing came; allowed: text"),
    "identifier a list": (
        "x.jsonl",
        GOOD.replace(b"{", b'{"id": [], '),
        {},
        r":1, column 'id': \[\] came; allowed: text or a number",
    ),
    "not parquet": ("x.parquet", b"PAR1 or not", {}, r": not a Parquet file"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_message_says_where_what_and_what_is_allowed(tmp_path, case):
    if case == "not parquet":
        pytest.importorskip("pyarrow")
    name, content, arguments, message = CASES[case]
    path = tmp_path / name
    path.write_bytes(content)
    # The folder's own name would be a hint of the format.
    with pytest.raises(DataError, match=rf"/{name}{message}"):
        read_pairs(path, **arguments)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv: no such file"):
        read_pairs(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"no such file"):
        read_pairs(str(tmp_path), format="csv")


def test_parquet_without_rows(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"sentence1": pyarrow.array([], pyarrow.string())}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: the file has no rows"):
        read_pairs(tmp_path / "x.parquet")


def test_without_pyarrow_the_error_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"")
    with pytest.raises(ImportError, match=r'pip install "simlstm\[train\]"'):
        read_pairs(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "xml"}, "format: 'xml' came; allowed: auto, stsb"),
        ({"format": "stsb", "columns": Columns(0, 1, 2)}, "columns: came with format='stsb'"),
        ({"score_range": (1, 1)}, r"score_range: \(1, 1\) came"),
        ({"score_range": (5, float("nan"))}, "score_range: "),
        ({"format": "lcqmc", "score_range": (0, 2)}, "score_range: came with format='lcqmc', whose targets are binary"),
    ],
)
def test_arguments_that_contradict(tmp_path, arguments, message):
    path = tmp_path / "x.tsv"
    path.write_text("a\tb\t1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_pairs(path, **arguments)


@pytest.mark.parametrize("source", ["demo:", "demo:all", "demo:fr:train", "demo:en", "demo:en:zh:train"])
def test_parts_that_the_demo_has_not(source):
    with pytest.raises(DataError, match="allowed: demo:train"):
        read_pairs(source)


@pytest.mark.parametrize(("source", "language"), [("demo:dev", "both"), ("demo:en:dev", "en"), ("demo:zh:dev", "zh")])
def test_parts_of_the_demo(source, language):
    from simlstm.data.demo import demo_pairs

    assert read_pairs(source) == demo_pairs("dev", language=language)


def test_the_demo_takes_no_layout():
    with pytest.raises(ValueError, match="came with demo:dev"):
        read_pairs("demo:dev", format="stsb")


def test_one_error_class():
    assert formats.DataError is errors.DataError
    assert issubclass(DataError, ValueError)


def test_reading_from_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jsonl").write_text(json.dumps({"a": "x", "b": "y", "label": 0}), encoding="utf-8")
    assert read_pairs("x.jsonl").name == "x.jsonl"


def test_a_range_that_only_the_name_speaks_for_is_not_believed(tmp_path):
    content = "sentence1,sentence2,score\na,b,0.9\nc,d,0.2\n"
    for name in ("a.csv", "my_stsb_01.csv"):
        (tmp_path / name).write_text(content)
    assert read_pairs(tmp_path / "a.csv").score_range == (0, 1)
    with pytest.raises(DataError, match="its name says format 'stsb', whose scores go to 5, and no score is above 1"):
        read_pairs(tmp_path / "my_stsb_01.csv")
    assert read_pairs(tmp_path / "my_stsb_01.csv", format="csv").score_range == (0, 1)
    assert read_pairs(tmp_path / "my_stsb_01.csv", format="stsb").score_range == (0, 5)
