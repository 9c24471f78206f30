"""The command as a whole: every collection at once, what is missing, what is broken, and nothing half written."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from scripts.open_data import main
from scripts.opening_data.catalogue import COLLECTIONS
from simlstm.data.sentences import read_sentences, read_translations

UNIT = '<tu tuid="{0}"><tuv xml:lang="en"><seg>{1}</seg></tuv><tuv xml:lang="zh-CN"><seg>{2}</seg></tuv></tu>'
ROWS = {
    "tatoeba-en-zh": ["The kite is torn.\t风筝破了。"],
    "tatoeba-more-en-zh": ["The kite, too, flies.\t风筝也飞。"],
    "tatoeba-en": ["The kite is torn."],
    "cedict-en-zh": ["paper kite\t纸鸢", "paper kite\t紙鳶"],
    "wordnet-en": ["a toy that flies", "he mends kites", "move through air", "high above ground", "in the air"],
    "common-voice-en": ["Kites rise.", "Wind falls."],
    "clinc150-en": ["find me a kite", "why is wind"],
    "sgd-en": ["I want a kite.", "Which colour is it?"],
    "tico19-en-zh": ["Wash the kite & dry it.\t清洗风筝并晾干。"],
}


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    _write(folder / "cmn.txt", "The kite is torn.\t风筝破了。\tsomebody\nThe  kite is torn.\t风筝破了。\tanother\n")
    _write(folder / "sentences_tatoeba.csv", 'sentence,translation\r\n风筝也飞。,"The kite, too, flies."\r\n')
    _write(folder / "fra.txt", "The kite is torn.\tLe cerf-volant est déchiré.\nThe kite is torn.\tIl est déchiré.\n")
    entry = "# a comment\r\n紙鳶 纸鸢 [zhi3 yuan1] /paper kite (toy)/CL:隻|只[zhi1]/\r\n"
    (folder / "cedict_ts.u8.gz").write_bytes(gzip.compress(entry.encode()))
    for part, gloss in (
        ("noun", 'a toy that flies; "he mends kites"'),
        ("verb", "move through air"),
        ("adj", "high above ground"),
        ("adv", "in the air"),
    ):
        _write(folder / "wordnet" / f"data.{part}", f"  1 the licence  \n00001 03 n 01 kite 0 000 | {gloss}  \n")
    _write(folder / "common-voice-en/b.txt", "Wind falls.\nKites rise.\n")
    _write(folder / "common-voice-en/a.txt", "Kites rise.\n\n")
    parts = {"train": [["find me a kite", "toys"]], "oos_train": [["why is wind", "oos"]], "test": [["no", "x"]]}
    _write(folder / "data_full.json", json.dumps(parts))
    for part, texts in (
        ("train", ["I want a kite.", "Yes please.", "Which colour is it?"]),
        ("dev", ["Not this one."]),
    ):
        turns = [{"utterance": text, "speaker": "USER"} for text in texts]
        _write(folder / f"dstc8-schema-guided-dialogue/{part}/dialogues_001.json", json.dumps([{"turns": turns}]))
    _write(folder / "dstc8-schema-guided-dialogue/train/schema.json", "[]")
    units = UNIT.format(1, "Wash the kite &amp; dry it.", "清洗风筝并晾干。") + UNIT.format(2, "Only Latin.", "Latin")
    _write(folder / "all.en-zh.tmx", f'<?xml version="1.0"?><tmx version="1.4"><body>\n{units}\n</body></tmx>')
    return folder


def _run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _refused(raw, *arguments):
    """Run what must fail, check that it left nothing behind, and return what it says."""
    before = sorted(raw.parent.iterdir())
    result = _run("--raw", raw, "--out", raw.parent / "out", *arguments)
    assert result.exit_code == 1, result.output
    assert sorted(raw.parent.iterdir()) == before
    return result.stderr


def test_every_collection_becomes_a_file_that_training_reads(raw, tmp_path):
    result = _run("--raw", raw, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        *(collection.file_name for collection in COLLECTIONS.values()),
    }
    for name, rows in ROWS.items():
        path = tmp_path / "out" / COLLECTIONS[name].file_name
        if COLLECTIONS[name].is_translation:
            data = read_translations(path)
            assert [f"{taught}\t{text}" for taught, text in zip(data.taught, data.sentences, strict=True)] == rows
        else:
            assert read_sentences(path).sentences == rows
            assert path.read_text(encoding="utf-8") == "".join(f"{row}\n" for row in rows)
    assert not list(tmp_path.glob(".*"))


def test_readme_lists_origin_hash_and_rows(raw, tmp_path):
    assert _run("--raw", raw, "--out", tmp_path / "out").exit_code == 0
    lines = (tmp_path / "out/README.md").read_text(encoding="utf-8").splitlines()
    for name, collection in COLLECTIONS.items():
        (line,) = [line for line in lines if line.startswith(f"| {collection.file_name} |")]
        for fact in (collection.title, collection.publisher, collection.licence, f"| {len(ROWS[name])} |"):
            assert fact in line
    assert hashlib.sha256((raw / "cmn.txt").read_bytes()).hexdigest() in "".join(lines)
    listed = "".join(
        f"{hashlib.sha256((raw / 'common-voice-en' / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("a.txt", "b.txt")
    )
    assert hashlib.sha256(listed.encode()).hexdigest() in "".join(lines)


def test_only_leaves_out_and_two_runs_give_the_same_bytes(raw, tmp_path):
    (raw / "fra.txt").unlink()
    for out in ("one", "two"):
        result = _run("--raw", raw, "--out", tmp_path / out, "--only", "sgd-en, tico19-en-zh")
        assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"README.md", "sgd-en.txt", "tico19-en-zh.tsv"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_all_that_is_missing_is_named_with_where_to_find_it(raw):
    (raw / "fra.txt").unlink()
    (raw / "cedict_ts.u8.gz").unlink()
    said = _refused(raw)
    for name in ("tatoeba-en", "cedict-en-zh"):
        one = COLLECTIONS[name]
        assert all(fact in said for fact in (f"  {name}:", one.title, one.publisher, one.licence, one.home, one.raw[0]))
    assert "wordnet-en" not in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cmn.txt", b"A kite.\t\xe9\xa3\x8e\nno tab here\n", "cmn.txt:2: 1 columns came"),
        ("fra.txt", b"A kite.\tUn\nA \xff.\tUn\n", "fra.txt:2: byte 2 of the line is no UTF-8"),
        ("sentences_tatoeba.csv", b"translation,sentence\n", "csv:1: the header 'translation,sentence' came"),
        ("sentences_tatoeba.csv", b"sentence,translation\n\na,b,c\n", "csv:3: 3 columns came"),
        ("sentences_tatoeba.csv", b'sentence,translation\na,"b\n', "csv:2: not CSV"),
        ("cedict_ts.u8", "紙 纸 [zhi3] /paper/\n紙鳶 kite\n".encode(), "cedict_ts.u8:2: '紙鳶 kite' came"),
        ("cedict_ts.u8.gz", b"\x1f\x8bbroken", "cedict_ts.u8.gz: not a whole gzip file"),
        ("wordnet/data.adj", b"  1 licence\n00001 00 a 01 high\n", "data.adj:2: '00001 00 a 01 high' came"),
        ("common-voice-en/a.txt", b"fine\n\xc3(\n", "a.txt:2: byte 0 of the line"),
        ("data_full.json", b'{"train": [],\n "oos_train": }', "data_full.json:2: not JSON"),
        ("data_full.json", b'{"train": [["a b"]], "oos_train": []}', "example 1 of train"),
        ("data_full.json", b'{"train": []}', "no list 'oos_train' came"),
        ("data_full.json", b'{"train": [], "oos_train": []}', "no row that can be used came"),
        ("dstc8-schema-guided-dialogue/train/dialogues_001.json", b'[{"turns": []}, {"turns": [{}]}]', "dialogue 2"),
        ("dstc8-schema-guided-dialogue/train/dialogues_001.json", b"{}", "dict came; allowed: a list"),
        ("all.en-zh.tmx", b"<tmx>\n<tu></tmx>", "all.en-zh.tmx:2: not XML"),
        ("all.en-zh.tmx", b'<tmx><tu tuid="x7"></tu></tmx>', r"unit 1 (x7): no language came"),
        ("all.en-zh.tmx", b"<tmx></tmx>", "no translation unit came"),
    ],
)
def test_broken_files_are_named_with_the_place(raw, name, content, said):
    (raw / name).write_bytes(content)
    assert said in _refused(raw)


def test_a_folder_that_lacks_a_part(raw):
    (raw / "wordnet/data.adv").unlink()
    assert "wordnet: no data.adv came" in _refused(raw)


def test_wrong_arguments(raw, tmp_path):
    assert "only: 'brown' came; allowed: tatoeba-en-zh, " in _refused(raw, "--only", "brown")
    assert "no such folder" in _run("--raw", tmp_path / "none", "--out", tmp_path / "out").stderr
    _write(tmp_path / "out/mine.txt", "mine")
    assert "nothing is overwritten" in _refused(raw)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_the_page_about_data_says_what_the_catalogue_says():
    page = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)\.(?:tsv|txt)`: (.*)$", page, re.MULTILINE))
    assert rows.keys() == COLLECTIONS.keys()
    for name, row in rows.items():
        one = COLLECTIONS[name]
        facts = (one.title, one.purpose, one.licence, one.publisher, one.home, f"`{one.raw[0]}{'/' * bool(one.parts)}`")
        assert [fact for fact in facts if fact not in row] == []
