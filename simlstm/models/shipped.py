"""The checkpoints that come with the package, and what a model's name means."""

from pathlib import Path
from typing import Final

from simlstm.models.atomic import WHOLE
from simlstm.models.folder import CONFIG, CheckpointError

FOLDER: Final = Path(__file__).resolve().parents[1] / "checkpoints"
SHIPPED: tuple[str, ...] = ("en", "zh")


def checkpoint_folder(model: str | Path) -> Path:
    """Find the folder of a checkpoint from what somebody calls it.

    A ``Path``, and a text with a separator ("./en", "runs/en"), is a folder. A text without one is a checkpoint folder
    of the working directory if there is such a checkpoint, else the name of a shipped one: an empty or unrelated folder
    called "en" hides nothing, and one's own checkpoint goes first.

    Args:
        model: Folder or name.

    Returns:
        The folder; whether it holds a sound checkpoint is for ``read_checkpoint`` to say.

    Raises:
        CheckpointError: If a text without a separator is neither; lists the shipped names.
    """
    folder = Path(model)
    if not isinstance(model, str) or folder.name != model:
        return folder
    if (folder / CONFIG).exists() or (folder / WHOLE / CONFIG).exists():
        return folder
    if model in SHIPPED:
        return FOLDER / model
    if folder.exists():
        return folder  # the reader says what is wrong with it
    raise CheckpointError(
        f"{model}: there is no such folder, and no shipped checkpoint of that name "
        f"(shipped: {', '.join(SHIPPED) or 'none'}); a model is the name of a shipped checkpoint, or the folder "
        f"of one, which holds {CONFIG}"
    )
