"""Messages between server and worker: a length, a JSON header, and bytes behind it."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

_LENGTHS = struct.Struct("<QI")  # of the whole message behind this, of its header

Header = dict[str, Any]


def pack(header: Header, *blobs: bytes | memoryview) -> bytes:
    """Write one message; the reader gets the blobs as one."""
    text = orjson.dumps(header, option=orjson.OPT_SERIALIZE_NUMPY)
    size = len(text) + sum(len(blob) for blob in blobs)
    return b"".join((_LENGTHS.pack(size, len(text)), text, *blobs))


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[tuple[Header, bytes]]:
        """Take what has arrived, and give every message that is whole."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTHS.size:
            size, header_size = _LENGTHS.unpack_from(self._buffer, start)
            body = start + _LENGTHS.size
            if len(self._buffer) < body + size:
                break
            start = body + size
            with memoryview(self._buffer) as view:
                header: Header = orjson.loads(view[body : body + header_size])
                blob = bytes(view[body + header_size : start])
            yield header, blob
        del self._buffer[:start]


def split(blob: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes into parts of these sizes."""
    start = 0
    for size in sizes:
        yield blob[start : start + size]
        start += size
