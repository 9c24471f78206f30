// The products over all rows that end a backward pass: gradients of the weights, the biases and the input.
//
// dW = d_gates^T [x, h_before]: a task owns one block of gates of one direction and adds up its rows in their order, so
// the sum does not depend on the number of threads and nothing is added atomically. Rows pass in stretches, whose left
// sides [x, h_before] are packed once for all blocks.
#pragma once

#include "backward.h"

namespace SIMLSTM_ISA {

constexpr Index kStretch = 4 * kPanelDepth;  // rows
constexpr Index kPackedTogether = 16;        // rows that one packing task takes
constexpr Index kInputGradientRows = 96;

class WeightGradients {
  public:
    explicit WeightGradients(const BackwardCall& call)
        : call_(call), layout_(call.layout), blocks_(blocks_of(layout_.hidden_size)) {
        needs_input_ = needs_hidden_ = false;
        for (Index d = 0; d < layout_.directions; ++d) {
            needs_input_ = needs_input_ || call.gradients[d].w_ih != nullptr;
            needs_hidden_ = needs_hidden_ || call.gradients[d].w_hh != nullptr;
        }
        columns_ = (needs_input_ ? layout_.input_size : 0) + (needs_hidden_ ? layout_.hidden_size : 0);
    }

    bool run() {
        Pieces measured(nullptr);
        place(measured);
        char* memory = static_cast<char*>(workspace(measured.used()));
        if (memory == nullptr) return false;
        Pieces pieces(memory);
        place(pieces);
        fill_offsets(layout_, offsets_);
        for (start_ = 0; start_ < layout_.rows; start_ += kStretch) {
            stretch_ = layout_.rows - start_ < kStretch ? layout_.rows - start_ : kStretch;
            if (columns_ > 0) {
                run_tasks((stretch_ + kPackedTogether - 1) / kPackedTogether, layout_.threads, pack_task, this);
            }
            run_tasks(layout_.directions * blocks_, layout_.threads, add_task, this);
        }
        return true;
    }

  private:
    Index gate_width() const { return blocks_ * kBlock; }
    bool is_one_stretch() const { return layout_.rows <= kStretch; }

    void place(Pieces& pieces) {
        offsets_ = pieces.take<Index>(layout_.steps);
        left_input_ = pieces.take<float>(needs_input_ ? kStretch * layout_.input_size : 0);
        left_hidden_ = pieces.take<float>(needs_hidden_ ? layout_.directions * kStretch * layout_.hidden_size : 0);
        // Sums of a single stretch are written at once: then each worker has a place for them, which stays in its cache.
        sums_ = pieces.take<float>((is_one_stretch() ? layout_.threads : layout_.directions * blocks_) * columns_ * kBlock);
        bias_ = pieces.take<float>(layout_.directions * gate_width());
        right_ = pieces.take<float>(layout_.threads * kPanelDepth * kBlock);
        hidden_ = pieces.take<float>(layout_.threads * blocks_ * kLanes);
    }

    // Writes rows of the stretch as [group of columns][row][column of the group].
    static void pack_task(void* self, std::int64_t index, int worker) {
        const WeightGradients& gradients = *static_cast<WeightGradients*>(self);
        const Layout& layout = gradients.layout_;
        const Index first = index * kPackedTogether;
        const Index end = first + kPackedTogether < gradients.stretch_ ? first + kPackedTogether : gradients.stretch_;
        Index t = 0;
        while (t + 1 < layout.steps && gradients.offsets_[t + 1] <= gradients.start_ + first) ++t;
        for (Index k = first; k < end; ++k) {
            const Index row = gradients.start_ + k;
            while (t + 1 < layout.steps && gradients.offsets_[t + 1] <= row) ++t;
            if (gradients.needs_input_) {
                gradients.spread(gradients.call_.x + row * gradients.call_.x_stride, layout.input_size, k, gradients.left_input_);
            }
            for (Index d = 0; gradients.needs_hidden_ && d < layout.directions; ++d) {
                const float* h = gradients.hidden_before(d, t, row - gradients.offsets_[t],
                                                         gradients.hidden_ + worker * gradients.blocks_ * kLanes);
                gradients.spread(h, layout.hidden_size, k, gradients.left_hidden_ + d * kStretch * layout.hidden_size);
            }
        }
    }

    void spread(const float* source, Index columns, Index k, float* left) const {
        each_group(columns, [&](auto size, Index first) {
            constexpr int kColumns = decltype(size)::value;
            float* target = left + first * kStretch + k * kColumns;
            for (int m = 0; m < kColumns; ++m) target[m] = source[first + m];
        });
    }

