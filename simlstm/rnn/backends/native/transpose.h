// A 16 x 16 transposition in registers, for AVX-512.
#pragma once

#include "vectors.h"

#if defined(__AVX512F__)

namespace SIMLSTM_ISA {

// target[column * target_stride + row] = source[row * source_stride + column] for row and column below 16.
inline void transpose_16(const float* source, Index source_stride, float* target, Index target_stride) {
    __m512 a[16], b[16];
    for (int r = 0; r < 16; ++r) a[r] = _mm512_loadu_ps(source + r * source_stride);
    // Pairs of rows interleaved, then pairs of pairs: each 128-bit quarter of b[4q + c] holds column c of its quarter,
    // rows 4q..4q+3.
    for (int q = 0; q < 4; ++q) {
        const __m512 low01 = _mm512_unpacklo_ps(a[4 * q], a[4 * q + 1]), high01 = _mm512_unpackhi_ps(a[4 * q], a[4 * q + 1]);
        const __m512 low23 = _mm512_unpacklo_ps(a[4 * q + 2], a[4 * q + 3]);
        const __m512 high23 = _mm512_unpackhi_ps(a[4 * q + 2], a[4 * q + 3]);
        b[4 * q] = _mm512_shuffle_ps(low01, low23, 0x44);
        b[4 * q + 1] = _mm512_shuffle_ps(low01, low23, 0xee);
        b[4 * q + 2] = _mm512_shuffle_ps(high01, high23, 0x44);
        b[4 * q + 3] = _mm512_shuffle_ps(high01, high23, 0xee);
    }
    // Gather the quarters: column 4p + c is quarter p of b[c], b[4 + c], b[8 + c], b[12 + c].
    for (int c = 0; c < 4; ++c) {
        const __m512 x = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x44), y = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x44);
        const __m512 z = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xee), w = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xee);
        _mm512_storeu_ps(target + c * target_stride, _mm512_shuffle_f32x4(x, y, 0x88));
        _mm512_storeu_ps(target + (4 + c) * target_stride, _mm512_shuffle_f32x4(x, y, 0xdd));
        _mm512_storeu_ps(target + (8 + c) * target_stride, _mm512_shuffle_f32x4(z, w, 0x88));
        _mm512_storeu_ps(target + (12 + c) * target_stride, _mm512_shuffle_f32x4(z, w, 0xdd));
    }
}

}  // namespace SIMLSTM_ISA

#endif
