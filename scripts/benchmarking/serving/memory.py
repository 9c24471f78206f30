"""Resident memory of a server: of its process and all that descend from it."""

import os
from pathlib import Path

_PROCESSES = Path("/proc")


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


def resident_mib(process: int) -> float:
    """Return the resident memory of a process and its descendants, in MiB; shared pages count in each of them.

    Raises:
        OSError: when the process is gone, or the system does not say.
    """
    pages = 0
    for number in descendants(process):
        try:
            pages += int((_PROCESSES / str(number) / "statm").read_text().split()[1])
        except OSError:
            if number == process:
                raise
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
