"""Mining: exact neighbours, balanced candidates, negatives of other groups, and no sentence of a dev set."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from scripts.mine import main
from scripts.teaching.candidates import balanced, join, neighbour_pairs, pair_cosines, random_pairs
from scripts.teaching.negatives import hard_negatives, positive_groups
from scripts.teaching.neighbours import nearest
from simlstm.data.formats import read_pairs
from simlstm.models.similarity import SimilarityModel
from tests.scripts.teaching_models import ADJECTIVES, NOUNS, SENTENCES, SYNONYMS, tiny_checkpoint


def _unit_vectors(count, width=5, seed=0):
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 17), st.integers(1, 17))
def test_blocks_find_what_one_matrix_finds(total, count, rows, columns):
    vectors = _unit_vectors(total)
    cosines, neighbours = nearest(vectors, count, rows_at_once=rows, columns_at_once=columns)
    whole = (vectors @ vectors.T).fill_diagonal_(float("-inf"))
    expected = whole.sort(dim=1, descending=True)
    width = min(count, total - 1)
    torch.testing.assert_close(cosines[:, :width], expected.values[:, :width])
    torch.testing.assert_close(whole.gather(1, neighbours[:, :width]), expected.values[:, :width])
    assert torch.isinf(cosines[:, width:]).all()


def test_equal_cosines_stand_in_the_order_of_the_numbers():
    vectors = torch.eye(2)[[0, 1, 0, 0, 1]]
    assert nearest(vectors, 2, columns_at_once=2)[1].tolist() == [[2, 3], [4, 0], [0, 3], [0, 2], [1, 0]]


def test_candidates_are_distinct_unordered_pairs():
    vectors = _unit_vectors(30)
    near = neighbour_pairs(*nearest(vectors, 4))
    drawn = random_pairs(30, 50, seed=1)
    both = join(near, drawn)
    as_sets = {tuple(pair) for pair in both.tolist()}
    assert len(as_sets) == len(both)
    assert all(first < second for first, second in as_sets)
    assert as_sets == {tuple(pair) for pair in [*near.tolist(), *drawn.tolist()]}
    expected = {tuple(sorted((row, int(other)))) for row in range(30)
                for other in (vectors @ vectors[row]).argsort(descending=True)[1:5]}  # fmt: skip
    assert {tuple(pair) for pair in near.tolist()} == expected
    np.testing.assert_allclose(pair_cosines(vectors, both, at_once=7),
                               [float(vectors[a] @ vectors[b]) for a, b in both], atol=1e-6)  # fmt: skip
    assert 40 < len(drawn) <= 50
    assert len(random_pairs(1, 9, seed=0)) == 0


def test_every_range_of_similarity_has_its_share():
    generator = np.random.default_rng(0)
    cosines = np.concatenate([generator.uniform(0, 0.1, 900), generator.uniform(0.5, 0.6, 30), [0.45] * 3, [1.0] * 50])
    cosines = cosines.astype(np.float32)
    chosen = balanced(cosines, 123, bins=10, seed=0)
    assert len(set(chosen)) == 123
    counts = [int(((cosines[chosen] >= low) & (cosines[chosen] < low + 0.1)).sum()) for low in (0, 0.5)]
    assert int((cosines[chosen] == np.float32(0.45)).sum()) == 3
    assert counts[1] == 30
    assert abs(counts[0] - int((cosines[chosen] == 1).sum())) <= 1
    np.testing.assert_array_equal(chosen, balanced(cosines, 123, bins=10, seed=0))
    assert not np.array_equal(chosen, balanced(cosines, 123, bins=10, seed=1))
    assert len(balanced(cosines, 5000, bins=10, seed=0)) == len(cosines)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15))
def test_groups_are_connected_components(pairs):
    groups = positive_groups(10, pairs)
    reach = np.eye(10, dtype=int)
    for first, second in pairs:
        reach[first, second] = reach[second, first] = 1
    reach = np.linalg.matrix_power(reach, 10) > 0
    for first in range(10):
        assert [groups[first] == groups[second] for second in range(10)] == reach[first].tolist()


@pytest.mark.parametrize(("at_most", "margin"), [(0.8, 0.1), (1.0, -2.0)])
def test_negatives_are_near_of_another_group_and_below_the_bounds(at_most, margin):
    vectors = _unit_vectors(60, width=3)
    positives = [(0, 1), (1, 2), (3, 4), (10, 11), (20, 21)]
    groups = positive_groups(60, positives)
    anchors = sorted({row for pair in positives for row in pair})
    cosines = vectors @ vectors.T
    found = {
        tuple(pair) for pair in hard_negatives(vectors, positives, count=3, at_most=at_most, margin=margin).tolist()
    }
    expected = set()
    for anchor in anchors:
        own = min(float(cosines[a, b]) for a, b in positives if anchor in (a, b))
        bound = min(at_most, own - margin)
        others = [row for row in range(60) if groups[row] != groups[anchor] and float(cosines[anchor, row]) <= bound]
        others.sort(key=lambda row, anchor=anchor: -float(cosines[anchor, row]))
        expected |= {tuple(sorted((anchor, row))) for row in others[:3]}
    assert found == expected
    assert found


def _mine(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def mine(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint")

    def run(out, *arguments):
        return _mine("--model", checkpoint, "--cache", tmp_path / "cache", "--out", tmp_path / out, *arguments)

    return run


def test_candidates_come_from_all_files_and_from_no_dev_sentence(mine, tmp_path):
    text, pairs = tmp_path / "text.txt", tmp_path / "pairs.tsv"
    text.write_text("\n".join([*SENTENCES[:20], "", SENTENCES[0].upper()]) + "\n")
    rows = [f"0.5\tx\t{first}\t{second}\n" for first, second in itertools.pairwise(SENTENCES[20:30])]
    pairs.write_text("score\tsource\tsentence1\tsentence2\n" + "".join(rows))
    dev = tmp_path / "dev.tsv"
    dev.write_text(f"score\tsource\tsentence1\tsentence2\n1\tx\t{SENTENCES[3].title()}\t{SENTENCES[25]}\n")
    arguments = ["--input", text, "--input", pairs, "--exclude", dev, "--neighbours", 3, "--random", 200]
    result = mine("all.tsv", *arguments)
    assert result.exit_code == 0, result.output
    mined = read_pairs(tmp_path / "all.tsv", format="graded")
    assert {*mined.sentences1, *mined.sentences2} == set(SENTENCES[:30]) - {SENTENCES[3], SENTENCES[25]}
    model = SimilarityModel.from_pretrained(tmp_path / "checkpoint")
    vectors = [model.encode(side, convert_to_tensor=True) for side in (mined.sentences1, mined.sentences2)]
    np.testing.assert_allclose(mined.targets, torch.cosine_similarity(*vectors).clamp(0, 1), atol=0.02)

    assert mine("known.tsv", *arguments, "--known", pairs).exit_code == 0
    rest = read_pairs(tmp_path / "known.tsv")
    labelled = {frozenset(pair) for pair in read_pairs(pairs).unordered_pairs()}
    before, after = ({frozenset(pair) for pair in data.unordered_pairs()} for data in (mined, rest))
    assert after == before - labelled
    assert before & labelled

    for out in ("some.tsv", "again.tsv"):
        assert mine(out, *arguments, "--pairs", 40).exit_code == 0
    assert len(read_pairs(tmp_path / "some.tsv")) == 40
    assert (tmp_path / "some.tsv").read_bytes() == (tmp_path / "again.tsv").read_bytes()


def test_a_format_is_that_of_the_pairs_and_not_of_a_text(mine, tmp_path):
    text, pairs = tmp_path / "text.txt", tmp_path / "pairs.tsv"
    text.write_text("\n".join(SENTENCES[:4]) + "\n")
    pairs.write_text(f"score\tsource\tsentence1\tsentence2\n0.5\tx\t{SENTENCES[4]}\t{SENTENCES[5]}\n")
    result = mine("all.tsv", "--input", text, "--input", pairs, "--format", "graded", "--exclude", text)
    assert result.exit_code == 0, result.output
    mined = read_pairs(tmp_path / "all.tsv", format="graded")
    assert {*mined.sentences1, *mined.sentences2} == set(SENTENCES[4:6])


def test_hard_negatives_of_a_labelled_set(mine, tmp_path):
    same = [(f"the {a} {noun}", f"the {a} {other}") for a in ADJECTIVES[:3]
            for noun, other in zip(NOUNS, SYNONYMS, strict=True)]  # fmt: skip
    unlike = [(first, same[(row + 1) % len(same)][1]) for row, (first, _) in enumerate(same)]
    source = tmp_path / "lcqmc.tsv"
    source.write_text("text_a\ttext_b\tlabel\n" + "".join(f"{a}\t{b}\t1\n" for a, b in same)
                      + "".join(f"{a}\t{b}\t0\n" for a, b in unlike))  # fmt: skip
    arguments = ["--input", source, "--hard-negatives", "--neighbours", 2, "--margin", -2, "--at-most", 1]
    result = mine("negatives.tsv", *arguments)
    assert result.exit_code == 0, result.output
    mined = read_pairs(tmp_path / "negatives.tsv")
    assert mined.kind == "binary"
    assert set(mined.targets) == {0}
    given = {frozenset(pair) for pair in [*same, *unlike]}
    found = {frozenset(pair) for pair in mined.unordered_pairs()}
    assert len(found) == len(mined) > 0
    assert not found & given
    known = tmp_path / "known.tsv"
    first, second = mined.sentences1[0], mined.sentences2[0]
    known.write_text(f"text_a\ttext_b\tlabel\n{first}\t{second}\t1\n")
    assert mine("fewer.tsv", *arguments, "--known", known).exit_code == 0
    fewer = {frozenset(pair) for pair in read_pairs(tmp_path / "fewer.tsv").unordered_pairs()}
    partners = [{first, second} | {text for pair in same if side in pair for text in pair} for side in (first, second)]
    assert not any(len(pair & (partners[0] | partners[1])) == 2 for pair in fewer), "they are one group now"
    assert mine("whole.tsv", *arguments, "--complete").exit_code == 0
    whole = read_pairs(tmp_path / "whole.tsv")
    assert len(whole) == len(mined) + len(same) + len(unlike)
    assert sum(whole.targets) == len(same)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("score\tsource\tsentence1\tsentence2\n0.5\tx\ta\tb\n", ["--hard-negatives"], "graded scores came"),
        ("text_a\ttext_b\tlabel\na\tb\t0\nc\td\t0\n", ["--hard-negatives"], "no positive pair is left"),
        ("text_a\ttext_b\tlabel\na\tA\t0\n", [], "1 sentences are left; allowed: 2 and more"),
        ("text_a\ttext_b\tlabel\na\tb\t0\n", ["--out", "there.tsv"], "is there already"),
        ("text_a\ttext_b\tlabel\na\tb\t1\n", ["--hard-negatives", "--pairs", 5], "--pairs: came with --hard-negatives"),
        ("text_a\ttext_b\tlabel\na\tb\t1\n", ["--neighbours", 0], "--neighbours: 0 came; allowed: 1 and more"),
    ],
)
def test_mistakes_end_with_one_message_and_no_file(mine, tmp_path, monkeypatch, content, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.tsv").write_text("mine")
    (tmp_path / "source.tsv").write_text(content)
    result = mine("out.tsv", "--input", tmp_path / "source.tsv", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out.tsv").exists()
    assert (tmp_path / "there.tsv").read_text() == "mine"
