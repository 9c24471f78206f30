"""What made the score of a pair, token by token and word by word; docs/explain.md says how to read the numbers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ExplainedWord:
    """A word of a text: the tokens that the tokenizer cut it into, together.

    Attributes:
        text: As it stands in the text.
        start: Its first character.
        end: The character after its last.
        pooling: Sum over its tokens, as all of these.
        gradient: See ``ExplainedText``.
        integrated: None unless it was asked for.
    """

    text: str
    start: int
    end: int
    pooling: float
    gradient: float
    integrated: float | None


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedText:
    """One text of a pair with what its tokens did; n tokens, at least one.

    Attributes:
        text: The text.
        tokens: As the model reads them; a text without tokens is the unknown token once.
        offsets: For each token its first character in the text, and the one after its last.
        word_numbers: For each token the number of its word, from 0.
        truncated: Whether tokens beyond the model's limit were left out, and so took no part.
        pooling: float32 [n], the score's gradient at the pooled vector, times the token's part of that vector.
        gradient: float32 [n], the score's gradient at the embedded token, times the embedded token.
        integrated: float32 [n], the same with the gradient's mean on the way from zero embeddings; None unless asked
            for.
    """

    text: str
    tokens: list[str]
    offsets: list[tuple[int, int]]
    word_numbers: list[int]
    truncated: bool
    pooling: Values = field(repr=False)
    gradient: Values = field(repr=False)
    integrated: Values | None = field(repr=False)

    @property
    def words(self) -> list[ExplainedWord]:
        """The same by words: contributions add up, so a word has the sum of its tokens."""
        before = [None, *self.word_numbers]
        starts = [place for place, number in enumerate(self.word_numbers) if number != before[place]]
        words = []
        for first, stop in zip(starts, [*starts[1:], len(self.tokens)], strict=True):
            start, end = self.offsets[first][0], self.offsets[stop - 1][1]
            of = slice(first, stop)
            words.append(
                ExplainedWord(
                    text=self.text[start:end],
                    start=start,
                    end=end,
                    pooling=float(self.pooling[of].sum()),
                    gradient=float(self.gradient[of].sum()),
                    integrated=None if self.integrated is None else float(self.integrated[of].sum()),
                )
            )
        return words


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What made the score of a pair; n1 and n2 are the numbers of tokens.

    Attributes:
        first: The first text.
        second: The second text.
        score: Of the pair head, from the float32 weights.
        cosine: Of the two embeddings, the plain one; 0 when one of them is zero.
        probability: Of the calibration; None when the checkpoint has none.
        baseline_score: Score of two texts of zero embeddings, equally long: ``score - baseline_score`` is the sum of
            both texts' ``integrated``. None unless integrated gradients were asked for.
        outputs1: float32 [n1, D], the recurrent outputs at the tokens of the first text, each of length 1 (or 0).
        outputs2: float32 [n2, D].
        parts1: float32 [n1, E], what each token put into the first embedding, divided by that embedding's length.
        parts2: float32 [n2, E].
    """

    first: ExplainedText
    second: ExplainedText
    score: float
    cosine: float
    probability: float | None
    baseline_score: float | None
    outputs1: Values = field(repr=False)
    outputs2: Values = field(repr=False)
    parts1: Values = field(repr=False)
    parts2: Values = field(repr=False)

    @property
    def alignment(self) -> Values:
        """float32 [n1, n2], which tokens are alike where they stand: cosines of the recurrent outputs at both.

        Computed when it is asked for: two texts of 10,000 tokens have 400 MB of it.
        """
        matrix: Values = self.outputs1 @ self.outputs2.T
        return matrix

    @property
    def cosine_shares(self) -> Values:
        """float32 [n1, n2], which tokens made the plain cosine, together: it is the sum of all entries.

        Computed when it is asked for, as ``alignment`` is.
        """
        matrix: Values = self.parts1 @ self.parts2.T
        return matrix
