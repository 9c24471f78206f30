"""What a run refuses before its first step, and what of the folder it never touches."""

from functools import partial

import pytest

from simlstm.evaluation.evaluate import calibrate_model, evaluate_model
from simlstm.training.config_file import ConfigError
from simlstm.training.folder import RunFolder, RunFolderError
from simlstm.training.run import train
from tests.training.metrics_log import logged


class TestFolder:
    def test_what_is_there_is_not_lost(self, graded, tiny, run, tmp_path):
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        with pytest.raises(RunFolderError, match="there is something in this folder; choose another folder"):
            run(tiny(graded), folder)
        with pytest.raises(RunFolderError, match=r"notes.txt belongs to none"):
            run(tiny(graded), folder, overwrite=True)
        assert (folder / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize("name", ["README.md", "config.json", "tokenizer.json", "metrics.jsonl", "state/mine.txt"])
    def test_resuming_takes_no_file_of_somebody_else(self, graded, tiny, run, tmp_path, name):
        """A resumed run that never began is a fresh start, and needs a folder as free as that."""
        file = tmp_path / "run" / name
        file.parent.mkdir(parents=True)
        file.write_text('{"format": "mine"}')
        with pytest.raises(RunFolderError, match=rf"no run to resume in this folder, and {name} keeps it from"):
            run(tiny(graded), tmp_path / "run", resume=True)
        assert file.read_text() == '{"format": "mine"}'

    def test_another_programs_config_is_no_finished_run(self, graded, tiny, run, tmp_path):
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
        assert not RunFolder(folder).is_finished()
        with pytest.raises(RunFolderError, match=r"config.json belongs to none"):
            run(tiny(graded), folder, overwrite=True)
        assert (folder / "config.json").exists()

    def test_a_run_killed_before_its_first_saving_starts_again_and_spares_the_rest(self, graded, tiny, run, tmp_path):
        folder = tmp_path / "run"
        RunFolder(folder).state.begin({"config": {}}, "{}")
        (folder / "metrics.jsonl").write_text("")
        (folder / "README.md").write_text("mine")
        RunFolder(folder).clear(resume=True)
        assert [entry.name for entry in folder.iterdir()] == ["README.md"]

    def test_an_empty_folder_is_free(self, graded, tiny, run, tmp_path):
        (tmp_path / "run").mkdir()
        run(tiny(graded, training__epochs=1), tmp_path / "run")

    def test_a_file_is_no_folder(self, graded, tiny, run, tmp_path):
        (tmp_path / "run").write_text("x")
        with pytest.raises(RunFolderError, match="a file is there"):
            run(tiny(graded), tmp_path / "run")

    def test_a_finished_run_is_neither_repeated_nor_replaced_by_accident(self, graded, tiny, run, tmp_path):
        folder = tmp_path / "run"
        run(tiny(graded, training__epochs=1), folder)
        before = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
        with pytest.raises(RunFolderError, match="a finished run in this folder"):
            run(tiny(graded, training__epochs=1), folder)
        assert run(tiny(graded, training__epochs=1), folder, resume=True).was_finished
        assert {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()} == before
        run(tiny(graded, training__epochs=1, training__seed=9), folder, overwrite=True)
        assert (folder / "model.safetensors").read_bytes() != before["model.safetensors"]
        assert len({line["step"] for line in logged(folder, "dev")}) == len(logged(folder, "dev"))

    def test_a_wrong_configuration_does_not_cost_the_old_run(self, graded, tiny, run, tmp_path):
        folder = tmp_path / "run"
        run(tiny(graded, training__epochs=1), folder)
        before = (folder / "model.safetensors").read_bytes()
        with pytest.raises(ConfigError):
            run(tiny(graded, loss__weights__contrastive=1.0), folder, overwrite=True)
        assert (folder / "model.safetensors").read_bytes() == before

    def test_resume_and_overwrite_exclude_each_other(self, graded, tiny, run, tmp_path):
        with pytest.raises(RunFolderError, match="give one of them"):
            run(tiny(graded), tmp_path / "run", resume=True, overwrite=True)


@pytest.mark.parametrize("device", ["cuda:99", "quantum"])
def test_a_device_that_is_not_there_is_named(graded, tiny, run, tmp_path, device):
    with pytest.raises(ConfigError, match=rf"\[training\] device: got '{device}'"):
        run(tiny(graded, training__device=device), tmp_path / "run")


def test_a_metric_that_dev_does_not_have_is_refused(graded, tiny, run, tmp_path):
    with pytest.raises(ConfigError, match=r"metric: got 'roc_auc'; measured on dev: cosine_pearson, cosine_spearman"):
        run(tiny(graded, training__metric="roc_auc"), tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training__metric": "roc_auc"}, r"\[training\] metric: got 'roc_auc'"),
        ({"calibration__method": "isotonic"}, r"\[calibration\] on dev .*isotonic needs 1000 pairs"),
        ({"calibration__positive_from": 0.001}, r"\[calibration\] on dev .*both sides of positive_from"),
    ],
)
def test_what_dev_does_not_allow_fails_before_the_first_step(graded, tiny, tmp_path, settings, message):
    if "calibration__positive_from" in settings:
        dev = tmp_path / "dev.csv"
        dev.write_text("sentence1,sentence2,score\na,b,0.5\nc,d,0.75\n")
        graded = (graded[0], dev)
    config = tiny(graded, **settings)
    fit = partial(calibrate_model, **config.calibration.model_dump())
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", evaluate=evaluate_model, calibrate=fit)
    assert not (tmp_path / "run").exists()
