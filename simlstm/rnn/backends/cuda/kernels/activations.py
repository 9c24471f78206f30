"""The activations of a step, inside a kernel."""

import triton
import triton.language as tl


@triton.jit
def tanh(x, APPROXIMATE: tl.constexpr):
    """Return tanh of float32 x.

    Approximate, it is the hardware's own instruction: relative error 2**-11, as coarse as h in 16 bits. Otherwise the
    error is some 1e-7: an odd polynomial where 1 - exp(-2x) would cancel.
    """
    if APPROXIMATE:
        result = tl.inline_asm_elementwise(
            "tanh.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        magnitude = tl.abs(x)
        decay = tl.exp(-2.0 * magnitude)
        square = x * x
        series = 1.0 + square * (
            -0.3333333333 + square * (0.1333333333 + square * (-0.05396825397 + square * 0.02186948854))
        )
        result = tl.where(magnitude < 0.3, magnitude * series, (1.0 - decay) / (1.0 + decay))
        result = tl.where(x < 0.0, -result, result)
    return result


@triton.jit
def sigmoid(x, APPROXIMATE: tl.constexpr):
    """Return the logistic function of float32 x; approximate, through the hardware's tanh."""
    if APPROXIMATE:  # noqa: SIM108 - decided when it is compiled
        result = 0.5 * tanh(0.5 * x, APPROXIMATE) + 0.5
    else:
        result = 1.0 / (1.0 + tl.exp(-x))
    return result
