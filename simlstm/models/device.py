"""Where to compute."""

import torch


def usable_device(device: str | torch.device | None) -> torch.device:
    """Return a device after placing a tensor on it: a name alone does not tell whether there is such a device.

    Args:
        device: None and "auto" mean CUDA when there is one, else the CPU.

    Raises:
        ValueError: When there is no such device; says why and which there are.
    """
    if device is None or device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: got {str(device)!r}; {reason}; there are: {', '.join(there)}") from error
