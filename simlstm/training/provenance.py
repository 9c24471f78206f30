"""Where a checkpoint comes from: data, command, code, versions."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from simlstm.data.pairs import PairData
from simlstm.data.sentences import SentenceData
from simlstm.version import __version__

_PACKAGES = ("numpy", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch")


def describe_data(sources: Iterable[PairData]) -> list[dict[str, Any]]:
    """Return name, number of pairs, kind and hash of each source."""
    return [
        {"name": source.name, "pairs": len(source), "kind": source.kind, "sha256": source.sha256} for source in sources
    ]


def describe_sentences(sources: Iterable[SentenceData]) -> list[dict[str, Any]]:
    """Return name, number of sentences and hash of each source without labels."""
    return [{"name": source.name, "sentences": len(source), "sha256": source.sha256} for source in sources]


def describe_software(device: torch.device) -> dict[str, Any]:
    """Return versions, the machine, and the commit of the code when it runs from a git working tree."""
    return {
        "versions": {
            "simlstm": __version__,
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in _PACKAGES},
        },
        "commit": code_commit(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
    }


def command_line() -> str:
    """Return the command that started this process, as a shell takes it."""
    return shell_command(command_words())


def command_words() -> list[str]:
    """Return that command's words behind the interpreter; for a process that torchrun launched, torchrun's.

    On several machines torchrun had a rendezvous, too, which no process is told.
    """
    words = sys.orig_argv[1:]  # as typed: the console command rewrites sys.argv
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return words
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"]]
    if (machines := os.environ["GROUP_WORLD_SIZE"]) != "1":
        launcher += ["--nnodes", machines]
    return [*launcher, *words[words[:1] == ["-u"] :]]


def shell_command(words: Sequence[str]) -> str:
    """Quote a command's words for a shell; a script or an option of the interpreter gets ``python`` in front."""
    for_python = any(word.startswith("-") or word.endswith(".py") for word in words[:1])
    return shlex.join(["python", *words] if for_python else words)


def code_commit() -> str | None:
    """Return the commit of the package's own working tree, with ``+changes`` when it was edited; None without git.

    A package installed inside somebody else's repository is not that repository's code: git must track this file.
    """
    here = Path(__file__).resolve()
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        commit = _git(here.parent, "rev-parse", "HEAD")
        changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    """Run one git command, and return what it says."""
    result = subprocess.run(  # noqa: S603 - the arguments are our own
        ["git", *arguments],  # noqa: S607 - whichever git the user has
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    return result.stdout.strip()
