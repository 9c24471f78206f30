"""The demo corpus: pairs of sentences whose gold score follows from what they mean."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from random import Random
from typing import Literal, get_args

from simlstm.data.demo.changes import partner
from simlstm.data.demo.chinese import chinese
from simlstm.data.demo.english import english
from simlstm.data.demo.meaning import HIGHEST_SCORE, Meaning, gold_score
from simlstm.data.demo.sampling import draw_meaning
from simlstm.data.pairs import PairData

Split = Literal["train", "dev", "test"]
Language = Literal["en", "zh", "both"]

_Speaker = Callable[[Meaning, Random], str]

_SIZES: dict[str, int] = {"train": 20_000, "dev": 1_000, "test": 1_000}  # of both languages together
_SHARES: dict[str, range] = {"train": range(70), "dev": range(70, 85), "test": range(85, 100)}  # of 100 parts
_SPEAKERS: dict[str, _Speaker] = {"en": english, "zh": chinese}
_SAME_MEANING_SHARE = 0.07
_MIDDLE_SCORE = 2.5
_REPHRASINGS = 60


def demo_pairs(split: Split, *, language: Language = "both", seed: int = 0, size: int | None = None) -> PairData:
    """Generate a part of the demo corpus: graded pairs, English with English and Chinese with Chinese.

    A sentence belongs to one part by a hash of its characters regardless of their order, so that no sentence of
    one part occurs in another, nor a reordering of it, whatever the seeds and sizes. One seed gives one corpus,
    on every machine. The score is that of the meanings (see ``simlstm.data.demo.meaning.gold_score``), never of
    the words. Some pairs in a hundred mean the same; the rest spread evenly over the scores.

    Args:
        split: The part.
        language: ``both``: English and Chinese by turns.
        seed: Another seed is another corpus, split in the same way.
        size: Number of pairs; a longer one begins with the shorter one. Default for ``both``: 20,000 for train,
            1,000 for dev and for test; half of that for one language.

    Returns:
        Pairs of kind ``graded``, range (0, 5), with ids like ``demo-en-train-17``, counted from 1 in each language.

    Raises:
        ValueError: When an argument is not one of those allowed.
    """
    if split not in _SHARES:
        raise ValueError(f"split: {split!r} came; {', '.join(_SHARES)} are allowed")
    if language not in get_args(Language):
        raise ValueError(f"language: {language!r} came; {', '.join(get_args(Language))} are allowed")
    if size is not None and size < 1:
        raise ValueError(f"size: {size} came; 1 and more are allowed")
    languages = ["en", "zh"] if language == "both" else [language]
    total = size if size is not None else _SIZES[split] * len(languages) // len(_SPEAKERS)
    streams = [_stream(code, split, seed) for code in languages]
    rows = [next(streams[index % len(streams)]) for index in range(total)]
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    return PairData(
        name=f"demo:{split}" if language == "both" else f"demo:{language}:{split}",
        sentences1=[row[1] for row in rows],
        sentences2=[row[2] for row in rows],
        targets=[row[3] for row in rows],
        kind="graded",
        score_range=(0.0, HIGHEST_SCORE),
        ids=[row[0] for row in rows],
        groups=None,
        sources=None,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def part_of(sentence: str) -> Split:
    """Return the part that a sentence belongs to, by a hash of its letters that does not see their order."""
    letters = "".join(sorted(filter(str.isalnum, sentence.casefold())))
    digest = hashlib.blake2b(letters.encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") % 100
    return next(split for split in get_args(Split) if share in _SHARES[split])


def _stream(language: str, split: Split, seed: int) -> Iterator[tuple[str, str, str, float]]:
    """Yield the pairs of one language and part as (id, sentence, sentence, score), endlessly, none of them twice."""
    rng = Random(f"{seed}/{language}/{split}")  # noqa: S311 — seeded by the SHA-512 of the text; no secret
    speak = _SPEAKERS[language]
    seen: set[tuple[str, str]] = set()
    while True:
        wanted = HIGHEST_SCORE * rng.random() / (1 - _SAME_MEANING_SHARE)
        pair = None
        while pair is None or pair[:2] in seen:
            pair = _draw_pair(wanted, speak, split, rng)
        seen.add(pair[:2])
        yield f"demo-{language}-{split}-{len(seen)}", *pair


def _draw_pair(wanted: float, speak: _Speaker, split: Split, rng: Random) -> tuple[str, str, float] | None:
    """Return two sentences and a score near the one wanted; None when the draw gave none that belong to the part."""
    first = draw_meaning(rng)
    second = partner(first, wanted, rng)
    if second is None:
        return None
    sentence = next(_wordings(first, speak, split, rng), None)
    others = [other for other in islice(_wordings(second, speak, split, rng), 2) if other != sentence]
    if sentence is None or not others:
        return None
    # The wording that misleads who only counts words: unlike where the meanings are alike, and alike where not.
    others.sort(key=partial(_overlap, sentence), reverse=wanted < _MIDDLE_SCORE)
    return sentence, others[0], gold_score(first, second)


def _wordings(meaning: Meaning, speak: _Speaker, split: Split, rng: Random) -> Iterator[str]:
    """Yield sentences of this meaning that belong to the part; few or none when its wordings belong elsewhere."""
    for _ in range(_REPHRASINGS):
        sentence = speak(meaning, rng)
        if part_of(sentence) == split:
            yield sentence


def _overlap(first: str, second: str) -> float:
    """Return the share of character pairs that two sentences have in common (Jaccard)."""
    bigrams = [set(pairwise(text)) for text in (first.casefold(), second.casefold())]
    return len(bigrams[0] & bigrams[1]) / len(bigrams[0] | bigrams[1])
