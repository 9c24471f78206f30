// How the frozen recurrence multiplies: what h and W_hh are kept as, and how the gates of a tile of rows are summed.
//
// A path names State (an element of h), Entry (of the table of gates), kTogether (elements of h that one multiplication
// takes) and Sums (the registers of a tile). The panel of a block is [padded H / kTogether][4][lanes][kTogether]. Cell
// states and gates are float32 in every path: only W_hh, h and the table lose precision.
#pragma once

#include "activations.h"
#include "bfloat16.h"
#include "product.h"

namespace SIMLSTM_ISA {

// |h| < 1, because h is a sigmoid times a tanh: one scale serves every h.
constexpr float kStateScale = 127.0f;

// The scale of the weights of one gate of one unit: the largest becomes 127.
inline float channel_scale(const float* weights, Index count) {
    float largest = 0.0f;
    for (Index k = 0; k < count; ++k) largest = __builtin_fabsf(weights[k]) > largest ? __builtin_fabsf(weights[k]) : largest;
    return largest > 0.0f ? largest / 127.0f : 1.0f;
}
INLINE float quantized(float value, float scale) { return __builtin_rintf(value / scale); }

// Exact: everything in float32.
struct FloatPath {
    using State = float;
    using Entry = float;
    static constexpr Index kTogether = 1;
    template <int Rows>
    struct Sums : Tile<Rows> {
        INLINE void begin(int row, const Entry* entries) {
            for (int j = 0; j < 4; ++j) this->sum[row][j] = load_entries(entries + j * kLanes);
        }
        INLINE void multiply(const State* const* left, Index depth, const char* panel) {
            this->multiply_add_panel(left, 1, depth, reinterpret_cast<const float*>(panel));
        }
        INLINE Vector gate(int row, int j, const Entry*, const char*) const { return this->sum[row][j]; }
    };

    static constexpr Index kHeadBytes = 0;
    static void pack(const float* w_hh, Index hidden_size, Index block, char* packed) {
        pack_block(w_hh, hidden_size, hidden_size, block, reinterpret_cast<float*>(packed));
        float* rest = reinterpret_cast<float*>(packed) + hidden_size * kBlock;
        for (Index i = 0; i < (blocks_of(hidden_size) * kLanes - hidden_size) * kBlock; ++i) rest[i] = 0.0f;
    }
    INLINE static void store_state(State* p, Vector h) { store(p, h); }
    INLINE static Vector sigmoid(Vector x) { return SIMLSTM_ISA::sigmoid(x); }
    INLINE static Vector tanh(Vector x) { return hyperbolic_tangent(x); }
};

// For processors without instructions for low precision: the values that it has, multiplied in float32.
struct RoundedPath : FloatPath {
    using Entry = std::uint16_t;
    template <int Rows>
    struct Sums : FloatPath::Sums<Rows> {
        INLINE void begin(int row, const Entry* entries) {
            for (int j = 0; j < 4; ++j) this->sum[row][j] = load_entries(entries + j * kLanes);
        }
        INLINE Vector gate(int row, int j, const Entry*, const char*) const { return this->sum[row][j]; }
    };
};

struct RoundedBfloat16Path : RoundedPath {
    static void pack(const float* w_hh, Index hidden_size, Index block, char* packed) {
        FloatPath::pack(w_hh, hidden_size, block, packed);
        float* panel = reinterpret_cast<float*>(packed);
        for (Index i = 0; i < hidden_size * kBlock; ++i) panel[i] = from_bfloat16(to_bfloat16(panel[i]));
    }
    INLINE static void store_state(State* p, Vector h) {
        store(p, h);
        for (Index l = 0; l < kLanes; ++l) p[l] = from_bfloat16(to_bfloat16(p[l]));
    }
};

struct RoundedInt8Path : RoundedPath {
    static void pack(const float* w_hh, Index hidden_size, Index block, char* packed) {
        FloatPath::pack(w_hh, hidden_size, block, packed);
        float* panel = reinterpret_cast<float*>(packed);
        for (Index column = 0; column < kBlock; ++column) {
            const Index unit = block * kLanes + column % kLanes;
            if (unit >= hidden_size) continue;
            const float scale = channel_scale(w_hh + (column / kLanes * hidden_size + unit) * hidden_size, hidden_size);
            for (Index k = 0; k < hidden_size; ++k) panel[k * kBlock + column] = quantized(panel[k * kBlock + column], scale) * scale;
        }
    }
    INLINE static void store_state(State* p, Vector h) {
        store_entries(p, divide(nearest_integer(multiply(h, broadcast(kStateScale))), broadcast(kStateScale)));
    }
};

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)

