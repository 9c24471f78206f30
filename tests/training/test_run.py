"""Whole runs of tiny models."""

import json
import logging
import sys

import pytest
import torch

from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.training.corpus import Corpus
from simlstm.training.loop import DivergedError
from simlstm.training.run import train
from simlstm.training.schedule import learning_rate_factor
from tests.training.metrics_log import logged


def test_it_can_learn_a_training_set_by_heart(graded, tiny, run, tmp_path):
    config = tiny(
        (graded[0], graded[0]),
        model__embedding_size=24, model__hidden_size=24, model__head_hidden_size=32,
        training__epochs=40, training__batch_size=16, training__ema_decay=0.9,
        training__evaluations_per_epoch=1, optimizer__learning_rate=0.02,
    )  # fmt: skip
    result = run(config, tmp_path / "run")
    assert result.metrics["dev"]["pearson"] > 0.97
    assert result.metrics["dev"]["mse"] < 0.01


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_best_checkpoint_is_kept_and_measures_the_same_after_reloading(graded, tiny, run, tmp_path, ema):
    # The rate is far too high at first, so that the best epoch is not the last one.
    config = tiny(graded, training__epochs=5, training__ema_decay=ema, optimizer__learning_rate=0.05,
                  optimizer__schedule="constant")  # fmt: skip
    result = run(config, tmp_path / "run")
    history = [line["spearman"] for line in logged(tmp_path / "run", "dev")]
    assert len(history) == 5
    assert result.metrics["best_epoch"] == history.index(max(history)) + 1
    model = SimilarityModel.from_pretrained(tmp_path / "run")
    model.calibration = None
    dev = read_pairs(graded[1])
    assert evaluate_model(model, dev)["spearman"] == max(history)
    stored = {name: result.metrics["dev"][name] for name in evaluate_model(model, dev)}
    assert stored == evaluate_model(model, dev)


def test_the_averaged_weights_are_what_is_measured_and_saved(graded, tiny, run, tmp_path):
    run(tiny(graded, training__epochs=1, training__ema_decay=0.0), tmp_path / "plain")
    run(tiny(graded, training__epochs=1, training__ema_decay=0.9), tmp_path / "averaged")
    plain, averaged = (read_checkpoint(tmp_path / name).state for name in ("plain", "averaged"))
    assert not torch.equal(plain["encoder.embedding.weight"], averaged["encoder.embedding.weight"])


