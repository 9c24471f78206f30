"""Learning a teacher's vectors: alone, beside labels, on two processes, stopped and resumed."""

import json
import signal

import pytest
import torch

from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.training import teachers
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config import DistillationConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.distillation import DistillationLoss, similarity_error, teachers_vectors
from simlstm.training.distributed import ALONE, Processes
from simlstm.training.interruption import Interrupted
from simlstm.training.run_data import read_run_data
from simlstm.training.teachers import TeacherCache
from tests.training.conftest import TINY
from tests.training.metrics_log import logged
from tests.training.processes import build_trainer, gradients_of_steps, save_gradients, together, whole_run
from tests.training.test_resume import StopAfter


@pytest.fixture(scope="session")
def teacher(graded, tmp_path_factory):
    """Return a small trained checkpoint, whose vectors are 12 wide."""
    from simlstm.evaluation.evaluate import evaluate_model
    from simlstm.training.config_file import load_config
    from simlstm.training.run import train

    out = tmp_path_factory.mktemp("teacher") / "teacher"
    flags = {"data.train": str(graded[0]), "data.dev": str(graded[1]), **TINY, "training.epochs": 1}
    train(load_config(flags=flags), out, evaluate=evaluate_model)
    return out


@pytest.fixture
def distilled(tiny, graded, teacher, tmp_path):
    """Build the configuration of a run that learns from the teacher, and from other sources where they are given."""

    def build(*others, **settings):
        sources = [{"path": str(graded[0]), "format": "sentences"}, *others]
        defaults = {"distillation__teacher": str(teacher), "distillation__cache": str(tmp_path / "cache")}
        if not any("format" not in source for source in others):
            defaults["model__head_hidden_size"] = None
        return tiny((sources, graded[1]), **{**defaults, **settings})

    return build


def test_the_losses_are_what_their_formulas_say():
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    s, t = (torch.nn.functional.normalize(each, dim=1) for each in (student, teacher))
    values = DistillationLoss(DistillationConfig(cosine_weight=2.0, similarity_weight=3.0))(student, teacher)
    assert values["distillation_cosine"].item() == pytest.approx(1 - sum(float(s[i] @ t[i]) for i in range(5)) / 5)
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    expected = sum(float(s[i] @ s[j] - t[i] @ t[j]) ** 2 for i, j in pairs) / len(pairs)
    assert values["distillation_similarity"].item() == pytest.approx(expected, rel=1e-5)
    parts = 2 * values["distillation_cosine"] + 3 * values["distillation_similarity"]
    torch.testing.assert_close(values["loss"], parts)


def test_a_rotated_teacher_has_the_same_relations_and_one_sentence_has_none():
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    rotation = torch.linalg.qr(torch.randn(4, 4)).Q
    assert similarity_error(vectors @ rotation, vectors).item() == pytest.approx(0, abs=1e-12)
    assert similarity_error(vectors[:1], -vectors[:1]).item() == 0


def test_without_labels_the_cosine_decides_and_is_the_head(distilled, run, tmp_path, teacher):
    result = run(distilled(), tmp_path / "run")
    assert result.metrics["selected_by"] == "cosine_spearman"
    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.config.head == "cosine"
    data = checkpoint.provenance["data"]
    assert data["teacher"]["name"] == "teacher"
    assert data["sentences"][0]["sentences"] > 50


def test_the_student_comes_to_the_teachers_vectors(distilled, run, tmp_path, teacher, graded):
    config = distilled(training__epochs=30, optimizer__learning_rate=0.01, training__log_every=5)
    run(config, tmp_path / "run")
    lines = logged(tmp_path / "run", "train")
    assert lines[-1]["distillation_cosine"] < 0.3 * lines[0]["distillation_cosine"]
    texts = read_run_data(config).sentences[0].sentences
    student, taught = (SimilarityModel.from_pretrained(path).encode(texts) for path in (tmp_path / "run", teacher))
    cosine = torch.nn.functional.cosine_similarity(torch.tensor(student), torch.tensor(taught)).mean()
    assert cosine > 0.8


def test_labels_are_learned_beside_it(distilled, graded, binary, run, tmp_path):
    others = [{"path": str(graded[0])}, {"path": str(binary[0]), "head": "labels"}]
    result = run(distilled(*others, training__log_every=1), tmp_path / "run")
    assert result.metrics["selected_by"] == "spearman"
    names = {name for line in logged(tmp_path / "run", "train") for name in line}
    assert {"kl", "distillation_cosine", "distillation_similarity"} <= names
    assert read_checkpoint(tmp_path / "run").config.head == "mlp"


def test_sentences_are_counted_once_and_pairs_twice(distilled, graded, run, tmp_path):
    config = distilled({"path": str(graded[0])}, training__epochs=1)
    expected = len(read_run_data(config).sentences[0]) + 2 * 96
    assert run(config, tmp_path / "run").metrics["sentences"] == expected


def test_stopped_and_resumed_it_ends_in_the_same_bytes(distilled, graded, run, tmp_path):
    draws = {"model__embedding_dropout": 0.3, "training__accumulation_steps": 2}
    config = distilled({"path": str(graded[0]), "batch_size": 16}, **draws)
    run(config, tmp_path / "whole")  # this one fills the cache, the others find it full
    with pytest.raises(Interrupted):
        run(config, tmp_path / "broken", display=StopAfter(9, signal.SIGTERM))
    run(config, tmp_path / "broken", resume=True)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert files[0] == files[1]


