"""Resident memory of this process, as Linux counts it."""

from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident_mib() -> float | None:
    """Return the resident memory now, in MiB; None where the system does not say."""
    return _status("VmRSS")


def peak_resident_mib() -> float | None:
    """Return the highest resident memory since ``forget_peak``, in MiB; None where the system does not say."""
    return _status("VmHWM")


def forget_peak() -> bool:
    """Let the peak begin anew at what is resident now; return whether the system can do that."""
    try:
        _RESET.write_text("5", encoding="ascii")  # 5 resets VmHWM, see proc(5)
    except OSError:
        return False
    return True


def _status(name: str) -> float | None:
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return None
