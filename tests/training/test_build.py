"""What a run starts from: tokenizer, table, architecture, another checkpoint."""

import pytest
import safetensors.torch
import torch

from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.build import build_start
from simlstm.training.config_file import ConfigError, load_config
from simlstm.training.run import train
from simlstm.training.run_data import read_run_data, read_source


def _start(config):
    return build_start(config, read_run_data(config))


def _vectors(folder, words=("apple", "zebra", "man"), size=5):
    path = folder / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(str(float(i + 1)) for i in range(size))}\n" for word in words))
    return path


def test_data_decides_what_the_configuration_does_not(graded, binary, tiny):
    start = _start(tiny(graded, model__max_tokens=5))
    assert (start.config.kind, start.config.score_range, start.config.classes) == ("graded", (0.0, 1.0), 5)
    assert start.config.vocabulary_size == start.tokenizer.vocabulary_size
    assert start.config.max_tokens == 5
    other = _start(tiny(binary))
    assert (other.config.kind, other.config.classes) == ("binary", 2)
    assert _start(tiny(binary, model__classes=3)).config.classes == 3


def test_the_seed_decides_the_first_weights(graded, tiny):
    first, again, other = (_start(tiny(graded, training__seed=seed)).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.embedding.weight"], other["encoder.embedding.weight"])


def test_the_tokenizer_knows_no_word_of_dev(graded, tiny, tmp_path):
    dev = tmp_path / "dev.csv"
    dev.write_text("sentence1,sentence2,score\nzygote,yurt,0.5\n")
    assert "zygote" not in _start(tiny((graded[0], dev))).tokenizer.vocabulary()


def test_vectors_fill_the_table_and_extend_the_vocabulary(graded, tiny, tmp_path):
    config = tiny(graded, embedding__vectors=str(_vectors(tmp_path)), model__embedding_size=None)
    start = _start(config)
    assert start.config.embedding_size == 5
    vocabulary = start.tokenizer.vocabulary()
    table = start.model.encoder.embedding.weight
    for word in ("apple", "zebra"):  # the second is in no training sentence
        assert table[vocabulary[word]].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert 0 < start.notes["vectors_cover"] < 1
    narrow = tiny(
        graded,
        embedding__vectors=str(_vectors(tmp_path)),
        model__embedding_size=None,
        embedding__extend_vocabulary=False,
    )
    assert "zebra" not in _start(narrow).tokenizer.vocabulary()


def test_a_token_table_brings_its_tokenizer_and_width(graded, tiny, tmp_path):
    tokenizer = Tokenizer.train(["a man plays the guitar"])
    table = torch.randn(tokenizer.vocabulary_size, 7)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json())
    safetensors.torch.save_file({"embeddings.word_embeddings.weight": table}, tmp_path / "model.safetensors")
    settings = {"embedding__token_table": str(tmp_path), "model__embedding_size": None}
    start = _start(tiny(graded, **settings))
    assert start.tokenizer.vocabulary() == tokenizer.vocabulary()
    assert torch.equal(start.model.encoder.embedding.weight, table)
    with pytest.raises(ConfigError, match=r"\[tokenizer\]: the tokenizer comes with embedding.token_table"):
        _start(tiny(graded, **settings, tokenizer__kind="character"))


def test_the_table_can_be_rescaled_and_frozen(graded, tiny):
    start = _start(tiny(graded, embedding__standard_deviation=0.3, embedding__frozen=True))
    weight = start.model.encoder.embedding.weight
    assert weight.std().item() == pytest.approx(0.3, rel=1e-5)
    assert not weight.requires_grad


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model__dropout": 0.5}, r"\[model\]: dropout=0.5 acts between recurrent layers and there is one layer"),
        ({"model__head": "cosine", "model__classes": 3}, r"\[model\]: classes=3 belongs to head='mlp'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(graded, tiny, settings, message):
    with pytest.raises(ConfigError, match=message):
        _start(tiny(graded, **settings))


def test_words_without_a_vector_start_from_n_grams_where_that_is_asked_for(graded, tiny, tmp_path):
    file = str(_vectors(tmp_path, words=("apples", "snapple")))
    settings = {"embedding__vectors": file, "model__embedding_size": None}
    random, guessed = (_start(tiny(graded, **settings, embedding__unknown=unknown)) for unknown in ("random", "ngrams"))
    row = random.tokenizer.vocabulary()["apple"]
    assert "guitar" in random.tokenizer.vocabulary()
    tables = [start.model.encoder.embedding.weight for start in (random, guessed)]
    assert tables[1][row].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]  # what both words say
    assert tables[0][row].tolist() != [1.0, 2.0, 3.0, 4.0, 5.0]
    other = random.tokenizer.vocabulary()["guitar"]
    assert torch.equal(tables[0][other], tables[1][other])
    with pytest.raises(ConfigError, match=r"unknown: 'ngrams' are of words, and tokenizer.kind is 'character'"):
        _start(tiny(graded, **settings, embedding__unknown="ngrams", tokenizer__kind="character"))
    with pytest.raises(ConfigError, match="unknown = 'ngrams' has no effect without vectors"):
        tiny(graded, embedding__unknown="ngrams")