// Fast forms for low precision, absolute error below 2e-4: 2^x from its integer part and a quartic that is exact at
// whole numbers (largest relative error 3.4e-6), and the reciprocal to 14 bits.
INLINE Vector fast_sigmoid_of(Vector x, float factor) {
    const Vector t = multiply(x, broadcast(factor * -1.44269504088896341f));
    const Vector fraction = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    Vector p = broadcast(1.3555742800235748e-2f);
    p = multiply_add(p, fraction, broadcast(5.203237757086754e-2f));
    p = multiply_add(p, fraction, broadcast(2.413797676563263e-1f));
    p = multiply_add(p, fraction, broadcast(6.930321455001831e-1f));
    p = multiply_add(p, fraction, broadcast(1.0f));
    return _mm512_rcp14_ps(add(broadcast(1.0f), _mm512_scalef_ps(p, t)));
}

struct FastActivations {
    INLINE static Vector sigmoid(Vector x) { return fast_sigmoid_of(x, 1.0f); }
    INLINE static Vector tanh(Vector x) { return multiply_add(broadcast(2.0f), fast_sigmoid_of(x, 2.0f), broadcast(-1.0f)); }
};

struct Bfloat16Path : FastActivations {
    using State = std::uint16_t;
    using Entry = std::uint16_t;
    static constexpr Index kTogether = 2;
    template <int Rows>
    struct Sums : Tile<Rows> {
        INLINE void begin(int row, const Entry* entries) {
            for (int j = 0; j < 4; ++j) this->sum[row][j] = load_entries(entries + j * kLanes);
        }
        INLINE void multiply(const State* const* left, Index depth, const char* panel) {
            const State* a[Rows];
            for (int row = 0; row < Rows; ++row) a[row] = left[row];
            for (Index k = 0; k < depth; ++k, panel += 4 * 64) {
                __m512bh b[4];
                for (int j = 0; j < 4; ++j) b[j] = (__m512bh)_mm512_loadu_si512(panel + j * 64);
                for (int row = 0; row < Rows; ++row) {
                    std::uint32_t pair;
                    __builtin_memcpy(&pair, a[row] + 2 * k, 4);
                    const __m512bh h = (__m512bh)_mm512_set1_epi32(static_cast<int>(pair));
                    for (int j = 0; j < 4; ++j) this->sum[row][j] = _mm512_dpbf16_ps(this->sum[row][j], h, b[j]);
                }
            }
        }
        INLINE Vector gate(int row, int j, const Entry*, const char*) const { return this->sum[row][j]; }
    };

    static constexpr Index kHeadBytes = 0;
    static void pack(const float* w_hh, Index hidden_size, Index block, char* packed) {
        std::uint16_t* panel = reinterpret_cast<std::uint16_t*>(packed);
        for (Index k = 0; k < blocks_of(hidden_size) * kLanes; ++k) {
            for (Index column = 0; column < kBlock; ++column) {
                const Index unit = block * kLanes + column % kLanes;
                const bool exists = unit < hidden_size && k < hidden_size;
                const float weight = exists ? w_hh[(column / kLanes * hidden_size + unit) * hidden_size + k] : 0.0f;
                panel[(k / 2 * kBlock + column) * 2 + k % 2] = to_bfloat16(weight);
            }
        }
    }
    INLINE static void store_state(State* p, Vector h) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(h));
    }
};

