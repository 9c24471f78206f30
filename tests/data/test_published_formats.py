"""Every published layout, on small files written here."""

import gzip
import hashlib
import json

import pytest

from simlstm.data.formats import read_pairs

STSB_ORIGINAL = (
    "main-captions\tMSRvid\t2012test\t0001\t5.000\tA plane.\tAn air plane.\n"
    'main-news\tMSRpar\t2012\t0004\t0.5\tHe said "no.\tNothing.\tlicence\tmore licence\n'
)
STSB_GLUE = (
    "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane.\tAn air plane.\t5.000\n"
    '1\tmain-news\tMSRpar\t2012\t0004\tnone\tnone\tHe said "no.\tNothing.\t0.5\n'
)
SICK = (
    "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    "7\tA plane.\tAn air plane.\t5\tENTAILMENT\n"
    '9\tHe said "no.\tNothing.\t1.5\tNEUTRAL\n'
)
SICK_WHOLE = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n"
    "7\tA plane.\tAn air plane.\tENTAILMENT\t5\tTRAIN\n"
    '9\tHe said "no.\tNothing.\tNEUTRAL\t1.5\tTRIAL\n'
)
MRPC = (
    "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
    "1\t702876\t702977\tA plane.\tAn air plane.\r\n"
    '0\t2108705\t2108831\tHe said "no.\tNothing.\r\n'
)
CLUE = (
    '{"sentence1": "A plane.", "sentence2": "An air plane.", "label": "1"}\n'
    '{"sentence1": "He said \\"no.", "sentence2": "Nothing.", "label": "0"}\n'
)
TEXTS_LABEL = 'A plane.\tAn air plane.\t1\nHe said "no.\tNothing.\t0\n'
LABEL_TEXTS = '1\tA plane.\tAn air plane.\n0\tHe said "no.\tNothing.\n'
LABEL_TEXTS_ID = '1\tA plane.\tAn air plane.\t31\n0\tHe said "no.\tNothing.\t32\n'
ID_TEXTS_LABEL = '5\tA plane.\tAn air plane.\t1\n6\tHe said "no.\tNothing.\t0\n'
QUOTED = '"A plane.","An air plane.",5.0\r\n"He said ""no.",Nothing.,0.5\r\n'
QUOTED_LABELS = 'sentence1,sentence2,label\nA plane.,An air plane.,1\n"He said ""no.",Nothing.,0\n'
QQP_KAGGLE = (
    '"id","qid1","qid2","question1","question2","is_duplicate"\n'
    '"0","1","2","A plane.","An air plane.","1"\n"1","3","4","He said ""no.","Nothing.","0"\n'
)