def test_an_embedding_size_that_the_vectors_do_not_have_is_refused(graded, tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"embedding_size: got 8; the pretrained vectors have 5"):
        _start(tiny(graded, embedding__vectors=str(_vectors(tmp_path))))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, graded, tiny_settings):

    folder = tmp_path_factory.mktemp("initial") / "run"
    config = load_config(flags={**tiny_settings, "data.train": [str(graded[0])], "data.dev": str(graded[1])})
    train(config, folder, evaluate=lambda model, data: {"spearman": 0.5})
    return folder


class TestInitialCheckpoint:
    def _config(self, tiny, files, checkpoint, **settings):
        shape = {"model__embedding_size": None, "model__hidden_size": None, "model__head_hidden_size": None}
        return tiny(files, training__initial_checkpoint=str(checkpoint), **{**shape, **settings})

    def test_weights_and_tokenizer_are_taken_over(self, checkpoint, graded, tiny):
        start = _start(self._config(tiny, graded, checkpoint, model__embedding_dropout=0.5))
        saved = read_checkpoint(checkpoint)
        state = start.model.state_dict()
        assert all(torch.equal(state[name], saved.state[name]) for name in state)
        assert start.tokenizer.to_json() == saved.tokenizer.to_json()
        assert start.config.embedding_dropout == 0.5
        assert start.notes["fresh_weights"] == []

    @pytest.mark.parametrize(
        "settings", [{"model__classes": 2}, {"model__head": "cosine"}, {"model__head_hidden_size": 3}]
    )
    def test_a_head_of_another_form_starts_fresh(self, checkpoint, graded, tiny, settings):
        start = _start(self._config(tiny, graded, checkpoint, **settings))
        saved = read_checkpoint(checkpoint).state
        state = start.model.state_dict()
        assert torch.equal(state["encoder.embedding.weight"], saved["encoder.embedding.weight"])
        assert start.notes["fresh_weights"] == sorted(name for name in state if name.startswith("head."))

    @pytest.mark.parametrize("head", ["cosine", "manhattan"])
    def test_a_head_of_classes_after_one_without_takes_as_many_as_the_data_have(
        self, graded, binary, tiny, tmp_path, head
    ):
        config = tiny(graded, model__head=head, training__epochs=1)
        train(config, tmp_path / "run", evaluate=lambda model, data: {"spearman": 0.5})
        for files, classes in ((binary, 2), (graded, 5)):
            start = _start(self._config(tiny, files, tmp_path / "run", model__head="mlp"))
            assert (start.config.head, start.config.classes) == ("mlp", classes)
        start = _start(self._config(tiny, binary, tmp_path / "run", model__head="mlp", model__classes=3))
        assert start.config.classes == 3

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"model__hidden_size": 7}, r"\[model\] hidden_size: got 7; .* has 6, and its weights keep their form"),
            ({"tokenizer__kind": "character"}, r"\[tokenizer\] kind: comes with training.initial_checkpoint"),
            ({"embedding__vectors": "x.txt"}, r"\[embedding\] vectors: comes with training.initial_checkpoint"),
        ],
    )
    def test_what_the_weights_decide_cannot_be_set(self, checkpoint, graded, tiny, settings, message):
        with pytest.raises(ConfigError, match=message):
            _start(self._config(tiny, graded, checkpoint, **settings))


