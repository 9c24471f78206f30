"""Text to ids: a Hugging Face ``tokenizers`` tokenizer without special tokens, padding or surprises."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tokenizers

from simlstm.text.segmentation import Kind, Segmenter, build_jieba_pre_tokenizer
from simlstm.text.vocabulary import train_backend

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXTS_AT_ONCE = 8192
_CHARACTERS_A_TOKEN = 8
_SPARE_TOKENS = 128  # a word of up to 100 characters has pieces, a longer one is unknown as a whole
_UNKNOWN_NAMES = ("[UNK]", "<unk>", "<UNK>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Tokenization:
    """One text as tokens.

    Attributes:
        ids: Never empty: a text without tokens is the unknown id once.
        tokens: The token of each id.
        offsets: For each token its first character in the original text, and the one after its last.
        truncated: Whether tokens beyond the limit were left out.
        unknown_ratio: Share of the ids that are the unknown id, 1.0 for a text without tokens.
    """

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    truncated: bool
    unknown_ratio: float


class Encoded(NamedTuple):
    """One text as ids.

    Attributes:
        ids: Never empty: a text without tokens is the unknown id once.
        truncated: Whether tokens beyond the limit were left out.
        unknown_ratio: Share of the ids that are the unknown id, 1.0 for a text without tokens.
    """

    ids: list[int]
    truncated: bool
    unknown_ratio: float


class Tokenizer:
    """A tokenizer that gives each text its own tokens only: no special token, no padding, no silent truncation.

    Any ``str`` is accepted. Lone surrogates count as U+FFFD; NUL and other control characters are dropped by the
    tokenizers trained here. Text that spells a special token ("[CLS]") is text.

    Args:
        text: The content of a ``tokenizer.json``, ours or another's.
        segmenter: ``jieba`` cuts runs of Chinese characters into words, as in training. It is no part of the file.

    Raises:
        ValueError: The text is no tokenizer, or one without an unknown token.
        ImportError: The segmenter is not installed.
    """

    def __init__(self, text: str, *, segmenter: Segmenter = "none") -> None:
        if segmenter not in ("none", "jieba"):
            raise ValueError(f"segmenter: {segmenter!r} came; allowed: 'none', 'jieba'")
        try:
            self._backend = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"tokenizer: not the JSON of a Hugging Face tokenizer: {error}") from error
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True
        self._json: str = self._backend.to_str()
        self._vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        self.segmenter: Segmenter = segmenter
        self.vocabulary_size: int = max(self._vocabulary.values()) + 1
        self.unknown_id: int = _find_unknown_id(json.loads(self._json), self._vocabulary)
        self._unknown_token = self._backend.id_to_token(self.unknown_id) or ""
        if segmenter == "jieba":
            self._backend.pre_tokenizer = build_jieba_pre_tokenizer()

    def __reduce__(self) -> tuple[Callable[..., "Tokenizer"], tuple[str, Segmenter]]:
        """Be pickled as its JSON: jieba's part of it is a Python object that the library cannot pickle."""
        return _rebuilt, (self._json, self.segmenter)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        kind: Kind = "word",
        vocabulary_size: int = 30_000,
        minimum_frequency: int = 1,
        lowercase: bool = True,
        segmenter: Segmenter = "none",
    ) -> "Tokenizer":
        """Train a tokenizer on texts; the same texts give the same tokenizer.

        Args:
            texts: Training text only: a word of the dev or test part must stay unknown.
            kind: ``word`` (each Chinese or Japanese character is its own word, unless jieba cuts), ``character``, or
                ``subword`` (WordPiece).
            vocabulary_size: Largest number of tokens, the unknown one (id 0) included.
            minimum_frequency: Words seen less often are unknown.
            lowercase: Whether to fold case.
            segmenter: ``jieba`` for Chinese words; not with ``character``.

        Raises:
            ValueError: An argument outside of what is named above, or texts without a token.
        """
        if kind not in ("word", "character", "subword"):
            raise ValueError(f"kind: {kind!r} came; allowed: 'word', 'character', 'subword'")
        if kind == "character" and segmenter != "none":
            raise ValueError(f"segmenter: {segmenter!r} came with kind='character'; allowed: 'none'")
        if vocabulary_size < 2:
            raise ValueError(f"vocabulary_size: {vocabulary_size} came; allowed: 2 and more")
        if minimum_frequency < 1:
            raise ValueError(f"minimum_frequency: {minimum_frequency} came; allowed: 1 and more")
        backend = train_backend(
            map(_without_lone_surrogates, texts),
            kind=kind,
            vocabulary_size=vocabulary_size,
            minimum_frequency=minimum_frequency,
            lowercase=lowercase,
            segmenter=segmenter,
        )
        return cls(backend.to_str(), segmenter=segmenter)

    @classmethod
    def from_json(cls, text: str, *, segmenter: Segmenter = "none") -> "Tokenizer":
        """Build from the content of a ``tokenizer.json``; see the class for what is raised."""
        return cls(text, segmenter=segmenter)

    @classmethod
    def from_file(cls, path: str | Path, *, segmenter: Segmenter = "none") -> "Tokenizer":
        """Build from a ``tokenizer.json``; see the class for what is raised."""
        try:
            return cls(Path(path).read_text(encoding="utf-8"), segmenter=segmenter)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_json(self) -> str:
        """Return the content of a ``tokenizer.json`` that any Hugging Face tokenizer library loads."""
        return self._json

    def vocabulary(self) -> dict[str, int]:
        """Return the id of each token, in the order of ids."""
        return dict(sorted(self._vocabulary.items(), key=lambda item: item[1]))

    def tokenize(self, texts: Sequence[str], *, max_tokens: int | None = None) -> list[Tokenization]:
        """Cut texts into tokens, with their places in the text.

        Args:
            texts: Any strings.
            max_tokens: Tokens beyond this many are left out, and ``truncated`` says so. None keeps all.
        """
        _check_max_tokens(max_tokens)
        encodings = self._backend.encode_batch(list(map(_without_lone_surrogates, texts)), add_special_tokens=False)
        return [self._tokenization(encoding, max_tokens) for encoding in encodings]

    def encode(self, texts: Sequence[str], *, max_tokens: int | None = None) -> list[list[int]]:
        """Return the ids that ``tokenize`` returns, in less time."""
        _check_max_tokens(max_tokens)
        ids: list[list[int]] = []
        # In parts: an encoding holds some 100 bytes a token beside its id, a gigabyte for half a million sentences.
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(map(_without_lone_surrogates, texts[start : start + _TEXTS_AT_ONCE]))
            encodings = self._backend.encode_batch_fast(part, add_special_tokens=False)
            ids += [encoding.ids[:max_tokens] or [self.unknown_id] for encoding in encodings]
        return ids

    def encode_told(
        self, texts: Sequence[str], *, max_tokens: int | None = None, keep: Literal["start", "end"] = "start"
    ) -> list[Encoded]:
        """Return the ids of each text and say what was cut and what is unknown: ``tokenize`` without the places.

        Args:
            texts: Any strings.
            max_tokens: Tokens beyond this many are left out. None keeps all.
            keep: Which end of a longer text is kept.
        """
        _check_max_tokens(max_tokens)
        unknown_id, told = self.unknown_id, []
        for encoding in self._encoded_enough(list(map(_without_lone_surrogates, texts)), max_tokens, keep):
            ids: list[int] = encoding.ids
            if not ids:
                told.append(Encoded([unknown_id], truncated=False, unknown_ratio=1.0))
                continue
            truncated = max_tokens is not None and len(ids) > max_tokens
            if truncated:
                ids = ids[:max_tokens] if keep == "start" else ids[-(max_tokens or 0) :]
            told.append(Encoded(ids, truncated=truncated, unknown_ratio=ids.count(unknown_id) / len(ids)))
        return told

    def _encoded_enough(
        self, texts: list[str], max_tokens: int | None, keep: Literal["start", "end"]
    ) -> list[tokenizers.Encoding]:
        """Encode of each text at least as much as is kept, and enough more that a cut word changes nothing of that.

        A text of 100,000 characters takes a second and more to encode whole (one character can become 18 by NFKC), and
        a few hundred tokens of it are kept.
        """

        def encode(parts: list[str]) -> list[tokenizers.Encoding]:
            encodings: list[tokenizers.Encoding] = self._backend.encode_batch_fast(parts, add_special_tokens=False)
            return encodings

        if max_tokens is None:
            return encode(texts)
        characters = _CHARACTERS_A_TOKEN * (max_tokens + _SPARE_TOKENS)
        encodings = encode([_end_of(text, characters, keep) for text in texts])
        while short := [
            place
            for place, text in enumerate(texts)
            if len(text) > characters and len(encodings[place].ids) < max_tokens + _SPARE_TOKENS
        ]:
            characters *= 8
            for place, encoding in zip(
                short, encode([_end_of(texts[place], characters, keep) for place in short]), strict=True
            ):
                encodings[place] = encoding
        return encodings

    def word_numbers(self, text: str, *, max_tokens: int | None = None) -> list[int]:
        """Say which word of a text each of its tokens belongs to: the pieces of one word have one number.

        A word is what the tokenizer cuts a text into before it looks for pieces: a Chinese character, unless jieba
        segments; of a character tokenizer, every character. What one character of the text became is one word: "½" is
        three to the tokenizer, since it reads 1⁄2.

        Args:
            text: Any string.
            max_tokens: Tokens beyond this many are left out.

        Returns:
            A number for each token that ``tokenize`` gives, from 0, never falling.
        """
        _check_max_tokens(max_tokens)
        encoding = self._backend.encode(_without_lone_surrogates(text), add_special_tokens=False)
        numbers: list[int] = []
        previous: int | None = None
        reached = 0
        for word, (start, end) in zip(encoding.word_ids[:max_tokens], encoding.offsets, strict=False):
            # None: a token that was added to the vocabulary.
            is_new = (word is None or word != previous) and start >= reached
            numbers.append((numbers[-1] + is_new) if numbers else 0)
            previous, reached = word, max(reached, end)
        return numbers or [0]

    def _tokenization(self, encoding: tokenizers.Encoding, max_tokens: int | None) -> Tokenization:
        ids: list[int] = encoding.ids
        if not ids:
            return Tokenization([self.unknown_id], [self._unknown_token], [(0, 0)], truncated=False, unknown_ratio=1.0)
        kept = ids[:max_tokens]
        return Tokenization(
            kept,
            encoding.tokens[:max_tokens],
            encoding.offsets[:max_tokens],
            truncated=len(kept) < len(ids),
            unknown_ratio=kept.count(self.unknown_id) / len(kept),
        )


def _rebuilt(text: str, segmenter: Segmenter) -> Tokenizer:
    return Tokenizer(text, segmenter=segmenter)


def _without_lone_surrogates(text: str) -> str:
    """Replace what UTF-8 cannot carry, one character by one, so that offsets stay."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def _end_of(text: str, characters: int, keep: Literal["start", "end"]) -> str:
    return text[:characters] if keep == "start" else text[-characters:]


def _check_max_tokens(max_tokens: int | None) -> None:
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens: {max_tokens} came; allowed: 1 and more, or None")


def _find_unknown_id(content: dict[str, Any], vocabulary: dict[str, int]) -> int:
    """Find the unknown token where the model names it, else under a usual name (RoBERTa, GPT-2)."""
    model = content["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    for name in (model.get("unk_token"), *_UNKNOWN_NAMES):
        if name is not None and name in vocabulary:
            return vocabulary[name]
    raise ValueError(f"tokenizer: no unknown token; allowed: a model that names one, or a token of {_UNKNOWN_NAMES}")
