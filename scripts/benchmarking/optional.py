"""Packages that only a peer or a teacher needs."""

import importlib
from types import ModuleType


class MissingPackageError(RuntimeError):
    """The package of a peer or a teacher is not installed."""


def load_package(name: str, *, purpose: str, extra: str = "bench") -> ModuleType:
    """Import a package of an extra.

    Raises:
        MissingPackageError: when it is not installed; says what it is for and how to get it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'{purpose}: the package {error.name!r} is missing; pip install "simlstm[{extra}]"'
        ) from error
