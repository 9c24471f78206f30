"""The token table of a transformer: its tokenizer and its input embeddings, without the transformer."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from simlstm.text.tokenizer import Tokenizer

# How the name of the input embeddings ends: BERT and RoBERTa; T5; GPT-2; LLaMA and others; static models.
_NAMES = (
    "word_embeddings.weight",
    "shared.weight",
    "wte.weight",
    "embed_tokens.weight",
    "embeddings",
    "embedding.weight",
)


def read_token_table(folder: str | Path) -> tuple[Tokenizer, Tensor]:
    """Read the tokenizer and the token embeddings of a transformer's folder.

    Args:
        folder: Has ``tokenizer.json`` and the weights as ``*.safetensors``, in one file or several.

    Returns:
        The tokenizer, and a float32 tensor [vocabulary, I] with a row for each of its ids.

    Raises:
        ValueError: A file is missing or damaged, no tensor can be the table, or several can.
    """
    folder = Path(folder)
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder}: no tokenizer.json; allowed: a folder with tokenizer.json and *.safetensors")
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
    shapes = _read_shapes(folder)
    path, name = _find_table(folder, shapes, tokenizer.vocabulary_size)
    with safe_open(path, framework="pt") as weights:
        table: Tensor = weights.get_tensor(name)
    # Some tables are padded to a round number of rows.
    return tokenizer, table[: tokenizer.vocabulary_size].float().contiguous()


def _read_shapes(folder: Path) -> dict[tuple[Path, str], tuple[int, ...]]:
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ValueError(f"{folder}: no *.safetensors; allowed: a folder with tokenizer.json and *.safetensors")
    shapes: dict[tuple[Path, str], tuple[int, ...]] = {}
    for path in paths:
        try:
            with safe_open(path, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 (no mapping: it cannot be iterated)
                    shapes[path, name] = tuple(weights.get_slice(name).get_shape())
        except SafetensorError as error:
            raise ValueError(f"{path}: not a safetensors file: {error}") from error
    return shapes


def _find_table(
    folder: Path, shapes: dict[tuple[Path, str], tuple[int, ...]], vocabulary_size: int
) -> tuple[Path, str]:
    """Choose by name, else the only matrix with a row for each token."""
    matrices = {key: shape for key, shape in shapes.items() if len(shape) == 2 and shape[0] >= vocabulary_size}
    named = [key for key in matrices if key[1].endswith(_NAMES)]
    candidates = named or list(matrices)
    if len(candidates) != 1:
        came = ", ".join(f"{name} {list(shapes[path, name])}" for path, name in candidates) or "none"
        raise ValueError(f"{folder}: matrices of {vocabulary_size} rows and more: {came}; allowed: one")
    return candidates[0]
