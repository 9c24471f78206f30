// How the frozen recurrence multiplies: what h and the weights are kept as, and how a tile of gates is summed.
//
// A path has a State (an element of h), kTogether (elements of h that one multiplication takes), and a Sum (registers of
// one row). Panels are [padded H / kTogether][4][lanes][kTogether]; every path keeps the cell state and the gates in
// float32 and starts a sum from the table of folded inputs, so that only W_hh and h lose precision.
#pragma once

#include "activations.h"
#include "product.h"

namespace SIMLSTM_ISA {

// bfloat16 is the upper half of float32; rounded to nearest, ties to even, as torch does. NaN stays NaN.
INLINE std::uint16_t to_bfloat16(float value) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    if (value != value) return 0x7fc0;
    return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
INLINE float from_bfloat16(std::uint16_t half) {
    const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

#if defined(__AVX512F__)
INLINE Vector load_bfloat16(const std::uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
#elif defined(__AVX2__)
INLINE Vector load_bfloat16(const std::uint16_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
#else
INLINE Vector load_bfloat16(const std::uint16_t* p) {
    Vector result;
    for (Index l = 0; l < kLanes; ++l) result.lane[l] = from_bfloat16(p[l]);
    return result;
}
#endif

INLINE Vector load_table(const float* p) { return load(p); }
INLINE Vector load_table(const std::uint16_t* p) { return load_bfloat16(p); }

// The scale of one output channel: the largest weight becomes 127.
inline float channel_scale(const float* weights, Index count) {
    float largest = 0.0f;
    for (Index k = 0; k < count; ++k) {
        const float size = __builtin_fabsf(weights[k]);
        if (size > largest) largest = size;
    }
    return largest > 0.0f ? largest / 127.0f : 1.0f;
}
INLINE int quantized(float value, float scale) { return static_cast<int>(__builtin_rintf(value / scale)); }

// |h| < 1, because h is a sigmoid times a tanh: one scale serves all.
constexpr float kStateScale = 127.0f;

enum class Rounding { kNone, kBfloat16, kInt8 };

// Products in float32. With a rounding, weights and h first take the values that the lower precision has: for
// processors without instructions for it, and slower than with them.
template <Rounding kRounding>
struct FloatPath {
    using State = float;
    using Entry = std::conditional_t_<kRounding == Rounding::kNone, float, std::uint16_t>;
    static constexpr Index kTogether = 1;

    static Index block_bytes(Index hidden_size) { return hidden_size * kBlock * static_cast<Index>(sizeof(float)); }

    static void pack(const float* w_hh, Index hidden_size, Index block, char* packed) {
        float* panel = reinterpret_cast<float*>(packed);
        pack_block(w_hh, hidden_size, hidden_size, block, panel);
        if (kRounding == Rounding::kNone) return;
        for (Index column = 0; column < kBlock; ++column) {
            const Index unit = block * kLanes + column % kLanes;
            if (unit >= hidden_size) continue;
            const float scale = channel_scale(w_hh + (column / kLanes * hidden_size + unit) * hidden_size, hidden_size);
            for (Index k = 0; k < hidden_size; ++k) {
                float& weight = panel[k * kBlock + column];
                weight = kRounding == Rounding::kBfloat16 ? from_bfloat16(to_bfloat16(weight))
                                                          : static_cast<float>(quantized(weight, scale)) * scale;
            }
        }
    }
};

}  // namespace SIMLSTM_ISA
