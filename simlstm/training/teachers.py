"""Teachers: sentence encoders whose vectors are computed once for each text, and kept on the disk."""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray

from simlstm.training.licence import licence_of
from simlstm.training.teacher_models import Encode, load_teacher, resolved_precision

logger = logging.getLogger(__name__)

_TEXTS_OF_A_SHARD = 8192
_BUFFER = 2**20
# What decides the vectors: weights, tokenizer and settings; not a card, and no other framework's copy of the weights.
_DECIDING = (".safetensors", ".bin", ".json", ".txt", ".model")
_NOT_DECIDING = re.compile(r"(^|/)(\.|onnx/|openvino/|state/|tensorboard/|metrics\.json)|(^|/)(vocab_backup)")


class TeacherCache:
    """The vectors of one teacher.

    They lie in a folder named after the teacher, the hash of its files and the precision, in shards that are only ever
    added: a shard is one safetensors file, which appears by renaming and carries the hash of its bytes in its name.
    What a crash leaves half written is never read.

    Args:
        teacher: Folder of a sentence-transformers model, or of a simlstm checkpoint.
        cache: Folder of all caches; made when something is kept.
        precision: ``bf16``, ``float32``, or ``auto``: bf16 where the device has it.

    Attributes:
        folder: Where this teacher's vectors lie.

    Raises:
        ValueError: When there is no teacher in the folder.
    """

    def __init__(self, teacher: str | Path, cache: str | Path = "cache/teachers", *, precision: str = "auto") -> None:
        self.teacher = Path(teacher)
        if not self.teacher.is_dir():
            raise ValueError(f"teacher: {teacher} is no folder; allowed: that of a sentence-transformers model, or of "
                             "a simlstm checkpoint")  # fmt: skip
        self.sha256 = hash_of_files(self.teacher)
        self.precision = resolved_precision(precision)
        name = self.teacher.resolve().name
        self.folder = Path(cache) / f"{name}-{self.sha256[:16]}-{self.precision}"
        self._encode: Encode | None = None

    def description(self) -> dict[str, Any]:
        """Return what provenance records: name, hash, precision, and the licence that the teacher's card names."""
        licence = licence_of(self.teacher / "README.md")
        found = {} if licence is None else {"licence": licence}
        name = self.teacher.resolve().name
        return {"name": name, "sha256": self.sha256, "precision": self.precision, **found}

    def width(self) -> int:
        """Return the number of elements of a vector."""
        for shard in self._shards():
            return int(_read_shard(shard)["vectors"].shape[1])
        return int(self._encoder()([""]).shape[1])

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Return the teacher's vectors, float16 [n, E], and encode and keep those that are not kept yet.

        Args:
            texts: Any strings.

        Raises:
            ValueError: For a damaged file of the cache; it says which one to delete.
            ImportError: When the teacher has to be loaded, and sentence-transformers is not installed.
        """
        self.fill(texts)
        wanted: dict[bytes, list[int]] = {}
        for row, key in enumerate(map(_key, texts)):
            wanted.setdefault(key, []).append(row)
        result: NDArray[np.float16] | None = None
        for shard in self._shards():
            tensors = _read_shard(shard)
            keys = [row.tobytes() for row in tensors["keys"]]
            if result is None:
                result = np.empty((len(texts), tensors["vectors"].shape[1]), dtype=np.float16)
            for at, key in enumerate(keys):
                if (rows := wanted.pop(key, None)) is not None:  # the oldest shard counts, whatever comes later
                    result[rows] = tensors["vectors"][at]
        if wanted or result is None:
            raise ValueError(f"{self.folder}: {len(wanted)} vectors are missing; was it changed at the same time?")
        return result

    def fill(self, texts: Iterable[str]) -> None:
        """Encode and keep what is not kept yet, see `filling`."""
        for _ in self.filling(texts):
            pass

    def filling(self, texts: Iterable[str]) -> Iterator[int]:
        """Encode and keep what is not kept yet, longest texts first, and log how far it is.

        Yields:
            After each shard, how many texts are new in the cache.
        """
        there = self._keys()
        missing = {key: text for text in texts if (key := _key(text)) not in there}
        if not missing:
            return
        order = sorted(missing.items(), key=lambda item: (-len(item[1]), item[1]))
        encode = self._encoder()
        started = time.perf_counter()
        for start in range(0, len(order), _TEXTS_OF_A_SHARD):
            part = order[start : start + _TEXTS_OF_A_SHARD]
            with torch.random.fork_rng():  # what training draws is the same, whether the cache was full or not
                vectors = encode([text for _, text in part])
            if not np.isfinite(vectors).all() or np.abs(vectors).max() > np.finfo(np.float16).max:
                raise ValueError(f"teacher: {self.teacher} gives vectors that float16 cannot hold")
            self._keep([key for key, _ in part], vectors.astype(np.float16))
            done = start + len(part)
            rate = done / (time.perf_counter() - started)
            logger.info(
                "teacher: %s of %s new texts, %.0f a second, %.0f s to go",
                f"{done:,}", f"{len(order):,}", rate, (len(order) - done) / rate,
            )  # fmt: skip
            yield done
        self._encode = None  # its memory is training's now

    def _encoder(self) -> Encode:
        if self._encode is None:
            with torch.random.fork_rng():
                self._encode = load_teacher(self.teacher, self.precision)
        return self._encode

    def _keep(self, keys: list[bytes], vectors: NDArray[np.float16]) -> None:
        """Write one shard; what another process kept in the meantime stays as it kept it."""
        there = self._keys()
        new = [row for row, key in enumerate(keys) if key not in there]
        if not new:
            return
        rows = np.frombuffer(b"".join(keys[row] for row in new), dtype=np.uint8).reshape(len(new), -1)
        content = safetensors.numpy.save({"keys": rows, "vectors": vectors[new]})
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{len(self._shards()):06d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        partial = self.folder / f".{name}.partial"
        partial.write_bytes(content)
        partial.replace(self.folder / name)

    def _keys(self) -> set[bytes]:
        return {row.tobytes() for shard in self._shards() for row in _read_shard(shard, keys_only=True)["keys"]}

    def _shards(self) -> list[Path]:
        """Return the shards, oldest first."""
        return sorted(self.folder.glob("[0-9]*.safetensors"))


def _read_shard(path: Path, *, keys_only: bool = False) -> dict[str, NDArray[Any]]:
    """Read a shard, and compare it with the hash in its name, unless only its keys are wanted.

    Raises:
        ValueError: Naming a damaged file.
    """
    hint = f"{path}: damaged; delete this file, and its texts are encoded again"
    try:
        if keys_only:
            with safetensors.safe_open(path, framework="numpy") as file:
                return {"keys": file.get_tensor("keys")}
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:32] != path.stem.partition("-")[2]:
            raise ValueError(hint)
        return safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{hint} ({error})") from error


def _key(text: str) -> bytes:
    """Return what a text is kept under."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def hash_of_files(folder: Path) -> str:
    """Hash the names and the bytes of a model's files that decide its vectors: weights, tokenizer, settings."""
    digest = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in _DECIDING}
    for name, path in sorted(files.items()):
        if path.is_file() and not _NOT_DECIDING.search(name):
            with path.open("rb") as file:
                digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
