"""Joint training: heads of several names on one encoder, and losses of a source's own."""

import json
import re
import signal

import pytest
import torch

from simlstm.data.batching import collate_pairs
from simlstm.evaluation.metrics import spearman
from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config_file import ConfigError
from simlstm.training.interruption import Interrupted
from simlstm.training.joint import JointModel, build_tasks, served
from simlstm.training.run_data import read_run_data
from tests.training.metrics_log import logged
from tests.training.processes import gradients_of_steps, save_gradients, together
from tests.training.test_resume import StopAfter

DRAWS = {"model__embedding_dropout": 0.3, "model__head_dropout": 0.2, "training__accumulation_steps": 2}


@pytest.fixture
def sources(graded, binary, paraphrases):
    """Graded scores and labels with a head each, and paraphrases that train no head."""
    return [
        {"path": str(graded[0]), "head": "graded"},
        {"path": str(binary[0]), "head": "labels", "losses": {"bce": 1.0}},
        {**paraphrases, "losses": {"multiple_negatives": 0.5}},
    ]


@pytest.fixture
def joint(tiny, sources, graded):
    """Build the configuration of a joint run that dev's graded scores decide."""

    def build(**settings):
        return tiny((sources, {"path": str(graded[1]), "head": "graded"}), **settings)

    return build


def _start(config):
    return build_start(config, read_run_data(config))


def test_each_head_has_the_classes_of_its_data_and_starts_beside_devs(joint, tiny, graded):
    start = _start(joint())
    assert isinstance(start.model, JointModel)
    assert start.config.classes == start.model.head.layers[-1].out_features == 5
    assert {name: head.layers[-1].out_features for name, head in start.model.others.items()} == {"head-labels": 2}
    assert served(start.model).state_dict().keys() == _start(tiny(graded)).model.state_dict().keys()


def test_a_head_scores_its_own_pairs(joint):
    model = _start(joint()).model.eval()
    batch = collate_pairs([[1], [2]], [[3], [4]], [0.0, 1.0])
    own, other = model(batch.tokens), model(batch.tokens, head="labels")
    assert torch.equal(own.embeddings1, other.embeddings1)
    assert (own.class_log_probabilities.shape, other.class_log_probabilities.shape) == ((2, 5), (2, 2))
    assert torch.equal(served(model)(batch.tokens).score, own.score)


def test_a_source_trains_its_head_with_its_losses_and_no_other_head(joint):
    config = joint(optimizer__max_gradient_norm=0.0)
    plan = build_corpus(config, data := read_run_data(config), build_start(config, data)).epoch(0)
    heads = {0: {"head"}, 1: {"others"}, 2: set()}
    steps = gradients_of_steps(config)
    assert len(steps) == len(plan)
    for planned, gradients in zip(plan, steps, strict=True):
        assert {name.partition(".")[0] for name in gradients} - {"encoder"} == heads[planned.source]


def test_the_saved_checkpoint_holds_devs_head_alone_and_the_log_all_losses(joint, run, tmp_path):
    run(joint(training__log_every=1), tmp_path / "run")
    state = read_checkpoint(tmp_path / "run").state
    assert {name.partition(".")[0] for name in state} == {"encoder", "head"}
    assert {name for line in logged(tmp_path / "run", "train") for name in line} >= {"kl", "bce", "multiple_negatives"}


def test_the_head_that_is_saved_is_the_one_that_was_trained(joint, run, tmp_path):
    """An mlp head that stayed at its random start would not tell dev's pairs apart."""
    config = joint(training__epochs=20, training__ema_decay=0.9, optimizer__learning_rate=0.01)
    dev = run(config, tmp_path / "run").metrics["dev"]
    assert dev["spearman"] > 0.6


def test_stopped_and_resumed_it_ends_in_the_same_bytes(joint, run, tmp_path):
    config = joint(**DRAWS)
    run(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "broken", display=StopAfter(9, signal.SIGTERM))
    run(config, tmp_path / "broken", resume=True)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert files[0] == files[1]


def test_two_processes_have_the_gradients_of_one(joint, tmp_path):
    config = joint(training__batch_size=5, training__accumulation_steps=2)
    assert together(save_gradients, [config], tmp_path) == [0, 0]
    for rank in range(2):
        for ours, expected in zip(torch.load(tmp_path / f"{rank}.pt")[0], gradients_of_steps(config), strict=True):
            assert ours.keys() == expected.keys()
            for name, gradient in expected.items():
                torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_one_head_of_any_name_is_the_run_without_names(graded, tiny, run, tmp_path):
    named = ([{"path": str(graded[0]), "head": "x"}], {"path": str(graded[1]), "head": "x"})
    run(tiny(graded), tmp_path / "plain")
    run(tiny(named), tmp_path / "named")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "named")]
    assert files[0] == files[1]


