"""ModelConfig: what rebuilds a model, frozen and validated."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PoolingName = Literal["mean", "max", "mean_max", "last", "attention"]
HeadName = Literal["cosine", "manhattan", "mlp"]
ActivationName = Literal["relu", "sigmoid", "tanh"]

# The upper bounds are far beyond any sensible model: they turn a slipped digit, or a hostile config.json, into a
# sentence instead of an allocation of terabytes.
Size = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Probability = Annotated[float, Field(strict=True, ge=0.0, lt=1.0)]
Classes = Annotated[int, Field(strict=True, ge=2, le=1_000)]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False)]

# What draws at random in training.
DROPOUTS = (
    "dropout",
    "embedding_dropout",
    "word_dropout",
    "recurrent_dropout",
    "weight_dropout",
    "head_dropout",
)
_MLP_ONLY = ("head_hidden_size", "head_activation", "head_dropout", "classes")


class Architecture(BaseModel):
    """The part of an architecture that somebody chooses; the rest follows from tokenizer and data.

    Attributes:
        embedding_size: Width I of a row of the embedding table.
        hidden_size: Width H of the recurrent state, per direction.
        num_layers: Recurrent layers, one on top of the other.
        bidirectional: Whether each layer also reads from the last token to the first.
        dropout: Probability of zeroing an output of a recurrent layer, between layers only.
        embedding_dropout: Probability of zeroing an element of an embedded token.
        word_dropout: Probability of replacing a token by the unknown token, in training only.
        recurrent_dropout: Probability of zeroing an element of a recurrent state on its way to the next step, in a
            whole sentence or not at all (Gal and Ghahramani 2016), in training only. Computed step by step, without the
            fused kernels.
        weight_dropout: Probability of zeroing an element of the hidden-to-hidden weights for one batch (DropConnect,
            Merity et al. 2018), in training only. Keeps the fused kernels.
        head_dropout: Probability of zeroing a hidden unit of the mlp head.
        pooling: How the outputs at all tokens become one vector.
        projection_size: Width of a linear layer behind the pooling; None for none.
        normalize: Whether embeddings leave the encoder with length 1.
        head: How two embeddings become a score.
        head_hidden_size: Hidden units of the mlp head.
        head_activation: Nonlinearity of the mlp head.
        max_tokens: Longest sentence, in tokens; what is beyond it is cut.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding_size: Size = 300
    hidden_size: Size = 256
    num_layers: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    bidirectional: Annotated[bool, Field(strict=True)] = True
    dropout: Probability = 0.0
    embedding_dropout: Probability = 0.0
    word_dropout: Probability = 0.0
    recurrent_dropout: Probability = 0.0
    weight_dropout: Probability = 0.0
    head_dropout: Probability = 0.0
    pooling: PoolingName = "max"
    projection_size: Size | None = None
    normalize: Annotated[bool, Field(strict=True)] = False
    head: HeadName = "mlp"
    head_hidden_size: Size = 128
    head_activation: ActivationName = "relu"
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 256


class ModelConfig(Architecture):
    """A whole architecture, and what its scores mean.

    Attributes:
        vocabulary_size: Rows of the embedding table; the tokenizer's vocabulary.
        classes: Score classes of the mlp head: 5 for graded similarity, 2 for 0/1 labels.
        segmenter: How Chinese text is segmented before tokenization.
        unknown_id: Id of the unknown token.
        kind: Whether the targets of training were graded similarities or 0/1 labels.
        score_range: Range of the targets as they were published, for people; the model's own scores do not use it.
    """

    vocabulary_size: Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
    classes: Classes = 5
    segmenter: Literal["none", "jieba"] = "none"
    unknown_id: Annotated[int, Field(strict=True, ge=0)] = 0
    kind: Literal["graded", "binary"] = "graded"
    score_range: tuple[Score, Score] = (0.0, 1.0)

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        """Refuse settings that contradict each other, or that would silently do nothing."""
        if self.unknown_id >= self.vocabulary_size:
            raise ValueError(
                f"unknown_id={self.unknown_id} is outside of the vocabulary; "
                f"with vocabulary_size={self.vocabulary_size} it lies in 0..{self.vocabulary_size - 1}"
            )
        if self.dropout > 0 and self.num_layers == 1:
            raise ValueError(
                f"dropout={self.dropout} acts between recurrent layers and there is one layer; "
                "set num_layers to 2 or more, or use embedding_dropout, word_dropout or head_dropout"
            )
        if self.head != "mlp":
            for name in _MLP_ONLY:
                value = getattr(self, name)
                if value != type(self).model_fields[name].default:
                    raise ValueError(
                        f"{name}={value!r} belongs to head='mlp' and would have no effect with head={self.head!r}; "
                        f"leave {name} out, or choose head='mlp'"
                    )
        low, high = self.score_range
        if low >= high:
            raise ValueError(f"score_range=({low}, {high}) must go from the lowest score to a higher one")
        return self

    @property
    def recurrent_size(self) -> int:
        """Width of the recurrent output at one token: hidden_size, twice that with two directions."""
        return self.hidden_size * (2 if self.bidirectional else 1)