# name of the file, its content, format, targets, ids, sources
CASES = [
    ("stsb/train.csv", QUOTED, "stsb", [5, 0.5], ["1", "2"], None),
    ("stsbenchmark/sts-train.csv", STSB_ORIGINAL, "stsb", [5, 0.5], ["1", "2"], ["main-captions", "main-news"]),
    ("any/train.tsv", STSB_GLUE, "stsb", [5, 0.5], ["0", "1"], ["main-captions", "main-news"]),
    ("STS-B/x.csv", "sentence1,sentence2,score\n" + QUOTED, "stsb", [5, 0.5], ["1", "2"], None),
    ("any/SICK_train.txt", SICK, "sick", [5, 1.5], ["7", "9"], None),
    ("any/all.txt", SICK_WHOLE, "sick", [5, 1.5], ["7", "9"], None),
    ("any/train.tsv", MRPC, "mrpc", [1, 0], ["1", "2"], None),
    ("msrp/train.tsv", "label\tSentence1\tSentence2\n" + LABEL_TEXTS, "mrpc", [1, 0], ["1", "2"], None),
    ("msrp/train.tsv", LABEL_TEXTS, "mrpc", [1, 0], ["1", "2"], None),
    ("any/q.tsv", "is_duplicate\tquestion1\tquestion2\n" + LABEL_TEXTS, "qqp", [1, 0], ["1", "2"], None),
    ("any/train.csv", QQP_KAGGLE, "qqp", [1, 0], ["0", "1"], None),
    ("qqp/train.tsv", LABEL_TEXTS_ID, "qqp", [1, 0], ["31", "32"], None),
    ("paws/train.tsv", "id\tsentence1\tsentence2\tlabel\n" + ID_TEXTS_LABEL, "paws", [1, 0], ["5", "6"], None),
    ("any/train.tsv", "text_a\ttext_b\tlabel\n" + TEXTS_LABEL, "lcqmc", [1, 0], ["1", "2"], None),
    ("LCQMC/train.txt", TEXTS_LABEL, "lcqmc", [1, 0], ["1", "2"], None),
    ("bq/train.tsv", TEXTS_LABEL, "bq", [1, 0], ["1", "2"], None),
    ("bq_corpus/train.csv", QUOTED_LABELS, "bq", [1, 0], ["1", "2"], None),
    ("atec/train.tsv", TEXTS_LABEL, "atec", [1, 0], ["1", "2"], None),
    ("any/atec_nlp_sim_train.csv", "\ufeff" + ID_TEXTS_LABEL, "atec", [1, 0], ["5", "6"], None),
    ("atec/train.jsonl", CLUE, "atec", [1, 0], ["1", "2"], None),
    ("afqmc_public/train.json", CLUE, "afqmc", [1, 0], ["1", "2"], None),
    ("afqmc/dev.tsv", TEXTS_LABEL, "afqmc", [1, 0], ["1", "2"], None),
    (
        "any/x.tsv",
        'source\tscore\tsentence1\tsentence2\nstsb\t1.0\tA plane.\tAn air plane.\nsick\t.25\tHe said "no.\tNothing.\n',
        "graded",
        [1, 0.25],
        ["1", "2"],
        ["stsb", "sick"],
    ),
    (
        "paraphrase/x.tsv",
        'sentence1\tsentence2\nA plane.\tAn air plane.\nHe said "no.\tNothing.\n',
        "paraphrase",
        [1, 1],
        ["1", "2"],
        None,
    ),
    (
        "any/quora_positives.tsv",
        'A plane.\tAn air plane.\nHe said "no.\tNothing.\n',
        "paraphrase",
        [1, 1],
        ["1", "2"],
        None,
    ),
]  # fmt: skip
RANGES = {"stsb": (0, 5), "sick": (1, 5)}
POSITIVE = {"paraphrase"}
GRADED = {"stsb", "sick", "graded"}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("name", "content", "format", "targets", "ids", "sources"), CASES)
def test_each_layout(tmp_path, name, content, format, targets, ids, sources, named, compressed):
    path = tmp_path / "data" / (name + ".gz" * compressed)
    path.parent.mkdir(parents=True)
    written = gzip.compress(content.encode()) if compressed else content.encode()
    path.write_bytes(written)
    data = read_pairs(path, format=format if named else "auto")
    assert data.sentences1 == ["A plane.", 'He said "no.']
    assert data.sentences2 == ["An air plane.", "Nothing."]
    assert data.targets == targets
    assert data.ids == ids
    assert data.sources == sources
    assert data.groups is None
    assert data.kind == ("graded" if format in GRADED else "positive" if format in POSITIVE else "binary")
    assert data.score_range == RANGES.get(format, (0, 1))
    assert data.sha256 == hashlib.sha256(written).hexdigest()
    assert data.name == path.parent.name + "/" + path.name


@pytest.mark.parametrize("header", ["group\tsentence\n", "Group\tSentence\n"])
@pytest.mark.parametrize("format", ["auto", "captions"])
def test_captions_are_paired_around_their_ring(tmp_path, header, format):
    path = tmp_path / "x.tsv"
    path.write_text(
        header + "g1\ta\ng2\tp\ng1\tb\ng3\talone\ng1\tc\ng2\tq\ng1\ta\ng4\ttwice\ng4\ttwice\n", encoding="utf-8"
    )
    data = read_pairs(path, format=format)
    assert list(zip(data.sentences1, data.sentences2, strict=True)) == [("a", "b"), ("b", "c"), ("c", "a"), ("p", "q")]
    assert data.groups == ["g1", "g1", "g1", "g2"]
    assert (data.kind, data.targets, data.ids) == ("positive", [1, 1, 1, 1], ["1", "2", "3", "4"])