    // h before a step: h0, or o tanh(c) of the step walked before it, exactly as the forward pass computed it.
    const float* hidden_before(Index direction, Index t, Index sequence, float* h) const {
        const Index before = direction == 0 ? t - 1 : t + 1;
        if (before < 0 || before >= layout_.steps || layout_.batch_sizes[before] <= sequence) {
            return call_.h0 + (direction * layout_.sequences + sequence) * layout_.hidden_size;
        }
        const Index row = direction * layout_.rows + offsets_[before] + sequence;
        for (Index block = 0; block < blocks_; ++block) {
            const Vector output = load(call_.gates + row * gate_width() + block * kBlock + 3 * kLanes);
            store(h + block * kLanes, multiply(output, hyperbolic_tangent(load(call_.cells + (row * blocks_ + block) * kLanes))));
        }
        return h;
    }

    static void add_task(void* self, std::int64_t index, int worker) {
        const WeightGradients& gradients = *static_cast<WeightGradients*>(self);
        gradients.add_stretch(index / gradients.blocks_, index % gradients.blocks_,
                              gradients.sums_ + (gradients.is_one_stretch() ? worker : index) * gradients.columns_ * kBlock,
                              gradients.right_ + worker * kPanelDepth * kBlock);
    }

    void add_stretch(Index direction, Index block, float* sums, float* right) const {
        float* bias = bias_ + (direction * blocks_ + block) * kBlock;
        Tile<1> bias_sum;
        if (start_ == 0) {
            bias_sum.clear(0);
        } else {
            bias_sum.read(0, bias);
        }
        each_panel(stretch_, [&](Index first_row, Index depth) {
            for (Index k = 0; k < depth; ++k) {
                const Index row = direction * layout_.rows + start_ + first_row + k;
                const float* d_gates = call_.d_gates + row * gate_width() + block * kBlock;
                for (int j = 0; j < 4; ++j) {
                    const Vector value = load(d_gates + j * kLanes);
                    store(right + k * kBlock + j * kLanes, value);
                    bias_sum.sum[0][j] = add(bias_sum.sum[0][j], value);
                }
            }
            const bool is_first = start_ + first_row == 0;
            if (needs_input_) add_columns(left_input_, layout_.input_size, first_row, depth, right, is_first, sums);
            if (needs_hidden_) {
                add_columns(left_hidden_ + direction * kStretch * layout_.hidden_size, layout_.hidden_size, first_row, depth, right,
                            is_first, sums + (needs_input_ ? layout_.input_size : 0) * kBlock);
            }
        });
        bias_sum.write(0, bias);
        if (start_ + stretch_ < layout_.rows) return;
        const DirectionGradients& targets = call_.gradients[direction];
        const float* hidden_sums = sums + (needs_input_ ? layout_.input_size : 0) * kBlock;
        if (targets.w_ih != nullptr) write(sums, layout_.input_size, block, targets.w_ih);
        if (targets.w_hh != nullptr) write(hidden_sums, layout_.hidden_size, block, targets.w_hh);
        if (targets.b_ih != nullptr) write(bias, 1, block, targets.b_ih);
        if (targets.b_hh != nullptr) write(bias, 1, block, targets.b_hh);
    }

    void add_columns(const float* left, Index columns, Index first_row, Index depth, const float* right, bool is_first,
                     float* sums) const {
        each_group(columns, [&](auto size, Index first) {
            constexpr int kColumns = decltype(size)::value;
            Tile<kColumns> tile;
            const float* places[kColumns];
            for (int m = 0; m < kColumns; ++m) {
                places[m] = left + first * kStretch + first_row * kColumns + m;
                if (is_first) {
                    tile.clear(m);
                } else {
                    tile.read(m, sums + (first + m) * kBlock);
                }
            }
            tile.multiply_add_panel(places, kColumns, depth, right);
            for (int m = 0; m < kColumns; ++m) tile.write(m, sums + (first + m) * kBlock);
        });
    }

    // Transposes the sums [columns][4][lanes] of one block into gradient [4H, columns].
    void write(const float* sums, Index columns, Index block, float* gradient) const {
        const Index first_unit = block * kLanes;
        const Index units = layout_.hidden_size - first_unit < kLanes ? layout_.hidden_size - first_unit : kLanes;
        for (Index gate = 0; gate < kGates; ++gate) {
            const float* source = sums + gate * kLanes;
            float* target = gradient + (gate * layout_.hidden_size + first_unit) * columns;
            Index column = 0;
#if defined(__AVX512F__)
            if (units == kLanes) {
                for (; column + 16 <= columns; column += 16) transpose_16(source + column * kBlock, kBlock, target + column, columns);
            }
#endif
            for (; column < columns; ++column) {
                for (Index lane = 0; lane < units; ++lane) target[lane * columns + column] = source[column * kBlock + lane];
            }
        }
    }

