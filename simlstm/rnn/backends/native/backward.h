// One layer backward: the walk in reverse gives the gradients of the gates' pre-activations; the gradients of weights and
// input are products over all rows (gradients.h).
#pragma once

#include "activations.h"
#include "product.h"
#include "walk.h"

namespace SIMLSTM_ISA {

constexpr Index kBackwardTileRows = 96;

// Copies weights [4H, columns] of one group of 4 * lanes columns into a panel [blocked 4H][4 * lanes]: the panel of a
// product that sums over gates. Columns and units that do not exist get 0.
inline void pack_columns(const float* weights, Index columns, Index hidden_size, Index group, float* panel) {
    for (Index block = 0; block < blocks_of(hidden_size); ++block) {
        for (Index gate = 0; gate < kGates; ++gate) {
            for (Index lane = 0; lane < kLanes; ++lane, panel += kBlock) {
                const Index unit = block * kLanes + lane;
                const float* source = weights + (gate * hidden_size + unit) * columns + group * kBlock;
                for (Index j = 0; j < 4; ++j) {
                    const Index left = unit < hidden_size ? columns - group * kBlock - j * kLanes : 0;
                    store(panel + j * kLanes, left > 0 ? load_first(source + j * kLanes, left) : broadcast(0.0f));
                }
            }
        }
    }
}

inline Index column_groups(Index columns) { return (columns + kBlock - 1) / kBlock; }

class Backward {
  public:
    explicit Backward(const BackwardCall& call)
        : call_(call), layout_(call.layout), tiling_(call.layout, kBackwardTileRows), blocks_(blocks_of(layout_.hidden_size)),
          groups_(column_groups(layout_.hidden_size)), output_width_(layout_.directions * layout_.hidden_size) {}

    bool run() {
        Pieces measured(nullptr);
        place(measured);
        char* memory = static_cast<char*>(workspace(measured.used()));
        if (memory == nullptr) return false;
        Pieces pieces(memory);
        place(pieces);
        fill_offsets(layout_, offsets_);
        if (tiling_.count > 1) run_tasks(layout_.directions * groups_, layout_.threads, pack_task, this);
        run_tasks(layout_.directions * tiling_.count, layout_.threads, walk_task, this);
        return true;
    }

  private:
    Index gate_width() const { return blocks_ * kBlock; }

    void place(Pieces& pieces) {
        offsets_ = pieces.take<Index>(layout_.steps);
        packed_ = pieces.take<float>(layout_.directions * groups_ * gate_width() * kBlock);
        scratch_ = pieces.take<float>(layout_.threads * tiling_.rows * kBlock);
        dc_ = pieces.take<float>(layout_.threads * tiling_.rows * blocks_ * kLanes);
    }

    const float* panels(Index direction, Index group) const {
        return packed_ + (direction * groups_ + group) * gate_width() * kBlock;
    }
    float* d_gates_of(Index direction, Index row) const {
        return call_.d_gates + (direction * layout_.rows + row) * gate_width();
    }

    static void pack_task(void* self, std::int64_t index, int) {
        const Backward& backward = *static_cast<Backward*>(self);
        backward.pack(index / backward.groups_, index % backward.groups_);
    }

    void pack(Index direction, Index group) const {
        const Index hidden = layout_.hidden_size;
        pack_columns(call_.weights[direction].w_hh, hidden, hidden, group,
                     packed_ + (direction * groups_ + group) * gate_width() * kBlock);
    }

    static void walk_task(void* self, std::int64_t index, int worker) {
        const Backward& backward = *static_cast<Backward*>(self);
        backward.walk(TileWalk(backward.layout_, backward.offsets_, backward.tiling_, index), worker);
    }