class TestRunData:
    def test_dev_is_set_aside_by_sentence(self, graded, tiny):
        config = tiny(graded).model_copy()
        data = read_run_data(
            config.model_copy(update={"data": config.data.model_copy(update={"dev": None, "dev_fraction": 0.3})})
        )
        assert len(data.train[0]) + len(data.dev) == 96
        assert not set(data.train[0].sentences1) & set(data.dev.sentences1)

    def test_no_pair_of_a_dev_set_aside_is_trained_on_in_either_order(self, tiny, tmp_path, caplog):
        rows = [(f"s{i}", f"s{j}") for i in range(12) for j in range(12) if i != j]
        labelled, positive = tmp_path / "labelled.csv", tmp_path / "positive.jsonl"
        labelled.write_text("sentence1,sentence2,score\n" + "".join(f"{a},{b},0.5\n" for a, b in rows))
        positive.write_text("".join(f'{{"sentence1": "{a}", "sentence2": "{b}"}}\n' for a, b in rows))
        columns = {"sentence1": "sentence1", "sentence2": "sentence2"}
        sources = [str(labelled), {"path": str(positive), "format": "jsonl", "columns": columns}]
        config = tiny((sources, "x"))
        section = config.data.model_copy(update={"dev": None, "dev_fraction": 0.3})
        with caplog.at_level("INFO", logger="simlstm.training.run_data"):
            data = read_run_data(config.model_copy(update={"data": section}))
        held_out = {frozenset(pair) for pair in data.dev.unordered_pairs()}
        assert len(data.dev)
        for part in data.train:
            assert len(part)
            assert held_out.isdisjoint(frozenset(pair) for pair in part.unordered_pairs())
        # Of the labelled rows, those went whose reverse is in dev; of the paraphrases, both orders.
        both = sum(frozenset(row) in held_out for row in rows)
        assert [int(record.args[1]) for record in caplog.records] == [both - len(data.dev), both]

    def test_one_file_as_train_and_dev_is_worth_a_warning(self, graded, tiny, caplog):
        read_run_data(tiny(graded))
        assert not caplog.records
        read_run_data(tiny((graded[0], graded[0])))
        assert "dev measures memory on 96 of its 96 pairs" in caplog.text

    def test_paths_start_at_the_root(self, graded, tiny):
        config = tiny((graded[0].name, graded[1].name), data__root=str(graded[0].parent))
        assert len(read_run_data(config).train[0]) == 96

    def test_columns_and_range_of_a_file_of_ones_own(self, tiny, graded, tmp_path):
        file = tmp_path / "own.tsv"
        file.write_text("left\tright\tmark\nx y\tx z\t7\np\tq\t2\n")
        columns = {"sentence1": "left", "sentence2": "right", "target": "mark"}
        source = {"path": str(file), "format": "tsv", "columns": columns, "score_range": [0, 10]}
        data = read_run_data(tiny(([source], graded[1]))).train[0]
        assert data.scaled_targets() == pytest.approx([0.7, 0.2])

    def test_dev_needs_labels(self, graded, paraphrases, tiny):
        with pytest.raises(ConfigError, match="holds paraphrases only"):
            read_run_data(tiny((graded[0], paraphrases)))

    def test_a_fraction_is_of_the_first_labelled_source_and_leaves_them_all(self, graded, paraphrases, tiny):
        config = tiny(([paraphrases, str(graded[1]), str(graded[0]), str(graded[1])], "x"))
        section = config.data.model_copy(update={"dev": None, "dev_fraction": 0.3})
        before = read_source(config, config.data.train[1])
        data = read_run_data(config.model_copy(update={"data": section}))
        assert data.dev.name == before.name
        assert len(data.dev) + len(data.train[1]) == len(before)
        held_out = set(data.dev.unordered_pairs())
        assert held_out
        for part in data.train:
            assert held_out.isdisjoint(part.unordered_pairs())

    def test_a_fraction_needs_a_labelled_source(self, paraphrases, tiny):
        config = tiny(([paraphrases], "x"))
        data = config.data.model_copy(update={"dev": None, "dev_fraction": 0.3})
        with pytest.raises(ConfigError, match="needs a labelled training source"):
            read_run_data(config.model_copy(update={"data": data}))

    def test_arguments_that_contradict_each_other_are_the_configurations_fault(self, graded, tiny):
        source = {"path": str(graded[0]), "format": "stsc"}
        with pytest.raises(ConfigError, match=r"\[data\] .*train.csv: format: 'stsc' came"):
            read_run_data(tiny(([source], graded[1])))


def test_training_goes_on_from_a_shipped_checkpoint_by_its_name(graded, tiny_settings):
    own = {key: value for key, value in tiny_settings.items() if key.split(".")[0] not in {"model", "embedding"}}
    flags = {"data.train": [str(graded[0])], "data.dev": str(graded[1]), **own, "training.initial_checkpoint": "en"}
    start = build_start(config := load_config(flags=flags), read_run_data(config))
    shipped = SimilarityModel.from_pretrained("en", device="cpu")
    assert start.notes["initial_checkpoint"] == "en"
    assert start.tokenizer.vocabulary_size == shipped.tokenizer.vocabulary_size
    assert torch.equal(start.model.encoder.embedding.weight, shipped.model.encoder.embedding.weight)
