// A vector of float32 and what the kernels do with it, for the instruction set that this file is compiled for.
//
// Only intrinsics and plain functions: a function of the standard library compiled here with AVX-512 could be the one
// that the linker keeps for a processor without.
#pragma once

#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define INLINE inline __attribute__((always_inline))
#else
#define INLINE inline
#endif

namespace SIMLSTM_ISA {

using Index = std::int64_t;

#if defined(__AVX512F__)

constexpr Index kLanes = 16;
constexpr int kTileRows = 6;  // 6 x 4 accumulators and 4 weights leave four of the 32 registers
using Vector = __m512;

INLINE Vector load(const float* p) { return _mm512_loadu_ps(p); }
INLINE void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
INLINE __mmask16 first_lanes(Index n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1); }
INLINE Vector load_first(const float* p, Index n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
INLINE void store_first(float* p, Vector v, Index n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
INLINE Vector broadcast(float value) { return _mm512_set1_ps(value); }
INLINE Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
INLINE Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
INLINE Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
INLINE Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
INLINE Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
INLINE Vector minimum(Vector a, Vector b) { return _mm512_min_ps(a, b); }
INLINE Vector maximum(Vector a, Vector b) { return _mm512_max_ps(a, b); }
INLINE Vector nearest_integer(Vector a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Vector times_power_of_two(Vector a, Vector n) { return _mm512_scalef_ps(a, n); }
INLINE Vector magnitude(Vector a) { return _mm512_abs_ps(a); }
INLINE Vector with_sign_of(Vector a, Vector sign) {
    const __m512i bit = _mm512_set1_epi32(static_cast<int>(0x80000000u));
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), _mm512_and_si512(_mm512_castps_si512(sign), bit)));
}
INLINE Vector where_less(Vector a, Vector b, Vector yes, Vector no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

#elif defined(__AVX2__)

constexpr Index kLanes = 8;
constexpr int kTileRows = 3;  // 3 x 4 accumulators, 3 inputs and one weight: all 16 registers
using Vector = __m256;

INLINE __m256i first_lanes(Index n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int count = n >= 8 ? 8 : n <= 0 ? 0 : static_cast<int>(n);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
}
INLINE Vector load(const float* p) { return _mm256_loadu_ps(p); }
INLINE void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
INLINE Vector load_first(const float* p, Index n) { return _mm256_maskload_ps(p, first_lanes(n)); }
INLINE void store_first(float* p, Vector v, Index n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
INLINE Vector broadcast(float value) { return _mm256_set1_ps(value); }
INLINE Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
INLINE Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
INLINE Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
INLINE Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
INLINE Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
INLINE Vector minimum(Vector a, Vector b) { return _mm256_min_ps(a, b); }
INLINE Vector maximum(Vector a, Vector b) { return _mm256_max_ps(a, b); }
INLINE Vector nearest_integer(Vector a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// n is an integer in -126..127.
INLINE Vector times_power_of_two(Vector a, Vector n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
INLINE Vector magnitude(Vector a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE Vector with_sign_of(Vector a, Vector sign) {
    return _mm256_or_ps(a, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}
INLINE Vector where_less(Vector a, Vector b, Vector yes, Vector no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

#else

constexpr Index kLanes = 4;
constexpr int kTileRows = 2;
struct Vector {
    float lane[kLanes];
};

#define EACH_LANE(expression)                              \
    Vector result;                                         \
    for (Index l = 0; l < kLanes; ++l) result.lane[l] = (expression); \
    return result

INLINE Vector load(const float* p) { EACH_LANE(p[l]); }
INLINE void store(float* p, const Vector& v) {
    for (Index l = 0; l < kLanes; ++l) p[l] = v.lane[l];
}
INLINE Vector load_first(const float* p, Index n) { EACH_LANE(l < n ? p[l] : 0.0f); }
INLINE void store_first(float* p, const Vector& v, Index n) {
    for (Index l = 0; l < kLanes && l < n; ++l) p[l] = v.lane[l];
}
INLINE Vector broadcast(float value) { EACH_LANE(value); }
INLINE Vector add(const Vector& a, const Vector& b) { EACH_LANE(a.lane[l] + b.lane[l]); }
INLINE Vector subtract(const Vector& a, const Vector& b) { EACH_LANE(a.lane[l] - b.lane[l]); }
INLINE Vector multiply(const Vector& a, const Vector& b) { EACH_LANE(a.lane[l] * b.lane[l]); }
INLINE Vector divide(const Vector& a, const Vector& b) { EACH_LANE(a.lane[l] / b.lane[l]); }
INLINE Vector multiply_add(const Vector& a, const Vector& b, const Vector& c) { EACH_LANE(a.lane[l] * b.lane[l] + c.lane[l]); }
// As the vector instructions do: the second operand when either is NaN.
INLINE Vector minimum(const Vector& a, const Vector& b) { EACH_LANE(a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l]); }
INLINE Vector maximum(const Vector& a, const Vector& b) { EACH_LANE(a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]); }
INLINE Vector nearest_integer(const Vector& a) { EACH_LANE(__builtin_rintf(a.lane[l])); }
// n is an integer in -126..127, or NaN as a is.
INLINE Vector times_power_of_two(const Vector& a, const Vector& n) {
    EACH_LANE(n.lane[l] == n.lane[l] ? __builtin_ldexpf(a.lane[l], static_cast<int>(n.lane[l])) : a.lane[l]);
}
INLINE Vector magnitude(const Vector& a) { EACH_LANE(__builtin_fabsf(a.lane[l])); }
INLINE Vector with_sign_of(const Vector& a, const Vector& sign) { EACH_LANE(__builtin_copysignf(a.lane[l], sign.lane[l])); }
INLINE Vector where_less(const Vector& a, const Vector& b, const Vector& yes, const Vector& no) {
    EACH_LANE(a.lane[l] < b.lane[l] ? yes.lane[l] : no.lane[l]);
}

#undef EACH_LANE

#endif

constexpr Index kGates = 4;
constexpr Index kBlock = kGates * kLanes;  // floats of one block of gates

INLINE Index rounded_up(Index n, Index unit) { return (n + unit - 1) / unit * unit; }
INLINE Index blocks_of(Index hidden_size) { return (hidden_size + kLanes - 1) / kLanes; }

}  // namespace SIMLSTM_ISA
