"""The encoder and the pair model against single sentences, torch's LSTM and arithmetic by hand."""

import pytest
import torch
from torch import Tensor, nn

from simlstm.data.batching import pack
from simlstm.models.config import ModelConfig, PoolingName
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.pooling import POOLINGS
from simlstm.models.siamese import SiameseModel

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [3, 5], [8, 9, 7, 9, 3]]  # unsorted, two of one length, one of length 1


def build(**settings: object) -> SentenceEncoder:
    torch.manual_seed(0)
    sizes = {"vocabulary_size": 10, "embedding_size": 6, "hidden_size": 4}
    return SentenceEncoder.from_config(ModelConfig(**{**sizes, **settings})).double()


def by_hand(encoder: SentenceEncoder, ids: list[int]) -> Tensor:
    """Encode one sentence, max pooling, with torch's own LSTM."""
    lstm = nn.LSTM(6, 4, bidirectional=True, num_layers=encoder.recurrent.num_layers).double()  # type: ignore[arg-type]
    lstm.load_state_dict(encoder.recurrent.state_dict())
    outputs, _ = lstm(encoder.embedding.weight[torch.tensor(ids)])  # [T, 2H]
    vector: Tensor = encoder.projection(outputs.amax(0))
    return vector / vector.norm() if encoder.normalize else vector


@pytest.mark.parametrize("settings", [{}, {"num_layers": 2}, {"projection_size": 3}, {"normalize": True}])
def test_embeddings_come_in_the_callers_order(settings: dict[str, object]) -> None:
    encoder = build(**settings)
    embeddings = encoder(pack(IDS))
    assert embeddings.shape == (len(IDS), encoder.output_size)
    for row, ids in enumerate(IDS):
        torch.testing.assert_close(embeddings[row], by_hand(encoder, ids))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_torch_lstm_can_stand_in(pooling: PoolingName, bidirectional: bool) -> None:
    encoder = build(pooling=pooling, bidirectional=bidirectional)
    expected = encoder(pack(IDS))
    stand_in = nn.LSTM(6, 4, bidirectional=bidirectional).double()
    stand_in.load_state_dict(encoder.recurrent.state_dict())
    encoder.recurrent = stand_in
    torch.testing.assert_close(encoder(pack(IDS)), expected)


def test_last_pooling_is_the_final_state_of_each_direction() -> None:
    encoder = build(pooling="last")
    lstm = nn.LSTM(6, 4, bidirectional=True).double()
    lstm.load_state_dict(encoder.recurrent.state_dict())
    embeddings = encoder(pack(IDS))
    for row, ids in enumerate(IDS):
        _, (final, _) = lstm(encoder.embedding.weight[torch.tensor(ids)])  # [2, H]
        torch.testing.assert_close(embeddings[row], final.flatten())


def test_word_dropout_replaces_tokens_by_the_unknown_one_in_training_only() -> None:
    encoder = build(word_dropout=0.999_999, unknown_id=7)
    unknown = encoder.eval()(pack([[7] * len(ids) for ids in IDS]))
    assert not torch.allclose(encoder(pack(IDS)), unknown)
    torch.testing.assert_close(encoder.train()(pack(IDS)), unknown)


def test_embedding_dropout_acts_in_training_only() -> None:
    encoder = build(embedding_dropout=0.5).eval()
    assert torch.equal(encoder(pack(IDS)), encoder(pack(IDS)))
    encoder.train()
    assert not torch.equal(encoder(pack(IDS)), encoder(pack(IDS)))


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = SiameseModel.from_config(
        ModelConfig(vocabulary_size=10, embedding_size=6, hidden_size=4, pooling="attention", projection_size=3)
    )
    model(pack([*IDS, *IDS[::-1]])).score.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_pairs_are_first_sentences_then_second_ones() -> None:
    torch.manual_seed(0)
    model = SiameseModel.from_config(ModelConfig(vocabulary_size=10, embedding_size=6, hidden_size=4, head="manhattan"))
    output = model(pack(IDS[:4]))
    u, v = model.encoder(pack(IDS[:4])).chunk(2)
    assert torch.equal(output.embeddings1, u)
    assert torch.equal(output.embeddings2, v)
    torch.testing.assert_close(output.score, torch.exp(-(u - v).abs().sum(1)))
    assert output.class_log_probabilities is None


def test_an_odd_number_of_sentences_is_refused() -> None:
    model = SiameseModel.from_config(ModelConfig(vocabulary_size=10, embedding_size=6, hidden_size=4))
    with pytest.raises(ValueError, match="tokens holds 5 sentences; pairs need an even number"):
        model(pack(IDS))


def test_autocast_gives_finite_scores_and_gradients() -> None:
    torch.manual_seed(0)
    for head in ("cosine", "manhattan", "mlp"):
        model = SiameseModel.from_config(ModelConfig(vocabulary_size=10, embedding_size=6, hidden_size=4, head=head))
        exact = model(pack(IDS[:4])).score
        with torch.autocast("cpu", torch.bfloat16):
            score = model(pack(IDS[:4])).score
        score.float().sum().backward()
        # bfloat16 has 8 bits: 2^-8 per operation on values around 1.
        torch.testing.assert_close(score.float(), exact, rtol=0.03, atol=0.03)
