// One layer forward: pack the weights, then walk each (direction, tile of sequences) on its own.
//
// Where few rows stand against the weights, packing them and streaming them is what costs. Then the walk of a direction
// packs its own weights, into the cache of the core that uses them, and W_ih a block at a time, used at once.
#pragma once

#include "activations.h"
#include "product.h"
#include "walk.h"

namespace SIMLSTM_ISA {

// The weights of one layer in the order in which they are read: for each direction the panels of W_ih [blocks][I], those
// of W_hh [blocks][H], and the biases' sums [blocks], in units of one k of a panel.
struct PackedWeights {
    Index input_size, hidden_size, blocks;

    Index units() const { return blocks * (input_size + hidden_size + 1); }  // of one direction
    Index input(Index direction, Index block) const { return direction * units() + block * input_size; }
    Index hidden(Index direction, Index block) const {
        return direction * units() + blocks * input_size + block * hidden_size;
    }
    Index bias(Index direction, Index block) const {
        return direction * units() + blocks * (input_size + hidden_size) + block;
    }

    void pack(const DirectionPointers& weights, Index direction, Index block, float* packed, float* input_panel) const {
        pack_block(weights.w_ih, input_size, hidden_size, block, input_panel);
        pack_block(weights.w_hh, hidden_size, hidden_size, block, packed + hidden(direction, block) * kBlock);
        pack_bias(weights.b_ih, weights.b_hh, hidden_size, block, packed + bias(direction, block) * kBlock);
    }
};

class Pack {
  public:
    explicit Pack(const PackCall& call)
        : call_(call), order_{call.input_size, call.hidden_size, blocks_of(call.hidden_size)} {}

    bool run() {
        run_tasks(call_.directions * order_.blocks, call_.threads, pack_task, this);
        return true;
    }

  private:
    static void pack_task(void* self, std::int64_t index, int) {
        const Pack& pack = *static_cast<Pack*>(self);
        const Index direction = index / pack.order_.blocks, block = index % pack.order_.blocks;
        pack.order_.pack(pack.call_.weights[direction], direction, block, pack.call_.packed,
                         pack.call_.packed + pack.order_.input(direction, block) * kBlock);
    }

    const PackCall& call_;
    const PackedWeights order_;
};

constexpr Index kForwardTileRows = 128;
// The input product takes this many rows at once, from several steps where few sequences run.
constexpr Index kInputRows = 48;

class Forward {
  public:
    explicit Forward(const ForwardCall& call)
        : call_(call), layout_(call.layout), tiling_(call.layout, kForwardTileRows), blocks_(blocks_of(layout_.hidden_size)),
          output_width_(layout_.directions * layout_.hidden_size), order_{layout_.input_size, layout_.hidden_size, blocks_},
          packs_as_it_goes_(call.packed == nullptr && tiling_.count == 1 && layout_.rows <= kInputRows),
          weights_(call.packed) {}

    bool run() {
        Pieces measured(nullptr);
        place(measured);
        char* memory = static_cast<char*>(workspace(measured.used()));
        if (memory == nullptr) return false;
        Pieces pieces(memory);
        place(pieces);
        fill_offsets(layout_, offsets_);
        if (call_.packed == nullptr) {
            weights_ = packed_;
            if (!packs_as_it_goes_) {
                PackCall pack{layout_.threads, layout_.directions, layout_.input_size, layout_.hidden_size, {}, packed_};
                for (Index d = 0; d < layout_.directions; ++d) pack.weights[d] = call_.weights[d];
                Pack(pack).run();
            }
        }
        run_tasks(layout_.directions * tiling_.count, layout_.threads, walk_task, this);
        return true;
    }

  private:
    Index gate_width() const { return blocks_ * kBlock; }
    Index most_input_rows() const {
        const Index most = kInputRows - 1 + tiling_.rows;
        return most < layout_.rows ? most : layout_.rows;
    }