def test_a_run_is_repeatable_and_the_seed_matters(graded, tiny, run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tiny(graded, training__seed=seed, model__embedding_dropout=0.2), tmp_path / name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_what_the_folder_says(graded, tiny, run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", "bin/simlstm", "train", "--out", "a b"])
    run(tiny(graded, training__seed=3, training__tensorboard=True, training__log_every=4), folder)
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "README.md", "calibration.json", "config.json", "metrics.json", "metrics.jsonl", "model.safetensors",
        "tensorboard", "tokenizer.json",
    ]  # fmt: skip
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["selected_by"] == "spearman"
    assert metrics["steps"] == 24
    assert metrics["sentences"] == 2 * 96 * 2
    assert metrics["sentences_per_second"] > 0
    dev = read_pairs(graded[1])
    assert metrics["calibration_and_threshold_fitted_on"] == {"name": dev.name, "rows": 40, "sha256": dev.sha256}
    provenance = json.loads((folder / "config.json").read_text())["provenance"]
    assert provenance["seed"] == 3
    assert provenance["data"]["train"][0]["sha256"] == read_pairs(graded[0]).sha256
    assert provenance["data"]["dev"]["pairs"] == 40
    assert provenance["config"]["training"]["seed"] == 3
    assert provenance["versions"]["torch"] == torch.__version__
    assert provenance["command"] == "bin/simlstm train --out 'a b'"
    assert [line["step"] for line in logged(folder, "train")] == [4, 8, 12, 16, 20, 24]
    assert {"loss", "kl", "gradient_norm", "learning_rate_embedding"} <= logged(folder, "train")[0].keys()
    first, second = (line["train_seconds"] for line in logged(folder, "dev"))
    assert 0 < first < second <= metrics["train_seconds"]


def test_one_log_line_per_evaluation_without_a_terminal(graded, tiny, run, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="simlstm.training.display"):
        run(tiny(graded, training__evaluations_per_epoch=2), tmp_path / "run")
    lines = [record.getMessage() for record in caplog.records if record.name == "simlstm.training.display"]
    assert len(lines) == 4
    assert "epoch 1, step 6: dev spearman" in lines[0]
    assert "sentences/s" in lines[0]


def test_a_bar_on_a_terminal(graded, tiny, run, tmp_path):
    import io

    from rich.console import Console

    from simlstm.training.display import Display

    text = io.StringIO()
    run(
        tiny(graded),
        tmp_path / "run",
        display=Display(Console(file=text, force_terminal=True, color_system=None, width=120)),
    )
    assert "epoch 2, step 24: dev spearman" in text.getvalue()
    assert "24/24" in text.getvalue()
    assert "sentences/s" in text.getvalue()


def test_it_stops_early_when_dev_gets_no_better(graded, tiny, tmp_path):
    values = iter([0.0, 0.1, 0.5, 0.4, 0.5, 0.3, 0.9])  # the first is the untrained model's
    config = tiny(graded, training__epochs=6, training__patience=3)
    result = train(config, tmp_path / "run", evaluate=lambda model, data: {"spearman": next(values)})
    assert (result.metrics["stopped_early"], result.metrics["steps"], result.metrics["best_epoch"]) == (True, 60, 2)


def test_a_smaller_error_is_better(graded, tiny, tmp_path):
    values = iter([0.0, 0.3, 0.1, 0.2, 0.1])  # the first is the untrained model's
    config = tiny(graded, training__epochs=3, training__metric="mse")
    result = train(config, tmp_path / "run", evaluate=lambda model, data: {"mse": next(values)})
    assert result.metrics["best_epoch"] == 2


def test_labels_select_by_area_and_store_a_threshold(binary, tiny, run, tmp_path):
    result = run(tiny(binary, loss__weights__kl=1.0, loss__weights__contrastive=0.2), tmp_path / "run")
    assert result.metrics["selected_by"] == "roc_auc"
    assert "accuracy" not in result.metrics["dev"]  # the threshold was fitted on dev
    assert SimilarityModel.from_pretrained(tmp_path / "run").threshold is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"model__head": "cosine", "loss__weights__cosent": 1.0, "loss__weights__mse": 0.5},
        {"model__head": "manhattan", "loss__weights__bce": 1.0},
        {"loss__weights__kl": 1.0, "model__num_layers": 2, "model__dropout": 0.2, "model__pooling": "attention"},
        {"training__precision": "bf16"},
        {"embedding__frozen": True, "training__accumulation_steps": 3},
        {"tokenizer__kind": "character", "optimizer__max_gradient_norm": 0.0, "calibration__method": "none"},
    ],
)
def test_settings_of_all_kinds_train(graded, tiny, run, tmp_path, settings):
    result = run(tiny(graded, training__epochs=1, **settings), tmp_path / "run")
    steps = 4 if "training__accumulation_steps" in settings else 12
    assert result.metrics["steps"] == steps
    assert result.metrics["sentences"] == 2 * 96  # every row once, however the batches make steps
    SimilarityModel.from_pretrained(tmp_path / "run").score(["a man"], ["a woman"])


def test_several_kinds_of_sources_train_together(graded, binary, paraphrases, tiny, run, tmp_path):
    sources = [str(graded[0]), {"path": str(binary[0]), "weight": 0.5}, {**paraphrases, "weight": 2.0}]
    config = tiny((sources, graded[1]), loss__weights__kl=1.0, loss__weights__multiple_negatives=0.1,
                  training__log_every=1)  # fmt: skip
    result = run(config, tmp_path / "run")
    assert result.metrics["steps"] == 2 * (12 + 6 + 4)
    terms = [frozenset(line) & {"kl", "multiple_negatives"} for line in logged(tmp_path / "run", "train")]
    assert {frozenset({"kl"}), frozenset({"multiple_negatives"})} <= set(terms)


