"""Real sentences to encode."""

from pathlib import Path

from simlstm.data.demo import demo_pairs


def read_sentences(file: Path | None, count: int) -> tuple[list[str], str]:
    """Read distinct sentences, one a line, or take those of the embedded demo corpus.

    Args:
        file: UTF-8 text; None for the demo corpus (English), whose sentences are generated.
        count: How many.

    Returns:
        The sentences in the order of the source, and the name of the source.

    Raises:
        ValueError: when the source has fewer distinct sentences.
        OSError: when the file cannot be read.
    """
    if file is None:
        pairs = demo_pairs("train", language="en", size=2 * count)
        lines, source = pairs.sentences1 + pairs.sentences2, "the embedded demo corpus, English"
    else:
        lines, source = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()], file.name
    distinct = list(dict.fromkeys(line for line in lines if line))
    if len(distinct) < count:
        raise ValueError(f"{source}: {len(distinct)} distinct sentences, {count} were asked for")
    return distinct[:count], source