def test_two_processes_have_the_gradients_of_one(distilled, graded, tmp_path):
    config = distilled({"path": str(graded[0])}, training__batch_size=5, training__accumulation_steps=3)
    assert together(save_gradients, [config], tmp_path) == [0, 0]
    for rank in range(2):
        for ours, expected in zip(torch.load(tmp_path / f"{rank}.pt")[0], gradients_of_steps(config), strict=True):
            assert ours.keys() == expected.keys()
            for name, gradient in expected.items():
                torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_two_processes_make_one_cache_and_one_checkpoint(distilled, tmp_path):
    assert together(whole_run, distilled(training__epochs=1), tmp_path / "run") == [0, 0]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["selected_by"] == "cosine_spearman"
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1


class _Listening(Processes):
    """A process that counts how often it would have a word for others."""

    words = 0

    def lead(self, work):
        self.words += 1
        return super().lead(work)


def test_the_others_hear_of_each_shard_and_no_vector_is_there_twice(distilled, graded, teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(teachers, "_TEXTS_OF_A_SHARD", 20)
    data = read_run_data(distilled({"path": str(graded[1]), "format": "sentences"}))
    cache = TeacherCache(teacher, tmp_path / "cache")
    processes = _Listening()
    first, second = teachers_vectors(cache, data.sentences, processes)
    assert processes.words == len(list(cache.folder.glob("*.safetensors"))) + 1 > 3
    assert first.base is second.base is not None
    for vectors, source in zip((first, second), data.sentences, strict=True):
        assert (vectors == cache.vectors(source.taught)).all()


def test_bfloat16_computes_the_losses_in_float32(distilled):
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 12), torch.randn(8, 12)
    loss = DistillationLoss(DistillationConfig())
    exact, rounded = loss(student.bfloat16().float(), teacher), loss(student.bfloat16(), teacher)
    assert {name: (value.dtype, value.item()) for name, value in rounded.items()} == {
        name: (torch.float32, value.item()) for name, value in exact.items()
    }
    trainer = build_trainer(distilled(training__precision="bf16"))
    losses = trainer.batch_losses(trainer.corpus.epoch(0)[0])
    assert {value.dtype for value in losses.values()} == {torch.float32}
    plain = build_trainer(distilled()).batch_losses(trainer.corpus.epoch(0)[0])
    for name, value in losses.items():
        assert value.item() != plain[name].item(), "the products before it are bfloat16"
        torch.testing.assert_close(value, plain[name], rtol=0.05, atol=0.01)


def test_translations_take_the_teachers_vector_of_the_other_language(tiny, graded, teacher, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text(
        "sentence1\tsentence2\na man plays tea\t一个男人\nmy dog eats tea\t小孩 喜欢 茶\n", encoding="utf-8"
    )
    settings = {"distillation__teacher": str(teacher), "distillation__cache": str(tmp_path / "cache")}
    config = tiny(
        ([{"path": str(path), "format": "translations"}], graded[1]), **settings, model__head_hidden_size=None
    )
    data = read_run_data(config)
    assert data.sentences[0].sentences == ["一个男人", "小孩 喜欢 茶"]
    cache = TeacherCache(teacher, tmp_path / "cache")
    (vectors,) = teachers_vectors(cache, data.sentences, ALONE)
    assert (vectors == cache.vectors(["a man plays tea", "my dog eats tea"])).all()
    corpus = build_corpus(config, data, build_start(config, data), [vectors])
    planned = corpus.epoch(0)[0]
    targets = corpus.collate_taught(planned).targets
    torch.testing.assert_close(targets, torch.tensor(vectors[planned.rows]).float())


def test_vectors_of_another_width_are_refused_before_the_first_step(distilled, run, tmp_path):
    config = distilled(model__projection_size=7)
    with pytest.raises(
        ConfigError, match=r"student's vectors have 7 numbers, the teacher's 12; set model\.projection_s"
    ):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run(distilled(model__projection_size=7, distillation__cosine_weight=0.0), tmp_path / "run")


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ({"format": "sentences"}, {}, r"\[distillation\] teacher: missing"),
        ({}, {"distillation__teacher": "x"}, r"\[distillation\] teacher: would have no effect"),
        ({"format": "sentences", "head": "x", "losses": {"kl": 1.0}}, {}, "head, losses would have no effect"),
        ({"losses": {}}, {}, "losses: no loss has a weight"),
        ({}, {"distillation__cosine_weight": 2.0}, r"\[distillation\] cosine_weight would have no effect without"),
        ({"translation": "x.csv"}, {}, "translation would have no effect with format = 'auto'"),
        ({"format": "sentences"}, {"distillation__teacher": "x", "distillation__cosine_weight": 0.0,
                                   "distillation__similarity_weight": 0.0}, "are both 0"),
    ],
)  # fmt: skip
def test_what_would_do_nothing_is_refused(graded, tiny, source, settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny(([{"path": str(graded[0]), **source}], graded[1]), **settings)


def test_a_head_that_nothing_trains_is_refused(distilled, run, tmp_path):
    with pytest.raises(ConfigError, match="would leave the mlp head 'main' untrained"):
        run(distilled(model__head="mlp"), tmp_path / "run")


def test_a_teacher_that_is_not_there_is_named(distilled, run, tmp_path):
    with pytest.raises(ConfigError, match=r"\[distillation\] teacher: nowhere is no folder"):
        run(distilled(distillation__teacher="nowhere"), tmp_path / "run")