    void walk(const TileWalk& tile, int worker) const {
        // A direction that is one tile packs its own weights, into the cache of the core that uses them.
        for (Index group = 0; tiling_.count == 1 && group < groups_; ++group) pack(tile.direction, group);
        const Index hidden = layout_.hidden_size, padded = blocks_ * kLanes;
        float* scratch = scratch_ + worker * tiling_.rows * kBlock;
        float* dc = dc_ + worker * tiling_.rows * padded;
        for (Index i = 0; i < tile.end - tile.first; ++i) {
            const Index state = (tile.direction * layout_.sequences + tile.first + i) * hidden;
            for (Index unit = 0; unit < padded; ++unit) {
                dc[i * padded + unit] = call_.dcT != nullptr && unit < hidden ? call_.dcT[state + unit] : 0.0f;
            }
        }
        for (Index s = tile.steps - 1; s >= 0; --s) step(tile, tile.step(s), s % 2 == 1, scratch, dc);
        for (Index i = 0; i < tile.end - tile.first; ++i) {
            const Index state = (tile.direction * layout_.sequences + tile.first + i) * hidden;
            for (Index unit = 0; unit < hidden; ++unit) call_.dc0[state + unit] = dc[i * padded + unit];
        }
        if (call_.dh0 != nullptr) initial_states(tile, scratch);
    }

    // One step: dh = dy + d_gates W_hh of the step walked after it, then the gradients of its gates. As in the forward
    // walk, every other step takes the weights in reverse.
    void step(const TileWalk& walk, Index t, bool backward, float* scratch, float* dc) const {
        const Index running = walk.running(t), after = walk.after(t);
        const Index goes_on = running < walk.running(after) ? running : walk.running(after);
        for (Index place = 0; place < groups_; ++place) {
            const Index group = backward ? groups_ - 1 - place : place;
            const float* panel = panels(walk.direction, group);
            each_panel(gate_width(), [&](Index start, Index depth) {
                each_group(goes_on, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    Tile<kRows> tile;
                    const float* left[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        left[r] = d_gates_of(walk.direction, walk.row(after, first + r)) + start;
                        if (start == 0) {
                            read_dy(tile, r, walk, walk.row(t, first + r), group);
                        } else {
                            tile.read(r, scratch + (first + r) * kBlock);
                        }
                    }
                    tile.multiply_add_panel(left, 1, depth, panel + start * kBlock);
                    for (int r = 0; r < kRows; ++r) {
                        if (start + depth < gate_width()) {
                            tile.write(r, scratch + (first + r) * kBlock);
                        } else {
                            finish(tile, r, walk, t, first + r, group, dc);
                        }
                    }
                });
            });
            for (Index i = goes_on; i < running; ++i) {
                Tile<1> tile;
                read_dy(tile, 0, walk, walk.row(t, i), group);
                if (call_.dhT != nullptr) add_dhT(tile, walk, i, group);
                finish(tile, 0, walk, t, i, group, dc);
            }
        }
    }

    template <int Rows>
    INLINE void read_dy(Tile<Rows>& tile, int r, const TileWalk& walk, Index row, Index group) const {
        const Index hidden = layout_.hidden_size;
        if (call_.dy == nullptr) return tile.clear(r);
        const float* dy = call_.dy + row * output_width_ + walk.direction * hidden;
        for (int j = 0; j < 4; ++j) {
            const Index unit = group * kBlock + j * kLanes;
            tile.sum[r][j] = unit < hidden ? load_first(dy + unit, hidden - unit) : broadcast(0.0f);
        }
    }

    INLINE void add_dhT(Tile<1>& tile, const TileWalk& walk, Index i, Index group) const {
        const Index hidden = layout_.hidden_size;
        const float* dhT = call_.dhT + (walk.direction * layout_.sequences + walk.first + i) * hidden;
        for (int j = 0; j < 4; ++j) {
            const Index unit = group * kBlock + j * kLanes;
            if (unit < hidden) tile.sum[0][j] = add(tile.sum[0][j], load_first(dhT + unit, hidden - unit));
        }
    }

