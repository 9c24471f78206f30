"""Training the vocabulary of a tokenizer: deterministic, from the training text and nothing else."""

from collections.abc import Iterable

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from simlstm.text.segmentation import Kind, Segmenter, build_jieba_pre_tokenizer, build_normalizer, build_pre_tokenizer

UNKNOWN_TOKEN = "[UNK]"  # noqa: S105 (a word, not a password)
_CONTINUATION = "##"


def train_backend(
    texts: Iterable[str],
    *,
    kind: Kind,
    vocabulary_size: int,
    minimum_frequency: int,
    lowercase: bool,
    segmenter: Segmenter,
) -> tokenizers.Tokenizer:
    """Train a Hugging Face tokenizer whose id 0 is the unknown token.

    Subwords are WordPiece (Schuster & Nakajima 2012): a piece that starts a word is written as the word itself, so that
    pretrained word vectors cover it, and Chinese characters need no second entry for the start of a sentence.

    Args:
        texts: Valid Unicode text (no lone surrogates).
        kind: What a token is.
        vocabulary_size: Largest number of tokens, the unknown one included.
        minimum_frequency: Words (or pairs of pieces) seen less often get no token of their own.
        lowercase: Whether to fold case.
        segmenter: Who cuts runs of Chinese characters.

    Raises:
        ValueError: The texts hold no token, or the characters alone need more than ``vocabulary_size``.
    """
    texts = list(texts)
    backend = tokenizers.Tokenizer(models.WordLevel({UNKNOWN_TOKEN: 0}, unk_token=UNKNOWN_TOKEN))
    backend.normalizer = build_normalizer(kind, lowercase=lowercase)
    native = build_pre_tokenizer(kind)
    backend.pre_tokenizer = build_jieba_pre_tokenizer() if segmenter == "jieba" else native
    if kind == "subword":
        vocabulary = _train_word_pieces(backend, texts, vocabulary_size, minimum_frequency)
        backend.model = models.WordPiece(vocabulary, unk_token=UNKNOWN_TOKEN, continuing_subword_prefix=_CONTINUATION)
    else:
        vocabulary = _train_words(backend, texts, vocabulary_size, minimum_frequency)
        backend.model = models.WordLevel(vocabulary, unk_token=UNKNOWN_TOKEN)
    if len(vocabulary) < 2:
        raise ValueError(
            f"texts: {len(texts)} came, without a token seen {minimum_frequency} times; allowed: at least 1"
        )
    backend.pre_tokenizer = native
    return backend


def _train_words(
    backend: tokenizers.Tokenizer, texts: list[str], vocabulary_size: int, minimum_frequency: int
) -> dict[str, int]:
    """Count the pre-tokens; the most frequent get the lowest ids, ties in the order of code points."""
    trained = _copy(backend, models.WordLevel(unk_token=UNKNOWN_TOKEN))
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary_size,
        min_frequency=minimum_frequency,
        show_progress=False,
        special_tokens=[UNKNOWN_TOKEN],
    )
    trained.train_from_iterator(texts, trainer)
    vocabulary: dict[str, int] = trained.get_vocab()
    return vocabulary


def _train_word_pieces(
    backend: tokenizers.Tokenizer, texts: list[str], vocabulary_size: int, minimum_frequency: int
) -> dict[str, int]:
    words = _train_words(backend, texts, 2**31, 0)
    del words[UNKNOWN_TOKEN]
    characters = {character for word in words for character in word}
    continuations = sorted({_CONTINUATION + character for word in words for character in word[1:]})
    if (smallest := 1 + len(characters) + len(continuations)) > vocabulary_size:
        raise ValueError(
            f"vocabulary_size: {vocabulary_size} came; allowed: {smallest} and more, for each character alone"
        )
    trained = _copy(backend, models.WordPiece(unk_token=UNKNOWN_TOKEN))
    # The trainer numbers "##x" pieces in the order of a hash map with random keys, and breaks ties between merges by
    # number: two runs would differ. Named beforehand as special tokens, the pieces have their numbers already.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        min_frequency=minimum_frequency,
        show_progress=False,
        special_tokens=[UNKNOWN_TOKEN, *continuations],
        continuing_subword_prefix=_CONTINUATION,
    )
    trained.train_from_iterator(texts, trainer)
    vocabulary: dict[str, int] = trained.get_vocab()
    return vocabulary


def _copy(backend: tokenizers.Tokenizer, model: models.Model) -> tokenizers.Tokenizer:
    """Share the segmentation: training adds its special tokens to the tokenizer, and ours is to have none."""
    copy = tokenizers.Tokenizer(model)
    copy.normalizer = backend.normalizer
    pre_tokenizer: pre_tokenizers.PreTokenizer = backend.pre_tokenizer
    copy.pre_tokenizer = pre_tokenizer
    return copy