def test_accumulated_batches_make_the_gradient_of_their_mean(graded, tiny, tmp_path):
    """Two batches in one step move the weights as the mean of their losses does."""
    from simlstm.training.build import build_start
    from simlstm.training.display import Display
    from simlstm.training.joint import PairTask
    from simlstm.training.journal import Journal
    from simlstm.training.loop import Trainer
    from simlstm.training.objective import Objective
    from simlstm.training.run_data import read_run_data
    from simlstm.training.state import StateFolder

    config = tiny(graded, training__accumulation_steps=2, optimizer__max_gradient_norm=0.0)
    data = read_run_data(config)
    start, twin = build_start(config, data), build_start(config, data)
    corpus = Corpus(data.train, [1.0], start.tokenizer, max_tokens=50, batch_size=8, seed=0)
    objective = Objective(config.loss, head="mlp", kinds=["graded"])
    plan = corpus.epoch(0)[:2]
    losses = []
    for planned in plan:
        batch, kind = corpus.collate(planned)
        losses.append(objective(twin.model(batch.tokens), batch.targets, None, kind)["loss"])
    (sum(losses) / 2).backward()
    with Journal(tmp_path, tensorboard=False) as journal:
        trainer = Trainer(
            config, model=start.model, corpus=corpus, tasks=[PairTask(objective)], measure=lambda model: {}, metric="x",
            state=StateFolder(tmp_path / "state"), journal=journal, display=Display(),
        )  # fmt: skip
        seen = {}
        trainer.optimizer.register_step_pre_hook(
            lambda *_: seen.update({name: p.grad.clone() for name, p in start.model.named_parameters()})
        )
        trainer._step(plan)
    assert trainer.progress.sentences == 32
    for name, parameter in twin.model.named_parameters():
        assert torch.allclose(seen[name], parameter.grad, rtol=1e-5, atol=1e-7), name


def test_a_loss_that_explodes_ends_the_run_and_names_the_step(graded, tiny, run, tmp_path):
    config = tiny(graded, model__head="manhattan", loss__weights__mse=1e38, training__log_every=1)
    with pytest.raises(DivergedError, match=r"no longer finite at step \d+: try a lower optimizer.learning_rate"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_every_row_is_trained_on_once_an_epoch_however_batches_make_steps(graded, tiny, run, tmp_path, monkeypatch):
    seen = []
    collate = Corpus.collate

    def watched(self, batch):
        seen.append(batch.rows)
        return collate(self, batch)

    monkeypatch.setattr(Corpus, "collate", watched)
    run(tiny(graded, training__accumulation_steps=5), tmp_path / "run")
    for epoch in (seen[:12], seen[12:]):
        assert sorted(row for rows in epoch for row in rows) == list(range(96))
    assert seen[:12] != seen[12:]


def test_clipping_can_be_switched_off(graded, tiny, run, tmp_path):
    for name, norm in (("off", 0.0), ("loose", 1e9), ("tight", 1e-9)):
        # An epsilon above the gradients keeps AdamW from undoing the clipping.
        run(tiny(graded, training__epochs=1, training__log_every=4, optimizer__max_gradient_norm=norm,
                 optimizer__epsilon=1.0), tmp_path / name)  # fmt: skip
    off, loose, tight = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("off", "loose", "tight"))
    assert off == loose != tight
    assert "gradient_norm" not in logged(tmp_path / "off", "train")[0]


def test_the_rates_follow_the_schedule(graded, tiny, run, tmp_path):
    config = tiny(graded, training__log_every=1, optimizer__learning_rate=0.01, optimizer__warmup_fraction=0.25,
                  embedding__learning_rate_scale=0.5, optimizer__head_learning_rate_scale=2.0)  # fmt: skip
    run(config, tmp_path / "run")
    lines = logged(tmp_path / "run", "train")
    factors = [learning_rate_factor(step, total_steps=24, warmup_fraction=0.25, kind="cosine") for step in range(24)]
    for name, scale in (("recurrent", 1), ("embedding", 0.5), ("head", 2)):
        expected = [0.01 * scale * factor for factor in factors]
        assert [line[f"learning_rate_{name}"] for line in lines] == pytest.approx(expected)