    void place(Pieces& pieces) {
        offsets_ = pieces.take<Index>(layout_.steps);
        packed_ = pieces.take<float>(call_.packed == nullptr ? layout_.directions * order_.units() * kBlock : 0);
        input_panel_ = pieces.take<float>(packs_as_it_goes_ ? layout_.threads * layout_.input_size * kBlock : 0);
        gate_scratch_ = pieces.take<float>(call_.gates == nullptr ? layout_.threads * most_input_rows() * gate_width() : 0);
        cells_ = pieces.take<float>(layout_.threads * tiling_.rows * blocks_ * kLanes);
        input_rows_ = pieces.take<Index>(layout_.threads * most_input_rows());
    }

    static void walk_task(void* self, std::int64_t index, int worker) {
        const Forward& forward = *static_cast<Forward*>(self);
        forward.walk(TileWalk(forward.layout_, forward.offsets_, forward.tiling_, index), worker);
    }

    void walk(const TileWalk& tile, int worker) const {
        const Index hidden = layout_.hidden_size, padded = blocks_ * kLanes;
        float* cells = cells_ + worker * tiling_.rows * padded;
        for (Index i = 0; i < tile.end - tile.first; ++i) {
            const Index state = (tile.direction * layout_.sequences + tile.first + i) * hidden;
            for (Index unit = 0; unit < padded; ++unit) {
                cells[i * padded + unit] = call_.c0 != nullptr && unit < hidden ? call_.c0[state + unit] : 0.0f;
            }
        }
        Index* rows = input_rows_ + worker * most_input_rows();
        float* scratch = gate_scratch_ + worker * most_input_rows() * gate_width();
        for (Index s = 0; s < tile.steps;) {
            Index gathered = 0, end = s;
            for (; end < tile.steps && gathered < kInputRows; ++end) {
                const Index t = tile.step(end);
                for (Index i = 0; i < tile.running(t); ++i) rows[gathered++] = tile.row(t, i);
            }
            add_input(tile.direction, rows, gathered, scratch, worker);
            for (Index done = 0; s < end; ++s) {
                const Index t = tile.step(s);
                step(tile, t, s % 2 == 1, scratch + done * gate_width(), cells);
                done += tile.running(t);
            }
        }
        for (Index i = 0; i < tile.end - tile.first; ++i) {
            const Index state = (tile.direction * layout_.sequences + tile.first + i) * hidden;
            Index last = 0;
            if (tile.direction == 0) {
                while (last + 1 < tile.steps && tile.running(last + 1) > i) ++last;
            }
            const float* h = call_.y + tile.row(last, i) * output_width_ + tile.direction * hidden;
            for (Index unit = 0; unit < hidden; ++unit) call_.hT[state + unit] = h[unit];
            for (Index unit = 0; unit < hidden; ++unit) call_.cT[state + unit] = cells[i * padded + unit];
        }
    }

    // The gates of a packed row: where they are saved, or the place'th row of the scratch.
    INLINE float* gates_of(Index direction, Index row, float* scratch, Index place) const {
        return call_.gates == nullptr ? scratch + place * gate_width()
                                      : call_.gates + (direction * layout_.rows + row) * gate_width();
    }

    // gates = bias + W_ih x for the given packed rows.
    void add_input(Index direction, const Index* rows, Index count, float* scratch, int worker) const {
        for (Index block = 0; block < blocks_; ++block) {
            const float* panel = weights_ + order_.input(direction, block) * kBlock;
            if (packs_as_it_goes_) {
                float* own = input_panel_ + worker * layout_.input_size * kBlock;
                order_.pack(call_.weights[direction], direction, block, packed_, own);
                panel = own;
            }
            const float* bias = weights_ + order_.bias(direction, block) * kBlock;
            each_panel(layout_.input_size, [&](Index start, Index depth) {
                each_group(count, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    Tile<kRows> tile;
                    const float* left[kRows];
                    float* gates[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        left[r] = call_.x + rows[first + r] * call_.x_stride + start;
                        gates[r] = gates_of(direction, rows[first + r], scratch, first + r) + block * kBlock;
                        tile.read(r, start == 0 ? bias : gates[r]);
                    }
                    tile.multiply_add_panel(left, 1, depth, panel + start * kBlock);
                    for (int r = 0; r < kRows; ++r) tile.write(r, gates[r]);
                });
            });
        }
    }

