"""Which column means what: the published layouts of each format, and the columns a caller names."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["graded", "binary", "positive"]
Column = str | int


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row has what: names (any case) of a file with a header, or positions from 0 of one without.

    Attributes:
        sentence1: First sentence.
        sentence2: Second sentence.
        target: Score or label; None where each row is a paraphrase.
        id: Identifier; None numbers the rows from 1.
        group: Group of the pair.
        source: Collection the pair was taken from.
    """

    sentence1: Column
    sentence2: Column
    target: Column | None = None
    id: Column | None = None
    group: Column | None = None
    source: Column | None = None

    def __post_init__(self) -> None:
        """Check that all columns are names, or all are positions.

        Raises:
            ValueError: Names and positions are mixed, or a position is negative.
        """
        used = [column for _, column in self.items()]
        if len({type(column) for column in used}) > 1 or any(isinstance(column, int) and column < 0 for column in used):
            raise ValueError(f"columns: {used} came; allowed: names only, or positions from 0 only")

    def items(self) -> list[tuple[str, Column]]:
        """Return each meaning that has a column, and that column."""
        columns = {meaning: getattr(self, meaning) for meaning in self.__slots__}
        return [(meaning, column) for meaning, column in columns.items() if column is not None]

    @property
    def has_header(self) -> bool:
        """Tell whether the columns are names."""
        return isinstance(self.sentence1, str)


@dataclass(frozen=True, slots=True)
class Layout:
    """One published way to write a format.

    Attributes:
        columns: Where a row has what.
        width: Number of cells in a row of a file without a header; 0 with a header.
        more: Whether rows can be longer than ``width``.
        distinctive: Whether the header alone tells the format, and no other format has it.
    """

    columns: Columns
    width: int = 0
    more: bool = False
    distinctive: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A published data set's kind of target and its layouts, the first that fits is taken.

    Attributes:
        kind: What the targets are.
        score_range: Lowest and highest target.
        layouts: Headers first.
        hint: Regular expression of the format's name in a file or folder name.
    """

    kind: Kind
    score_range: tuple[float, float]
    layouts: tuple[Layout, ...]
    hint: str


_PLAIN = Layout(Columns("sentence1", "sentence2", "label"))
_PLAIN_ID = Layout(Columns("sentence1", "sentence2", "label", id="id"))
_THREE = Layout(Columns(0, 1, 2), width=3)

FORMATS: dict[str, Format] = {
    "stsb": Format(
        "graded",
        (0, 5),
        (
            # GLUE's TSV, the csv of sentence-transformers, the plain csv, and the original release with licence cells.
            Layout(Columns("sentence1", "sentence2", "score", id="index", source="genre"), distinctive=True),
            Layout(Columns("sentence1", "sentence2", "score", source="genre"), distinctive=True),
            Layout(Columns("sentence1", "sentence2", "score")),
            _THREE,
            Layout(Columns(5, 6, 4, source=0), width=7, more=True),
        ),
        r"sts-?b(enchmark)?|stsbenchmark|sts-(train|dev|test)",
    ),
    "sick": Format(
        "graded",
        (1, 5),
        (Layout(Columns("sentence_A", "sentence_B", "relatedness_score", id="pair_ID"), distinctive=True),),
        "sick",
    ),
    "mrpc": Format(
        "binary",
        (0, 1),
        (
            Layout(Columns("#1 String", "#2 String", "Quality"), distinctive=True),
            _PLAIN,
            Layout(Columns(1, 2, 0), width=3),
            Layout(Columns(3, 4, 0), width=5),
        ),
        "mrpc|msrp?|paraphrase_corpus",
    ),
    "qqp": Format(
        "binary",
        (0, 1),
        (
            Layout(Columns("question1", "question2", "is_duplicate", id="id"), distinctive=True),
            Layout(Columns("question1", "question2", "is_duplicate"), distinctive=True),
            Layout(Columns(1, 2, 0, id=3), width=4),
            Layout(Columns(1, 2, 0), width=3),
        ),
        "qqp|quora",
    ),
    "paws": Format("binary", (0, 1), (_PLAIN_ID, _PLAIN, Layout(Columns(1, 2, 3, id=0), width=4)), "paws-?x?"),
    "lcqmc": Format(
        "binary",
        (0, 1),
        (Layout(Columns("text_a", "text_b", "label"), distinctive=True), _PLAIN, _THREE),
        "lcqmc",
    ),
    "bq": Format("binary", (0, 1), (Layout(Columns("text_a", "text_b", "label")), _PLAIN, _THREE), "bq(_?corpus)?"),
    "atec": Format("binary", (0, 1), (_PLAIN, _THREE, Layout(Columns(1, 2, 3, id=0), width=4)), "atec(_nlp.*)?"),
    "afqmc": Format("binary", (0, 1), (_PLAIN, _THREE, Layout(Columns(1, 2, 3, id=0), width=4)), "afqmc(_public)?"),
    "graded": Format(
        "graded",
        (0, 1),
        (Layout(Columns("sentence1", "sentence2", "score", source="source"), distinctive=True),),
        "graded(_train)?",
    ),
    "paraphrase": Format(
        "positive",
        (0, 1),
        (
            Layout(Columns("sentence1", "sentence2")),
            Layout(Columns("word1", "word2")),
            Layout(Columns(0, 1), width=2),
        ),
        r"paraphrases?|\w*positives|\w*synonyms",
    ),
}

# The names that a generic file gives to its columns, when the caller gives none.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "sentence1": ("sentence1", "sentence_a", "sentence_1", "text_a", "text1", "question1", "premise", "a"),
    "sentence2": ("sentence2", "sentence_b", "sentence_2", "text_b", "text2", "question2", "hypothesis", "b"),
    "target": ("score", "label", "similarity", "target", "gold", "relatedness_score", "is_duplicate"),
    "id": ("id", "pair_id", "index"),
    "group": ("group",),
    "source": ("source",),
}
