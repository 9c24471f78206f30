"""Nothing is timed that computes something else: a fast wrong layer is worth nothing."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cosine_similarity

# Worst accepted difference over the largest value, float32: summation order differs, and ONNX Runtime's rational tanh
# is good to a few 1e-6; nothing else may differ. Gradients add up thousands of rows in different orders.
OUTPUTS = 1e-5
GRADIENTS = 1e-4


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference over the largest value of ``theirs``; 0 when both are zero everywhere.

    Raises:
        RuntimeError: when the shapes differ.
    """
    if ours.shape != theirs.shape:
        raise RuntimeError(f"parity failed: shapes {list(ours.shape)} and {list(theirs.shape)}; no speed reported")
    difference = (ours - theirs).abs().max()
    return 0.0 if difference == 0 else float(difference / theirs.abs().max())


def check_close(name: str, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, allowed: float) -> float:
    """Compare every tensor that a candidate shows with the reference's of the same name.

    Args:
        name: The candidate, for the message.
        ours: What it computed; at least one tensor.
        theirs: What is right; may hold more.
        allowed: Largest accepted relative difference.

    Returns:
        The largest relative difference.

    Raises:
        RuntimeError: when one is larger than allowed, or not a number.
    """
    differences = {key: relative_difference(tensor, theirs[key]) for key, tensor in ours.items()}
    for key, difference in differences.items():
        if not difference <= allowed:  # NaN is not, either
            raise RuntimeError(
                f"parity failed: {name}, {key}: relative difference {difference:.1e}, allowed {allowed:.0e}; "
                "no speed reported"
            )
    return max(differences.values())


def check_cosine(name: str, ours: Tensor, theirs: Tensor, *, allowed: float) -> float:
    """Compare vectors [n, D] row by row, for candidates of lower precision.

    Returns:
        The lowest cosine.

    Raises:
        RuntimeError: when it is below ``allowed``, or not a number.
    """
    lowest = float(cosine_similarity(ours.double(), theirs.double(), dim=1).min())
    if not lowest >= allowed:
        raise RuntimeError(f"parity failed: {name}: cosine {lowest:.6f}, at least {allowed}; no speed reported")
    return lowest
