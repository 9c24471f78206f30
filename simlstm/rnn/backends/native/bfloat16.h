// bfloat16: the upper half of a float32, rounded to nearest, ties to even, as torch does. NaN stays NaN.
#pragma once

#include "vectors.h"

namespace SIMLSTM_ISA {

INLINE std::uint16_t to_bfloat16(float value) {
    if (value != value) return 0x7fc0;
    std::uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

INLINE float from_bfloat16(std::uint16_t half) {
    const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

// Entries of the table of gates: float32, or bfloat16 beside low precision.
INLINE Vector load_entries(const float* p) { return load(p); }
INLINE Vector load_entries(const std::uint16_t* p) {
#if defined(__AVX512F__)
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
#elif defined(__AVX2__)
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
#else
    Vector result;
    for (Index l = 0; l < kLanes; ++l) result.lane[l] = from_bfloat16(p[l]);
    return result;
#endif
}

INLINE void store_entries(float* p, Vector v) { store(p, v); }
INLINE void store_entries(std::uint16_t* p, Vector v) {
    float values[kLanes];
    store(values, v);
    for (Index l = 0; l < kLanes; ++l) p[l] = to_bfloat16(values[l]);
}

}  // namespace SIMLSTM_ISA
