"""Finding and loading the shared library, and choosing an instruction set."""

import ctypes
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simlstm.rnn.backends.native.structures import SIGNATURES

logger = logging.getLogger(__name__)

SETTING = "SIMLSTM_NATIVE"
LIBRARY_SETTING = "SIMLSTM_NATIVE_LIBRARY"


@dataclass(frozen=True)
class Kernels:
    """The kernels of one instruction set.

    Attributes:
        name: "portable", "avx2", "avx512" or "avx512-bf16".
        number: What the library calls them by.
        lanes: float32 numbers in a vector; hidden units are stored in blocks of as many.
        functions: The loaded library.
    """

    name: str
    number: int
    lanes: int
    functions: ctypes.CDLL

    def run(self, function: str, call: ctypes.Structure) -> None:
        """Call a function of the library on a filled structure.

        Raises:
            MemoryError: the library found no memory for its scratch.
        """
        if not getattr(self.functions, function)(self.number, ctypes.byref(call)):
            raise MemoryError(f"{function}: no memory for the kernels' workspace")


_forced: Kernels | None = None


def kernels() -> Kernels | None:
    """Return the kernels in use: the fastest this processor runs, or what SIMLSTM_NATIVE names; None without a library.

    The environment is read once.

    Raises:
        ValueError: SIMLSTM_NATIVE names no instruction set that the library has and this processor runs.
    """
    return _forced if _forced is not None else _chosen()


def instruction_set() -> str | None:
    """Return the name of the instruction set in use, None when the native backend is not."""
    chosen = kernels()
    return None if chosen is None else chosen.name


def runnable() -> list[str]:
    """Return the instruction sets that the library has and this processor runs, plainest first."""
    return list(_runnable())


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Use one instruction set for the calls inside; not for use from several threads.

    Raises:
        ValueError: this processor does not run it.
    """
    global _forced
    before, _forced = _forced, _named(name)
    try:
        yield
    finally:
        _forced = before


@cache
def _chosen() -> Kernels | None:
    setting = os.environ.get(SETTING, "auto")
    if setting == "off":
        return None
    available = _runnable()
    if setting == "auto":
        return available[list(available)[-1]] if available else None
    return _named(setting)


def _named(name: str) -> Kernels:
    available = _runnable()
    if name not in available:
        raise ValueError(f"{SETTING} must be auto, off or one of {list(available)} on this machine, got {name!r}")
    return available[name]


@cache
def _runnable() -> dict[str, Kernels]:
    library = _load()
    if library is None:
        return {}
    found = {}
    for number in range(library.simlstm_sets()):
        if library.simlstm_runs_here(number):
            name = library.simlstm_name(number).decode()
            found[name] = Kernels(name, number, library.simlstm_lanes(number), library)
    return found


def _load() -> ctypes.CDLL | None:
    named = os.environ.get(LIBRARY_SETTING)
    files = [Path(named)] if named else sorted(Path(__file__).parent.glob("_simlstm*.so"))
    if not files:
        logger.info("no native kernels were built (no C++ compiler at installation); torch operations run instead")
        return None
    try:
        library = ctypes.CDLL(str(files[0]))
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        built_from = library.simlstm_sources().decode()
    except (OSError, AttributeError) as error:
        logger.warning("the native kernels in %s cannot be used; torch operations run instead: %s", files[0], error)
        return None
    if built_from != (sources := _sources()) and sources is not None:
        logger.warning(
            "the native kernels in %s were built from other sources; torch operations run instead until they are "
            "built again (make setup, or pip install)",
            files[0],
        )
        return None
    return library


def _sources() -> str | None:
    """Return what setup.py calls the sources that lie here; None where the package is installed without all of them."""
    folder = Path(__file__).parent
    sources, headers = list(folder.glob("*.cpp")), list(folder.glob("*.h"))
    if not sources or not headers:
        return None
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted([*sources, *headers]))).hexdigest()
