"""Reading what publishers offer: lines and JSON, with errors that name the file and the line."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simlstm.data.errors import DataError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number (from 1) and text of each line that is not blank, of a text or a gzip file.

    Only line feeds end a line, with or without a carriage return before them.

    Raises:
        DataError: It is no whole gzip file, or a line is no UTF-8 text.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: not a whole gzip file: {error}") from error
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            text = line.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number}: byte {error.start} of the line is no UTF-8 text") from error
        if text.strip():
            yield number, text


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: It is no JSON in UTF-8.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error


def hash_files(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, in hexadecimal; of several, the one of their list as ``sha256sum`` prints it."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    if len(files) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()