def test_synonyms(tmp_path):
    path = tmp_path / "ppdb_synonyms.tsv"
    path.write_text("word1\tword2\nbig\tlarge\n", encoding="utf-8")
    assert read_pairs(path).kind == "positive"


def test_labels_are_never_dropped_for_a_folder_of_paraphrases(tmp_path):
    path = tmp_path / "paraphrase" / "x.tsv"
    path.parent.mkdir()
    path.write_text("sentence1\tsentence2\tlabel\n" + TEXTS_LABEL, encoding="utf-8")
    data = read_pairs(path)
    assert (data.kind, data.targets) == ("binary", [1, 0])


def test_the_name_of_the_file_goes_before_that_of_the_folder(tmp_path):
    path = tmp_path / "stsb" / "lcqmc.tsv"
    path.parent.mkdir()
    path.write_text(TEXTS_LABEL, encoding="utf-8")
    assert read_pairs(path).kind == "binary"


def test_columns_of_other_widths_are_no_layout(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"a": "x"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.jsonl:1: columns \['a'\] are no layout of format 'sick'; allowed: s"):
        read_pairs(path, format="sick")


PUBLISHED = [
    ("en/stsb/train.csv", 5749, "graded", (0, 5)),
    ("en/stsb/dev.csv", 1500, "graded", (0, 5)),
    ("zh/stsb/train.csv", 5749, "graded", (0, 5)),
    ("zh/stsb/dev.csv", 1500, "graded", (0, 5)),
    ("en/sick/SICK_train.txt", 4500, "graded", (1, 5)),
    ("en/sick/SICK_trial.txt", 500, "graded", (1, 5)),
    ("en/msrp/train.tsv", 3576, "binary", (0, 1)),
    ("en/msrp/val.tsv", 500, "binary", (0, 1)),
    ("en/msrp/train_without_stsb_leaks.tsv", 3273, "binary", (0, 1)),
    ("en/qqp/train.tsv.gz", 104_068, "binary", (0, 1)),
    ("en/qqp/dev.tsv", 10_000, "binary", (0, 1)),
    ("en/joint/graded_train.tsv", 16_976, "graded", (0, 1)),
    ("en/paraphrase/quora_positives.tsv.gz", 100_000, "positive", (0, 1)),
    ("en/paraphrase/twitter_url_positives.tsv.gz", 110_000, "positive", (0, 1)),
    ("en/paraphrase/ppdb_synonyms.tsv", 53_809, "positive", (0, 1)),
    ("zh/lcqmc/train.tsv.gz", 238_682, "binary", (0, 1)),
    ("zh/lcqmc/dev.tsv", 8802, "binary", (0, 1)),
    ("zh/bq/train_webank.tsv", 20_019, "binary", (0, 1)),
    ("zh/bq/dev.tsv", 10_000, "binary", (0, 1)),
    ("zh/atec/train.tsv", 24_062, "binary", (0, 1)),
    ("zh/atec/dev.tsv", 20_000, "binary", (0, 1)),
    ("zh/afqmc/train.tsv", 34_334, "binary", (0, 1)),
    ("zh/afqmc/dev.tsv", 4316, "binary", (0, 1)),
]


@pytest.mark.parametrize(("name", "rows", "kind", "score_range"), PUBLISHED)
def test_the_published_files(shared_data, name, rows, kind, score_range):
    data = read_pairs(shared_data / name)
    assert len(data) == rows
    assert (data.kind, data.score_range) == (kind, score_range)
    assert all(score_range[0] <= target <= score_range[1] for target in data.targets)
    assert kind == "positive" or len(set(data.targets)) > 1
    assert all(map(str.strip, data.sentences1))
    assert all(map(str.strip, data.sentences2))


def test_the_joint_file_names_its_sources(shared_data):
    sources = read_pairs(shared_data / "en" / "joint" / "graded_train.tsv").sources
    assert sources is not None
    assert {"stsb", "sick"} < set(sources)


@pytest.mark.parametrize(
    ("name", "captions"), [("en/captions/captions.tsv.gz", 184_061), ("zh/captions/flickr8k_human_zh.tsv.gz", 40_455)]
)
def test_the_published_captions(shared_data, name, captions):
    data = read_pairs(shared_data / name)
    assert data.kind == "positive"
    assert 0.9 * captions < len(data) <= captions
    assert data.groups is not None