    // From the whole gradient of h, in row r of the tile, to those of the gates and of the cell state before.
    template <int Rows>
    INLINE void finish(const Tile<Rows>& tile, int r, const TileWalk& walk, Index t, Index i, Index group, float* dc_tile) const {
        const Index hidden = layout_.hidden_size, row = walk.row(t, i), before = walk.before(t);
        const bool has_before = i < walk.running(before);
        const Vector one = broadcast(1.0f);
        for (int j = 0; j < 4; ++j) {
            const Index block = group * 4 + j, unit = block * kLanes;
            if (unit >= hidden) return;
            const float* gates = call_.gates + (walk.direction * layout_.rows + row) * gate_width() + block * kBlock;
            const Vector input = load(gates), forget = load(gates + kLanes);
            const Vector candidate = load(gates + 2 * kLanes), output = load(gates + 3 * kLanes);
            const Vector c = load(call_.cells + ((walk.direction * layout_.rows + row) * blocks_ + block) * kLanes);
            const Vector c_before =
                has_before
                    ? load(call_.cells + ((walk.direction * layout_.rows + walk.row(before, i)) * blocks_ + block) * kLanes)
                    : load_first(call_.c0 + (walk.direction * layout_.sequences + walk.first + i) * hidden + unit, hidden - unit);
            const Vector tanh_c = hyperbolic_tangent(c);
            const Vector dh = tile.sum[r][j];
            float* dc_place = dc_tile + (i * blocks_ + block) * kLanes;
            const Vector through = multiply(output, subtract(one, multiply(tanh_c, tanh_c)));
            const Vector dc = multiply_add(dh, through, load(dc_place));
            float* d_gates = d_gates_of(walk.direction, row) + block * kBlock;
            store(d_gates, multiply(multiply(dc, candidate), multiply(input, subtract(one, input))));
            store(d_gates + kLanes, multiply(multiply(dc, c_before), multiply(forget, subtract(one, forget))));
            store(d_gates + 2 * kLanes, multiply(multiply(dc, input), subtract(one, multiply(candidate, candidate))));
            store(d_gates + 3 * kLanes, multiply(multiply(dh, tanh_c), multiply(output, subtract(one, output))));
            store(dc_place, multiply(dc, forget));
        }
    }

    // dh0 = d_gates W_hh of the step that each sequence is walked first.
    void initial_states(const TileWalk& walk, float* scratch) const {
        const Index hidden = layout_.hidden_size, count = walk.end - walk.first;
        for (Index group = 0; group < groups_; ++group) {
            each_panel(gate_width(), [&](Index start, Index depth) {
                each_group(count, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    Tile<kRows> tile;
                    const float* left[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        Index t = 0;
                        if (walk.direction == 1) {
                            while (t + 1 < walk.steps && walk.running(t + 1) > first + r) ++t;
                        }
                        left[r] = d_gates_of(walk.direction, walk.row(t, first + r)) + start;
                        if (start == 0) {
                            tile.clear(r);
                        } else {
                            tile.read(r, scratch + (first + r) * kBlock);
                        }
                    }
                    tile.multiply_add_panel(left, 1, depth, panels(walk.direction, group) + start * kBlock);
                    for (int r = 0; r < kRows; ++r) tile.write(r, scratch + (first + r) * kBlock);
                });
            });
            for (Index i = 0; i < count; ++i) {
                float* dh0 = call_.dh0 + (walk.direction * layout_.sequences + walk.first + i) * hidden;
                for (int j = 0; j < 4; ++j) {
                    const Index unit = group * kBlock + j * kLanes;
                    if (unit < hidden) store_first(dh0 + unit, load(scratch + i * kBlock + j * kLanes), hidden - unit);
                }
            }
        }
    }

    const BackwardCall& call_;
    const Layout& layout_;
    const Tiling tiling_;
    const Index blocks_, groups_, output_width_;
    Index* offsets_ = nullptr;
    float *packed_ = nullptr, *scratch_ = nullptr, *dc_ = nullptr;
};

}  // namespace SIMLSTM_ISA