// W_hh in int8, scaled for each gate of each unit; h as round(127 h) + 128 in uint8, because the instruction multiplies
// unsigned by signed numbers. The 128 adds 128 times a column's sum, which the head of the block takes off again.
struct Int8Path : FastActivations {
    using State = std::uint8_t;
    using Entry = std::uint16_t;
    static constexpr Index kTogether = 4;
    template <int Rows>
    struct Sums {
        __m512i sum[Rows][4];
        INLINE void begin(int row, const Entry*) {
            for (int j = 0; j < 4; ++j) sum[row][j] = _mm512_setzero_si512();
        }
        INLINE void read(int row, const float* p) {
            for (int j = 0; j < 4; ++j) sum[row][j] = _mm512_loadu_si512(p + j * kLanes);
        }
        INLINE void write(int row, float* p) const {
            for (int j = 0; j < 4; ++j) _mm512_storeu_si512(p + j * kLanes, sum[row][j]);
        }
        INLINE void multiply(const State* const* left, Index depth, const char* panel) {
            const State* a[Rows];
            for (int row = 0; row < Rows; ++row) a[row] = left[row];
            for (Index k = 0; k < depth; ++k, panel += 4 * 64) {
                __m512i b[4];
                for (int j = 0; j < 4; ++j) b[j] = _mm512_loadu_si512(panel + j * 64);
                for (int row = 0; row < Rows; ++row) {
                    std::uint32_t quad;
                    __builtin_memcpy(&quad, a[row] + 4 * k, 4);
                    const __m512i h = _mm512_set1_epi32(static_cast<int>(quad));
                    for (int j = 0; j < 4; ++j) sum[row][j] = _mm512_dpbusd_epi32(sum[row][j], h, b[j]);
                }
            }
        }
        INLINE Vector gate(int row, int j, const Entry* entries, const char* head) const {
            const float* scale = reinterpret_cast<const float*>(head) + j * kLanes;
            const Vector from_table = subtract(load_entries(entries + j * kLanes), load(scale + kBlock));
            return multiply_add(_mm512_cvtepi32_ps(sum[row][j]), load(scale), from_table);
        }
    };

    static constexpr Index kHeadBytes = 2 * kBlock * static_cast<Index>(sizeof(float));  // scales, then what to take off
    static void pack(const float* w_hh, Index hidden_size, Index block, char* packed) {
        float* head = reinterpret_cast<float*>(packed);
        signed char* panel = reinterpret_cast<signed char*>(packed + kHeadBytes);
        for (Index column = 0; column < kBlock; ++column) {
            const Index unit = block * kLanes + column % kLanes;
            const bool exists = unit < hidden_size;
            const float* weights = w_hh + (column / kLanes * hidden_size + unit) * hidden_size;
            const float scale = exists ? channel_scale(weights, hidden_size) : 1.0f;
            int sum = 0;
            for (Index k = 0; k < blocks_of(hidden_size) * kLanes; ++k) {
                const int weight = exists && k < hidden_size ? static_cast<int>(quantized(weights[k], scale)) : 0;
                panel[(k / 4 * kBlock + column) * 4 + k % 4] = static_cast<signed char>(weight);
                sum += weight;
            }
            head[column] = scale / kStateScale;
            head[kBlock + column] = 128.0f * static_cast<float>(sum) * head[column];
        }
    }
    INLINE static void store_state(State* p, Vector h) {
        const __m512i whole = _mm512_cvtps_epi32(multiply(h, broadcast(kStateScale)));
        const __m128i bytes = _mm512_cvtsepi32_epi8(whole);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_xor_si128(bytes, _mm_set1_epi8(static_cast<char>(0x80))));
    }
};

#else

using Bfloat16Path = RoundedBfloat16Path;
using Int8Path = RoundedInt8Path;

#endif

}  // namespace SIMLSTM_ISA
