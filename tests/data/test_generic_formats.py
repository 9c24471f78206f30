"""Files with columns of their own, written in every way they can be."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlstm.data.formats import Columns, read_pairs
from simlstm.data.tables import SHAPES

ROWS = [("a b", "c", 0.5), ("我,们", 'say "x"', 0.0), ("e", "f", 1.0)]
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"))
FIELD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def write(path, rows, *, names=("sentence1", "sentence2", "score")):
    """Write rows as the extension says; the sentences may hold anything that the form can carry."""
    if path.suffix == ".csv":
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows([names, *rows])
        path.write_bytes(text.getvalue().encode())
    elif path.suffix in (".tsv", ".txt"):
        path.write_bytes("".join("\t".join(map(str, row)) + "\n" for row in [names, *rows]).encode())
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = zip(*rows, strict=True)
        parquet.write_table(pyarrow.table(dict(zip(names, map(list, columns), strict=True))), path)
    else:
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        path.write_bytes("\n".join(lines).encode())
    return path


@pytest.mark.parametrize("extension", [*SHAPES, ".CSV", ".Parquet"])
def test_each_extension(tmp_path, extension):
    path = write(tmp_path / ("pairs" + extension.lower()), ROWS)
    path = path.rename(tmp_path / ("pairs" + extension))
    data = read_pairs(str(path))
    assert list(zip(data.sentences1, data.sentences2, data.targets, strict=True)) == ROWS
    assert (data.kind, data.score_range, data.ids) == ("graded", (0, 1), ["1", "2", "3"])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(FIELD, FIELD, st.floats(0, 1)), min_size=1, max_size=6),
    extension=st.sampled_from([".csv", ".jsonl", ".parquet"]),
)
def test_any_text_survives_quoted_forms(tmp_path_factory, rows, extension):
    path = write(tmp_path_factory.mktemp("pairs") / f"x{extension}", rows)
    data = read_pairs(path, score_range=(0, 1))
    assert list(zip(data.sentences1, data.sentences2, data.targets, strict=True)) == rows


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"))] * 2, st.floats(0, 1)
        ),
        min_size=1,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_any_text_survives_tsv(tmp_path_factory, rows, end, mark):
    path = tmp_path_factory.mktemp("pairs") / "x.tsv"
    lines = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in rows), ""]
    path.write_bytes((mark + end.join(lines)).encode())
    data = read_pairs(path, score_range=(0, 1))
    assert list(zip(data.sentences1, data.sentences2, data.targets, strict=True)) == rows


def test_named_columns(tmp_path):
    names = ("nr", "left", "right", "stars", "topic", "origin")
    path = write(tmp_path / "x.csv", [("n1", "a", "b", 4, "t", "o"), ("n2", "c", "d", 1, "t", "p")], names=names)
    columns = Columns("LEFT", "right", "stars", id="nr", group="topic", source="origin")
    for format in ("auto", "csv"):
        data = read_pairs(path, format=format, columns=columns, score_range=(1, 4))
        assert (data.sentences1, data.sentences2, data.targets) == (["a", "c"], ["b", "d"], [4, 1])
        assert (data.ids, data.groups, data.sources) == (["n1", "n2"], ["t", "t"], ["o", "p"])
        assert (data.kind, data.score_range, data.scaled_targets()) == ("graded", (1, 4), [1, 0])


def test_columns_by_position(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("4\ta\tb\n1\tc\td\n", encoding="utf-8")
    data = read_pairs(path, columns=Columns(1, 2, 0), score_range=(0, 5))
    assert (data.sentences1, data.sentences2, data.targets) == (["a", "c"], ["b", "d"], [4, 1])


@pytest.mark.parametrize("content", ["a\tb\t1\nc\td\t0\n", "1\ta\tb\n0\tc\td\n"])
def test_two_texts_and_a_number_need_no_names(tmp_path, content):
    path = tmp_path / "pairs.tsv"
    path.write_text(content, encoding="utf-8")
    data = read_pairs(path)
    assert (data.sentences1, data.targets, data.kind) == (["a", "c"], [1, 0], "binary")


def test_a_file_without_targets_is_of_positives(tmp_path):
    path = write(tmp_path / "x.csv", [("a", "b", 9)])
    data = read_pairs(path, columns=Columns("sentence1", "sentence2"))
    assert (data.kind, data.targets) == ("positive", [1])


@pytest.mark.parametrize(
    ("targets", "score_range", "kind", "expected"),
    [
        (["0", "1", " 1 "], None, "binary", [0, 1, 1]),
        ([0, 1, 1.0], None, "binary", [0, 1, 1]),
        ([True, False, True], None, "binary", [1, 0, 1]),
        ([0, 1, 1], (0, 1), "graded", [0, 1, 1]),
        ([0, 1, 0.5], None, "graded", [0, 1, 0.5]),
        (["-1", "1e0", ".5"], (-1, 1), "graded", [-1, 1, 0.5]),
    ],
)
def test_the_kind_follows_from_the_targets(tmp_path, targets, score_range, kind, expected):
    path = write(tmp_path / "x.jsonl", [("a", "b", target) for target in targets])
    data = read_pairs(path, score_range=score_range)
    assert (data.kind, data.targets) == (kind, expected)


def test_of_two_columns_of_one_name_the_first_is_read(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sentence1,sentence2,score,Score\na,b,1,0\n", encoding="utf-8")
    assert read_pairs(path).targets == [1]


def test_numbers_as_identifiers(tmp_path):
    path = write(tmp_path / "x.jsonl", [("a", "b", 1, 17)], names=("text1", "text2", "label", "id"))
    assert read_pairs(path).ids == ["17"]


def test_lone_surrogates_in_json(tmp_path):
    path = write(tmp_path / "x.jsonl", [("\ud800", "b", 1)])
    assert read_pairs(path).sentences1 == ["\ud800"]


def test_a_published_format_with_another_range(tmp_path):
    path = tmp_path / "stsb.csv"
    path.write_text("a,b,80\n", encoding="utf-8")
    assert read_pairs(path, score_range=(0, 100)).scaled_targets() == [0.8]


def test_blank_lines_and_line_breaks_in_quotes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'\nsentence1,sentence2,score\r\n\r\n"a\r\nb","c\nd",1\r\n\n')
    data = read_pairs(path)
    assert (data.sentences1, data.sentences2) == (["a\r\nb"], ["c\nd"])


@pytest.mark.parametrize(
    "columns",
    [
        {"sentence1": "a", "sentence2": 1},
        {"sentence1": 0, "sentence2": -1},
        {"sentence1": 0, "sentence2": 1, "id": "x"},
    ],
)
def test_columns_are_names_or_positions(columns):
    with pytest.raises(ValueError, match="columns: "):
        Columns(**columns)
