"""API keys: where they come from, and whether one is right."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_KEY = re.compile(r"[!-~]+")


def split_keys(text: str) -> tuple[str, ...]:
    """Split comma-separated keys; no text, no keys.

    Raises:
        ValueError: when there is text but no key, or a key that a header cannot carry; no key is repeated.
    """
    keys = tuple(key for key in (piece.strip() for piece in text.split(",")) if key)
    if text and not keys:
        raise ValueError("api_keys is set but holds no key: leave it out to serve without keys, or name at least one")
    _check(keys, "api_keys")
    return keys


def read_keys(path: str) -> tuple[str, ...]:
    """Read a file with one key a line; empty lines, and lines that begin with ``#``, are passed over.

    Raises:
        ValueError: naming the file, when it cannot be read, holds no key, or one that a header cannot carry.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"api_keys_file: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"api_keys_file: {path} is not UTF-8") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))
    if not keys:
        raise ValueError(f"api_keys_file: {path} holds no key: write one a line, or leave the setting out")
    _check(keys, f"api_keys_file: {path}")
    return keys


def hash_key(key: str) -> bytes:
    """Return what keys are compared by: hashes have one length, which tells nothing of a key's."""
    return hashlib.sha256(key.encode()).digest()


def is_accepted(given: str, hashes: Iterable[bytes]) -> bool:
    """Say whether a key's hash is among these; each one is compared, in a time that tells nothing about them."""
    presented = hash_key(given)
    matches = [hmac.compare_digest(presented, accepted) for accepted in hashes]
    return any(matches)


def _check(keys: Sequence[str], place: str) -> None:
    for number, key in enumerate(keys, start=1):
        if not _KEY.fullmatch(key):
            raise ValueError(f"{place}: key {number} holds a space or a character beyond ASCII, which headers garble")