def test_heads_without_weights_are_one(joint):
    config = joint(model__head="manhattan", loss__weights__mse=1.0)
    data = read_run_data(config)
    assert not isinstance(build_start(config, data).model, JointModel)


def test_a_source_has_batches_of_its_own_size(graded, tiny):
    sources = [{"path": str(graded[0]), "batch_size": 32}, str(graded[0])]
    config = tiny((sources, graded[1]))
    data = read_run_data(config)
    sizes = [
        (batch.source, len(batch.rows)) for batch in build_corpus(config, data, build_start(config, data)).epoch(0)
    ]
    assert sorted(sizes) == [(0, 32)] * 3 + [(1, 8)] * 12


def _refusal(config):
    data = read_run_data(config)
    with pytest.raises(ConfigError) as caught:
        build_tasks(config, head=build_start(config, data).config.head, kinds=data.kinds)
    return str(caught.value)


def test_what_would_train_nothing_is_refused(graded, binary, paraphrases, tiny):
    first, labels = str(graded[0]), str(binary[0])
    dev = str(graded[1])
    mixed = [{"path": first, "head": "a"}, {"path": labels, "head": "a"}, {"path": first, "head": "b"}]
    assert "head 'a' is trained by binary and graded data" in _refusal(tiny((mixed, {"path": dev, "head": "b"})))
    two = [{"path": first, "head": "a"}, {"path": first, "head": "b"}]
    message = _refusal(tiny((two, dev)))
    assert "dev: head = 'main', which no training source trains; allowed: a, b" in message
    named = [first, {**paraphrases, "head": "a"}]
    assert "paraphrases train no head" in _refusal(tiny((named, dev)))
    ranked = [first, {"path": labels, "head": "b", "losses": {"contrastive": 1.0}}]
    assert "would leave the mlp head 'b' untrained" in _refusal(tiny((ranked, dev)))
    wrong = [{"path": first, "losses": {"contrastive": 1.0}}]
    assert re.search(r"losses of \S+: \[loss\] contrastive: needs binary data", _refusal(tiny((wrong, dev))))
    own = [{"path": first, "losses": {"kl": 1.0}}]
    assert "weights: would have no effect" in _refusal(tiny((own, dev), loss__weights__mse=1.0))
    ranks_only = [{**paraphrases, "losses": {"multiple_negatives": 1.0}}]
    assert "would leave the mlp head 'main' untrained" in _refusal(tiny((ranks_only, dev)))


@pytest.fixture
def mixture(tmp_path):
    path = tmp_path / "graded.tsv"
    rows = [f"{name}\t0.{i}\tone {i}\ttwo {i}" for i in range(10) for name in ("stsb", "sick", "sts12")]
    path.write_text("source\tscore\tsentence1\tsentence2\n" + "\n".join(rows), encoding="utf-8")
    return str(path)


def test_the_rows_of_some_sources_are_kept(mixture, graded, tiny):
    chosen = [{"path": mixture, "sources": ["sick", "stsb"]}, {"path": mixture, "sources": ["sts12"], "head": "b"}]
    data = read_run_data(tiny((chosen, graded[1])))
    assert [len(source) for source in data.train] == [20, 10]
    assert set(data.train[0].sources) == {"sick", "stsb"}
    assert data.train[0].name.endswith("graded.tsv (sick, stsb)")


def test_a_source_that_is_not_there_is_refused_with_those_that_are(mixture, graded, tiny):
    with pytest.raises(ConfigError, match=r"sources: mrpc came; allowed: sick, sts12, stsb"):
        read_run_data(tiny(([{"path": mixture, "sources": ["mrpc", "sick"]}], graded[1])))
    with pytest.raises(ConfigError, match=r"sources: a came; allowed: nothing, as the file has no column of sources"):
        read_run_data(tiny(([{"path": str(graded[0]), "sources": ["a"]}], graded[1])))


def test_the_metrics_are_of_devs_head(joint, run, tmp_path, sources, graded, tiny):
    """The head of labels, which has two classes, scores the same pairs otherwise."""
    config = joint()
    run(config, tmp_path / "run")
    measured = json.loads((tmp_path / "run" / "metrics.json").read_text())["dev"]["spearman"]
    dev = read_run_data(config).dev
    model = SimilarityModel.from_pretrained(tmp_path / "run", dtype="float32")
    assert measured == pytest.approx(spearman(model.score(dev.sentences1, dev.sentences2), dev.targets), abs=1e-4)
    run(tiny((sources, {"path": str(graded[1]), "head": "labels"})), tmp_path / "other")
    other = json.loads((tmp_path / "other" / "metrics.json").read_text())["dev"]["spearman"]
    assert abs(measured - other) > 1e-3
