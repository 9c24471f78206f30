"""How a text falls into pieces before the vocabulary is asked: the native patterns, and jieba's Chinese words.

The native part is described by data (``tokenizer.json``) and runs in Rust. Jieba's part is Python: it is put in
place of the native pattern inside this process, and never stands in the file.
"""

import functools
import importlib
import logging
import re
import warnings
from collections.abc import Callable
from typing import Any, Literal

from tokenizers import NormalizedString, PreTokenizedString, Regex, normalizers, pre_tokenizers

Kind = Literal["word", "character", "subword"]
Segmenter = Literal["none", "jieba"]

# Scripts written without spaces between words. Hangul is not among them: Korean puts spaces.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"

# Every repetition is bounded: the regular-expression engine stops the process with a panic when one match takes too
# many steps, and a text of ten million letters without a space is an input like any other.
_PATTERN = (
    r"(?i)[a-z]{1,40}(?=n't\b)|n't\b|'(?:s|m|d|re|ve|ll)\b"  # do n't, she 's: the cut of the Penn Treebank and GloVe
    r"|[%(unspaced)s]%(run)s"
    r"|\p{N}{1,50}(?:[.,]\p{N}{1,50}){1,20}"  # 3.5 and 1,000 stay whole
    r"|[\p{L}\p{M}\p{N}&&[^%(unspaced)s]]{1,1000}"
    r"|\S"
)
_WORDS = _PATTERN % {"unspaced": _UNSPACED, "run": ""}
_RUNS = _PATTERN % {"unspaced": _UNSPACED, "run": "{1,1000}"}
_CHARACTERS = r"[\s\S]"
# Python's re has no script classes; these blocks only have to recognise what _RUNS has already cut out.
_UNSPACED_START = re.compile(r"[\u2e80-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def build_normalizer(kind: Kind, *, lowercase: bool) -> normalizers.Normalizer:
    """Build the native normalizer: no control characters, NFKC, one apostrophe, optionally lower case.

    Args:
        kind: ``character`` also makes one space of each run of white space, since a space is a token there.
        lowercase: Whether to fold case.
    """
    steps: list[normalizers.Normalizer] = [
        normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False),
        normalizers.NFKC(),
        normalizers.Replace("’", "'"),
    ]
    if lowercase:
        steps.append(normalizers.Lowercase())
    if kind == "character":
        steps += [normalizers.Replace(Regex(r"\s{1,1000}"), " "), normalizers.Strip()]
    return normalizers.Sequence(steps)


def build_pre_tokenizer(kind: Kind) -> pre_tokenizers.PreTokenizer:
    """Build the native pre-tokenizer: words and single Chinese or Japanese characters, or single characters."""
    pattern = _CHARACTERS if kind == "character" else _WORDS
    return pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)


def build_jieba_pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Build a pre-tokenizer that cuts runs of Chinese characters into jieba's words, and the rest as ever.

    Raises:
        ImportError: Jieba is not installed.
    """
    runs = pre_tokenizers.Split(Regex(_RUNS), behavior="removed", invert=True)
    return pre_tokenizers.Sequence([runs, pre_tokenizers.PreTokenizer.custom(_JiebaPreTokenizer())])


class _JiebaPreTokenizer:
    """The protocol of ``PreTokenizer.custom``: cut a ``PreTokenizedString`` in place; offsets follow by themselves."""

    def __init__(self) -> None:
        self._cut = _load_jieba()

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        """Cut the runs of Chinese characters among the pieces into jieba's words."""
        text.split(self._cut_run)

    def _cut_run(self, _index: int, piece: NormalizedString) -> list[NormalizedString]:
        run = str(piece.normalized)
        if _UNSPACED_START.match(run) is None:
            return [piece]
        pieces, start = [], 0
        for word in self._cut(run):
            pieces.append(piece.slice((start, start + len(word))))
            start += len(word)
        return [cut for cut in pieces if cut is not None]


@functools.cache
def _load_jieba() -> Callable[[str], list[str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba 0.42 uses deprecated pkg_resources and unescaped patterns
            jieba: Any = importlib.import_module("jieba")
    except ImportError as error:
        raise ImportError('segmenter="jieba" needs jieba: pip install "simlstm[train]"') from error
    logging.getLogger("jieba").setLevel(logging.WARNING)
    segmenter = jieba.Tokenizer()
    segmenter.initialize()
    cut: Callable[[str], list[str]] = segmenter.lcut
    return cut