    const BackwardCall& call_;
    const Layout& layout_;
    const Index blocks_;
    bool needs_input_, needs_hidden_;
    Index columns_ = 0, start_ = 0, stretch_ = 0;
    Index* offsets_ = nullptr;
    float *left_input_ = nullptr, *left_hidden_ = nullptr, *sums_ = nullptr, *bias_ = nullptr, *right_ = nullptr, *hidden_ = nullptr;
};

// dx = sum over directions of d_gates W_ih; a task owns a group of columns of some rows. When all rows are one task's,
// it packs its own weights, into the cache of the core that uses them.
class InputGradient {
  public:
    explicit InputGradient(const BackwardCall& call)
        : call_(call), layout_(call.layout), gate_width_(blocks_of(layout_.hidden_size) * kBlock),
          groups_(column_groups(layout_.input_size)), tiles_((layout_.rows + kInputGradientRows - 1) / kInputGradientRows) {}

    bool run() {
        Pieces measured(nullptr);
        place(measured);
        char* memory = static_cast<char*>(workspace(measured.used()));
        if (memory == nullptr) return false;
        Pieces pieces(memory);
        place(pieces);
        if (!packs_as_it_goes()) run_tasks(layout_.directions * groups_, layout_.threads, pack_task, this);
        run_tasks(tiles_ * groups_, layout_.threads, columns_task, this);
        return true;
    }

  private:
    bool packs_as_it_goes() const { return tiles_ == 1; }
    Index panel_size() const { return gate_width_ * kBlock; }

    void place(Pieces& pieces) {
        packed_ = pieces.take<float>((packs_as_it_goes() ? layout_.threads : layout_.directions * groups_) * panel_size());
        scratch_ = pieces.take<float>(layout_.threads * kInputGradientRows * kBlock);
    }

    void pack(Index direction, Index group, float* panel) const {
        pack_columns(call_.weights[direction].w_ih, layout_.input_size, layout_.hidden_size, group, panel);
    }

    static void pack_task(void* self, std::int64_t index, int) {
        const InputGradient& gradient = *static_cast<InputGradient*>(self);
        gradient.pack(index / gradient.groups_, index % gradient.groups_, gradient.packed_ + index * gradient.panel_size());
    }

    static void columns_task(void* self, std::int64_t index, int worker) {
        const InputGradient& gradient = *static_cast<InputGradient*>(self);
        gradient.write_columns(index / gradient.groups_ * kInputGradientRows, index % gradient.groups_, worker);
    }

    void write_columns(Index first_row, Index group, int worker) const {
        const Index columns = layout_.input_size, left_over = layout_.rows - first_row;
        const Index count = left_over < kInputGradientRows ? left_over : kInputGradientRows;
        float* scratch = scratch_ + worker * kInputGradientRows * kBlock;
        for (Index direction = 0; direction < layout_.directions; ++direction) {
            float* panel = packed_ + (packs_as_it_goes() ? worker : direction * groups_ + group) * panel_size();
            if (packs_as_it_goes()) pack(direction, group, panel);
            each_panel(gate_width_, [&](Index start, Index depth) {
                each_group(count, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    Tile<kRows> tile;
                    const float* left[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        left[r] = call_.d_gates + (direction * layout_.rows + first_row + first + r) * gate_width_ + start;
                        if (direction == 0 && start == 0) {
                            tile.clear(r);
                        } else {
                            tile.read(r, scratch + (first + r) * kBlock);
                        }
                    }
                    tile.multiply_add_panel(left, 1, depth, panel + start * kBlock);
                    for (int r = 0; r < kRows; ++r) tile.write(r, scratch + (first + r) * kBlock);
                });
            });
        }
        for (Index i = 0; i < count; ++i) {
            float* dx = call_.dx + (first_row + i) * columns + group * kBlock;
            for (int j = 0; j < 4; ++j) {
                const Index there = columns - group * kBlock - j * kLanes;
                if (there > 0) store_first(dx + j * kLanes, load(scratch + i * kBlock + j * kLanes), there);
            }
        }
    }

    const BackwardCall& call_;
    const Layout& layout_;
    const Index gate_width_, groups_, tiles_;
    float *packed_ = nullptr, *scratch_ = nullptr;
};

}  // namespace SIMLSTM_ISA
