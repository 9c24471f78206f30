"""Memory of a server: of its process and all that descend from it."""

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_PROCESSES = Path("/proc")
_SHARE = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
_PAUSE = 0.2  # seconds between samples: the kernel walks all pages for each


def descendants(process: int) -> list[int]:
    """Return the process ids of a process and of all its descendants, itself first.

    Raises:
        OSError: where the system does not list processes as Linux does.
    """
    children: dict[int, list[int]] = {}
    for folder in _PROCESSES.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # The second field, the name in parentheses, may hold anything.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [process]
    for parent in found:
        found += children.get(parent, [])
    return found


def proportional_mib(process: int) -> float:
    """Return the memory of a process and its descendants, in MiB (PSS: pages that they share count once).

    Raises:
        OSError: when the process is gone, or the system does not say.
    """
    kib = 0
    for number in descendants(process):
        try:
            kib += sum(map(int, _SHARE.findall((_PROCESSES / str(number) / "smaps_rollup").read_text())))
        except OSError:
            if number == process:
                raise
    return kib / 1024


@contextlib.contextmanager
def watched(process: int) -> Iterator[list[float]]:
    """Sample ``proportional_mib`` until the block ends, at its begin and end at least; the list grows meanwhile.

    Raises:
        OSError: as ``proportional_mib``, at the begin or the end.
    """
    samples = [proportional_mib(process)]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(_PAUSE):
            with contextlib.suppress(OSError):
                samples.append(proportional_mib(process))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield samples
    finally:
        ended.set()
        watcher.join()
    samples.append(proportional_mib(process))