    // One step of the tile: add W_hh h to the gates, activate them, move the cell states, write h. Every other step takes
    // the blocks in reverse, so that what a step read last, which is still in the cache, is what the next reads first.
    void step(const TileWalk& walk, Index t, bool backward, float* scratch, float* cells) const {
        const Index hidden = layout_.hidden_size, direction = walk.direction;
        const Index running = walk.running(t), before = walk.before(t), ran = walk.running(before);
        // Sequences that start from zeros have nothing to multiply at their first step.
        const Index multiplied = call_.h0 == nullptr && ran < running ? ran : running;
        for (Index place = 0; place < blocks_; ++place) {
            const Index block = backward ? blocks_ - 1 - place : place;
            const float* panel = weights_ + order_.hidden(direction, block) * kBlock;
            each_panel(hidden, [&](Index start, Index depth) {
                each_group(multiplied, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    Tile<kRows> tile;
                    const float* left[kRows];
                    float* gates[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        const Index i = first + r;
                        left[r] = start + (i < ran ? call_.y + walk.row(before, i) * output_width_ + direction * hidden
                                                   : call_.h0 + (direction * layout_.sequences + walk.first + i) * hidden);
                        gates[r] = gates_of(direction, walk.row(t, i), scratch, i) + block * kBlock;
                        tile.read(r, gates[r]);
                    }
                    tile.multiply_add_panel(left, 1, depth, panel + start * kBlock);
                    for (int r = 0; r < kRows; ++r) {
                        if (start + depth < hidden) {
                            tile.write(r, gates[r]);
                        } else {
                            activate(tile, r, walk, t, first + r, block, gates[r], cells);
                        }
                    }
                });
            });
            for (Index i = multiplied; i < running; ++i) {
                float* gates = gates_of(direction, walk.row(t, i), scratch, i) + block * kBlock;
                Tile<1> tile;
                tile.read(0, gates);
                activate(tile, 0, walk, t, i, block, gates, cells);
            }
        }
    }

    // From the gates' pre-activations in row r of the tile to the new states of sequence first + i.
    template <int Rows>
    INLINE void activate(const Tile<Rows>& tile, int r, const TileWalk& walk, Index t, Index i, Index block, float* gates,
                         float* cells) const {
        const Index hidden = layout_.hidden_size, row = walk.row(t, i);
        float* cell = cells + (i * blocks_ + block) * kLanes;
        const Vector input = sigmoid(tile.sum[r][0]), forget = sigmoid(tile.sum[r][1]);
        const Vector candidate = hyperbolic_tangent(tile.sum[r][2]), output = sigmoid(tile.sum[r][3]);
        const Vector c = multiply_add(forget, load(cell), multiply(input, candidate));
        const Vector h = multiply(output, hyperbolic_tangent(c));
        store(cell, c);
        store_first(call_.y + row * output_width_ + walk.direction * hidden + block * kLanes, h, hidden - block * kLanes);
        if (call_.gates == nullptr) return;
        store(gates, input);
        store(gates + kLanes, forget);
        store(gates + 2 * kLanes, candidate);
        store(gates + 3 * kLanes, output);
        store(call_.cells + ((walk.direction * layout_.rows + row) * blocks_ + block) * kLanes, c);
    }

    const ForwardCall& call_;
    const Layout& layout_;
    const Tiling tiling_;
    const Index blocks_, output_width_;
    const PackedWeights order_;
    const bool packs_as_it_goes_;
    const float* weights_;
    Index* offsets_ = nullptr;
    float *packed_ = nullptr, *input_panel_ = nullptr, *gate_scratch_ = nullptr, *cells_ = nullptr;
    Index* input_rows_ = nullptr;
};

}  // namespace SIMLSTM_ISA
