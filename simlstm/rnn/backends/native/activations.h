// sigmoid and tanh on vectors of float32.
//
// exp splits x into n ln 2 + r, |r| <= ln 2 / 2, and sums a polynomial in r; coefficients are minimax fits (Lawson's
// iteration on a Chebyshev grid), largest relative error 3.2e-9 for exp and 4.1e-9 for tanh before rounding.
#pragma once

#include "vectors.h"

namespace SIMLSTM_ISA {

// exp(x) for x that is not NaN; clamped to where the result is a normal number. NaN gives NaN.
INLINE Vector exponential(Vector x) {
    x = minimum(broadcast(87.0f), maximum(broadcast(-87.0f), x));
    const Vector n = nearest_integer(multiply(x, broadcast(1.44269504088896341f)));
    Vector r = multiply_add(n, broadcast(-0.693359375f), x);       // ln 2 in two parts: n times
    r = multiply_add(n, broadcast(2.12194440e-4f), r);             // the first has no rounding error
    Vector p = broadcast(1.395083381794393e-3f);
    p = multiply_add(p, r, broadcast(8.369088172912598e-3f));
    p = multiply_add(p, r, broadcast(4.166620224714279e-2f));
    p = multiply_add(p, r, broadcast(1.6666516661643982e-1f));
    p = multiply_add(p, r, broadcast(0.5f));
    p = multiply_add(multiply(p, r), r, r);
    return times_power_of_two(add(p, broadcast(1.0f)), n);
}

INLINE Vector sigmoid(Vector x) {
    const Vector one = broadcast(1.0f);
    return divide(one, add(one, exponential(subtract(broadcast(0.0f), x))));
}

// Near zero x + x^3 P(x^2), so that small values keep their relative precision; else 1 - 2 / (exp(2|x|) + 1).
INLINE Vector hyperbolic_tangent(Vector x) {
    const Vector size = magnitude(x);
    const Vector z = multiply(x, x);
    Vector p = broadcast(-5.717036779969931e-3f);
    p = multiply_add(p, z, broadcast(2.0650578662753105e-2f));
    p = multiply_add(p, z, broadcast(-5.374349653720856e-2f));
    p = multiply_add(p, z, broadcast(1.3331490755081177e-1f));
    p = multiply_add(p, z, broadcast(-3.333328366279602e-1f));
    const Vector near_zero = multiply_add(multiply(p, z), x, x);
    const Vector e = exponential(add(size, size));
    const Vector far = subtract(broadcast(1.0f), divide(broadcast(2.0f), add(e, broadcast(1.0f))));
    return where_less(size, broadcast(0.625f), near_zero, with_sign_of(far, x));
}

}  // namespace SIMLSTM_ISA
