// The one matrix product that everything is made of: up to kTileRows rows times a panel of four vectors.
//
// A panel is [K][4][lanes]: what one k contributes to 4 * lanes columns lies together. The accumulators of a tile stay in
// registers while k runs; each is one chain of fused multiply-adds in the order of k, so a row's result does not depend
// on how many rows share its tile.
#pragma once

#include "transpose.h"
#include "vectors.h"

namespace SIMLSTM_ISA {

// Longest run of k for which a panel stays in the first-level cache: 128 x 256 bytes.
constexpr Index kPanelDepth = 128;

template <int Rows>
struct Tile {
    Vector sum[Rows][4];

    INLINE void read(int row, const float* p) {
        for (int j = 0; j < 4; ++j) sum[row][j] = load(p + j * kLanes);
    }
    INLINE void clear(int row) {
        for (int j = 0; j < 4; ++j) sum[row][j] = broadcast(0.0f);
    }
    INLINE void write(int row, float* p) const {
        for (int j = 0; j < 4; ++j) store(p + j * kLanes, sum[row][j]);
    }

    // Adds, for each row, the sum over k of left[row][k * stride] * panel[k].
    INLINE void multiply_add_panel(const float* const* left, Index stride, Index depth, const float* panel) {
        const float* a[Rows];
        for (int row = 0; row < Rows; ++row) a[row] = left[row];
        for (Index k = 0; k < depth; ++k) {
            Vector b[4];
            for (int j = 0; j < 4; ++j) b[j] = load(panel + j * kLanes);
            for (int row = 0; row < Rows; ++row) {
                const Vector value = broadcast(a[row][k * stride]);
                for (int j = 0; j < 4; ++j) sum[row][j] = multiply_add(value, b[j], sum[row][j]);
            }
            panel += kBlock;
        }
    }
};

template <int Rows>
struct Size {
    static constexpr int value = Rows;
};

// Calls work(Size<rows>, first) for groups that cover 0..count-1, as even as they can be, none above kTileRows.
template <typename Work>
INLINE void each_group(Index count, Work&& work) {
    Index groups = (count + kTileRows - 1) / kTileRows;
    for (Index first = 0; groups > 0; --groups) {
        const Index rows = (count - first + groups - 1) / groups;
        switch (rows) {
            case 1: work(Size<1>{}, first); break;
            case 2: work(Size<2>{}, first); break;
#if defined(__AVX2__) || defined(__AVX512F__)
            case 3: work(Size<3>{}, first); break;
#endif
#if defined(__AVX512F__)
            case 4: work(Size<4>{}, first); break;
            case 5: work(Size<5>{}, first); break;
            case 6: work(Size<6>{}, first); break;
#endif
            default: break;
        }
        first += rows;
    }
}

// Calls work(start, depth) for runs that cover 0..count-1, none above kPanelDepth, as even as they can be.
template <typename Work>
INLINE void each_panel(Index count, Work&& work) {
    Index panels = (count + kPanelDepth - 1) / kPanelDepth;
    for (Index start = 0; panels > 0; --panels) {
        const Index depth = (count - start + panels - 1) / panels;
        work(start, depth);
        start += depth;
    }
}

// Transposes weights [4H, columns] of one block of hidden units into a panel [columns][4][lanes]; units beyond H get 0.
inline void pack_block(const float* weights, Index columns, Index hidden_size, Index block, float* panel) {
    for (Index gate = 0; gate < kGates; ++gate) {
        const Index first_unit = block * kLanes;
        const float* source = weights + (gate * hidden_size + first_unit) * columns;
        float* target = panel + gate * kLanes;
        const Index units = hidden_size - first_unit < kLanes ? hidden_size - first_unit : kLanes;
        Index column = 0;
#if defined(__AVX512F__)
        if (units == kLanes) {
            for (; column + 16 <= columns; column += 16) transpose_16(source + column, columns, target + column * kBlock, kBlock);
        }
#endif
        for (; column < columns; ++column) {
            for (Index lane = 0; lane < kLanes; ++lane) {
                target[column * kBlock + lane] = lane < units ? source[lane * columns + column] : 0.0f;
            }
        }
    }
}

// Writes the sum of both biases of one block as [4][lanes]; either may be null.
inline void pack_bias(const float* b_ih, const float* b_hh, Index hidden_size, Index block, float* bias) {
    for (Index gate = 0; gate < kGates; ++gate) {
        for (Index lane = 0; lane < kLanes; ++lane) {
            const Index unit = block * kLanes + lane;
            float sum = 0.0f;
            if (unit < hidden_size && b_ih != nullptr) sum += b_ih[gate * hidden_size + unit];
            if (unit < hidden_size && b_hh != nullptr) sum += b_hh[gate * hidden_size + unit];
            bias[gate * kLanes + lane] = sum;
        }
    }
}

}  // namespace SIMLSTM_ISA
