"""An explanation as a JSON object, rounded and bounded for the wire; ``api.schemas.explanation`` is its schema."""

from typing import Any

import numpy as np

from simlstm.models.explanation import ExplainedText, Explanation, Values

MOST_ALIGNED = 16_384
_DECIMALS = 6
_ALIGNMENT_DECIMALS = 4


def explanation_object(explanation: Explanation) -> dict[str, Any]:
    """Return what the native route sends of an explanation.

    Contributions have six decimals and the alignment four, far finer than they can be read. The alignment of long
    sentences is left out (null): it grows with the product of their lengths.
    """
    first, second = explanation.first, explanation.second
    small = len(first.tokens) * len(second.tokens) <= MOST_ALIGNED
    return {
        "score": explanation.score,
        "cosine": explanation.cosine,
        "sentence1": _sentence(first),
        "sentence2": _sentence(second),
        "alignment": _rounded(explanation.alignment, _ALIGNMENT_DECIMALS) if small else None,
    }


def _sentence(text: ExplainedText) -> dict[str, Any]:
    rows = zip(
        text.tokens,
        text.offsets,
        text.word_numbers,
        _rounded(text.pooling, _DECIMALS),
        _rounded(text.gradient, _DECIMALS),
        strict=True,
    )
    return {
        "tokens": [
            {"text": token, "start": start, "end": end, "word": word, "pooling": pooling, "gradient": gradient}
            for token, (start, end), word, pooling, gradient in rows
        ],
        "words": [
            {
                "text": word.text,
                "start": word.start,
                "end": word.end,
                "pooling": round(word.pooling, _DECIMALS),
                "gradient": round(word.gradient, _DECIMALS),
            }
            for word in text.words
        ],
        "truncated": text.truncated,
    }


def _rounded(values: Values, decimals: int) -> Any:
    return np.round(values.astype(np.float64), decimals).tolist()
