"""Packages that only a peer needs."""

import importlib
from types import ModuleType


class MissingPackageError(RuntimeError):
    """A peer's package is not installed."""


def load_package(name: str, *, purpose: str) -> ModuleType:
    """Import a package of the extra ``bench``.

    Raises:
        MissingPackageError: when it is not installed; says what it is for and how to get it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'{purpose}: the package {error.name!r} is missing; pip install "simlstm[bench]"'
        ) from error
