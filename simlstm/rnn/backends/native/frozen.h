// The frozen recurrence: gates start from rows of a table, weights were packed once, poolings are taken on the way.
#pragma once

#include "paths.h"
#include "walk.h"

namespace SIMLSTM_ISA {

constexpr Index kFrozenTileRows = 128;
constexpr Index kFoldedRows = 96;

template <typename Path>
INLINE Index padded_depth(Index hidden_size) {
    return blocks_of(hidden_size) * kLanes / Path::kTogether;
}
// Bytes that one k of a panel takes: 4 vectors of as many bytes as kLanes floats, whatever the path.
constexpr Index kPanelRowBytes = kBlock * static_cast<Index>(sizeof(float));

template <typename Path>
Index block_bytes(Index hidden_size) {
    return Path::kHeadBytes + padded_depth<Path>(hidden_size) * kPanelRowBytes;
}

template <typename Path>
class Frozen {
  public:
    using State = typename Path::State;
    using Entry = typename Path::Entry;

    explicit Frozen(const FrozenCall& call)
        : call_(call), layout_(call.layout), tiling_(call.layout, kFrozenTileRows), blocks_(blocks_of(layout_.hidden_size)),
          output_width_(layout_.directions * layout_.hidden_size) {}

    bool run() {
        Pieces measured(nullptr);
        place(measured);
        char* memory = static_cast<char*>(workspace(measured.used()));
        if (memory == nullptr) return false;
        Pieces pieces(memory);
        place(pieces);
        fill_offsets(layout_, offsets_);
        run_tasks(layout_.directions * tiling_.count, layout_.threads, walk_task, this);
        return true;
    }

  private:
    Index padded() const { return blocks_ * kLanes; }

    void place(Pieces& pieces) {
        offsets_ = pieces.take<Index>(layout_.steps);
        scratch_ = pieces.take<float>(layout_.threads * tiling_.rows * kBlock);
        cells_ = pieces.take<float>(layout_.threads * tiling_.rows * padded());
        states_ = pieces.take<State>(layout_.threads * 2 * tiling_.rows * padded());
        tables_ = pieces.take<const Entry*>(layout_.threads * 2 * tiling_.rows);
    }

    static void walk_task(void* self, std::int64_t index, int worker) {
        const Frozen& frozen = *static_cast<Frozen*>(self);
        frozen.walk(TileWalk(frozen.layout_, frozen.offsets_, frozen.tiling_, index), worker);
    }

    void walk(const TileWalk& tile, int worker) const {
        float* scratch = scratch_ + worker * tiling_.rows * kBlock;
        float* cells = cells_ + worker * tiling_.rows * padded();
        State* states = states_ + worker * 2 * tiling_.rows * padded();
        for (Index i = 0; i < (tile.end - tile.first) * padded(); ++i) cells[i] = 0.0f;
        const Entry** tables = tables_ + worker * 2 * tiling_.rows;
        find_entries(tile, tile.step(0), tables);
        for (Index s = 0; s < tile.steps; ++s) {
            const Entry** current = tables + (s % 2) * tiling_.rows;
            const Entry** next = tables + ((s + 1) % 2) * tiling_.rows;
            const Index coming = s + 1 < tile.steps ? tile.running(tile.step(s + 1)) : 0;
            if (coming > 0) find_entries(tile, tile.step(s + 1), next);
            const State* read = states + (s % 2) * tiling_.rows * padded();
            State* write = states + ((s + 1) % 2) * tiling_.rows * padded();
            step(tile, tile.step(s), current, next, coming, read, write, cells, scratch);
        }
    }

    // Notes where the entries of the sequences that run at a step begin.
    void find_entries(const TileWalk& walk, Index t, const Entry** tables) const {
        for (Index i = 0; i < walk.running(t); ++i) {
            const Index row = walk.row(t, i), id = call_.ids == nullptr ? row : call_.ids[row];
            tables[i] = static_cast<const Entry*>(call_.table) + (id * layout_.directions + walk.direction) * blocks_ * kBlock;
        }
    }

    // The table is far larger than any cache, and its rows come in no order: ask for the entries of the next block early.
    INLINE static void fetch(const Entry* entries) {
        for (Index i = 0; i < kBlock; i += 64 / static_cast<Index>(sizeof(Entry))) __builtin_prefetch(entries + i);
    }

    void step(const TileWalk& walk, Index t, const Entry* const* tables, const Entry* const* next, Index coming, const State* read,
              State* write, float* cells, float* scratch) const {
        const Index running = walk.running(t), ran = walk.running(walk.before(t)), will_run = walk.running(walk.after(t));
        const Index going_on = ran < running ? ran : running;  // who has an h to multiply; the others start from zeros
        const Index depth = padded_depth<Path>(layout_.hidden_size);
        for (Index block = 0; block < blocks_; ++block) {
            const char* head = static_cast<const char*>(call_.packed) +
                               (walk.direction * blocks_ + block) * block_bytes<Path>(layout_.hidden_size);
            each_panel(depth, [&](Index start, Index length) {
                each_group(going_on, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    typename Path::template Sums<kRows> sums;
                    const State* left[kRows];
                    const Entry* table[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        left[r] = read + (first + r) * padded() + start * Path::kTogether;
                        table[r] = tables[first + r] + block * kBlock;
                        if (start == 0) {
                            if (block + 1 < blocks_) fetch(table[r] + kBlock);
                            sums.begin(r, table[r]);
                        } else {
                            sums.read(r, scratch + (first + r) * kBlock);
                        }
                    }
                    sums.multiply(left, length, head + Path::kHeadBytes + start * kPanelRowBytes);
                    for (int r = 0; r < kRows; ++r) {
                        const Index i = first + r;
                        if (start + length < depth) {
                            sums.write(r, scratch + i * kBlock);
                            continue;
                        }
                        Vector gates[4];
                        for (int j = 0; j < 4; ++j) gates[j] = sums.gate(r, j, table[r], head);
                        finish(walk, t, i, false, i >= will_run, block, gates, write, cells);
                    }
                });
            });
            for (Index i = going_on; i < running; ++i) {
                Vector gates[4];
                for (int j = 0; j < 4; ++j) gates[j] = load_entries(tables[i] + block * kBlock + j * kLanes);
                finish(walk, t, i, true, i >= will_run, block, gates, write, cells);
            }
        }
        for (Index i = 0; i < coming; ++i) fetch(next[i]);
    }

    // Activates the gates of one row, moves its cell state, and hands h to whoever wants it.
    INLINE void finish(const TileWalk& walk, Index t, Index i, bool is_first, bool is_last, Index block, const Vector* gates,
                       State* write, float* cells) const {
        float* cell = cells + i * padded() + block * kLanes;
        const Vector input = Path::sigmoid(gates[0]), forget = Path::sigmoid(gates[1]);
        const Vector candidate = Path::tanh(gates[2]), output = Path::sigmoid(gates[3]);
        const Vector c = multiply_add(forget, load(cell), multiply(input, candidate));
        const Vector h = multiply(output, Path::tanh(c));
        store(cell, c);
        Path::store_state(write + i * padded() + block * kLanes, h);
        const Index unit = block * kLanes, units = layout_.hidden_size - unit;
        const Index column = walk.direction * layout_.hidden_size + unit, place = (walk.first + i) * output_width_ + column;
        if (call_.y != nullptr) store_first(call_.y + walk.row(t, i) * output_width_ + column, h, units);
        if (call_.maximum != nullptr) {
            float* target = call_.maximum + place;
            store_first(target, is_first ? h : maximum(load_first(target, units), h), units);
        }
        if (call_.total != nullptr) {
            float* target = call_.total + place;
            store_first(target, is_first ? h : add(load_first(target, units), h), units);
        }
        if (call_.last != nullptr && is_last) store_first(call_.last + place, h, units);
    }

    const FrozenCall& call_;
    const Layout& layout_;
    const Tiling tiling_;
    const Index blocks_, output_width_;
    Index* offsets_ = nullptr;
    float *scratch_ = nullptr, *cells_ = nullptr;
    State* states_ = nullptr;
    const Entry** tables_ = nullptr;
};

// table = W_ih x + b_ih + b_hh for every row of x; a task owns some rows.
template <typename Entry>
class Fold {
  public:
    explicit Fold(const FoldCall& call) : call_(call), blocks_(blocks_of(call.hidden_size)) {}

    bool run() {
        Pieces measured(nullptr);
        place(measured);
        char* memory = static_cast<char*>(workspace(measured.used()));
        if (memory == nullptr) return false;
        Pieces pieces(memory);
        place(pieces);
        run_tasks(call_.directions * blocks_, call_.threads, pack_task, this);
        run_tasks((call_.rows + kFoldedRows - 1) / kFoldedRows, call_.threads, rows_task, this);
        return true;
    }

  private:
    void place(Pieces& pieces) {
        packed_ = pieces.take<float>(call_.directions * blocks_ * call_.input_size * kBlock);
        bias_ = pieces.take<float>(call_.directions * blocks_ * kBlock);
        scratch_ = pieces.take<float>(call_.threads * kFoldedRows * kBlock);
    }

    static void pack_task(void* self, std::int64_t index, int) {
        const Fold& fold = *static_cast<Fold*>(self);
        const DirectionPointers& weights = fold.call_.weights[index / fold.blocks_];
        const Index block = index % fold.blocks_;
        pack_block(weights.w_ih, fold.call_.input_size, fold.call_.hidden_size, block, fold.packed_ + index * fold.call_.input_size * kBlock);
        pack_bias(weights.b_ih, weights.b_hh, fold.call_.hidden_size, block, fold.bias_ + index * kBlock);
    }

    static void rows_task(void* self, std::int64_t index, int worker) {
        const Fold& fold = *static_cast<Fold*>(self);
        const Index first = index * kFoldedRows, left = fold.call_.rows - first;
        fold.fold_rows(first, left < kFoldedRows ? left : kFoldedRows, fold.scratch_ + worker * kFoldedRows * kBlock);
    }

    void fold_rows(Index first_row, Index count, float* scratch) const {
        for (Index column = 0; column < call_.directions * blocks_; ++column) {
            const float* panel = packed_ + column * call_.input_size * kBlock;
            each_panel(call_.input_size, [&](Index start, Index depth) {
                each_group(count, [&](auto size, Index first) {
                    constexpr int kRows = decltype(size)::value;
                    Tile<kRows> tile;
                    const float* left[kRows];
                    for (int r = 0; r < kRows; ++r) {
                        left[r] = call_.x + (first_row + first + r) * call_.x_stride + start;
                        tile.read(r, start == 0 ? bias_ + column * kBlock : scratch + (first + r) * kBlock);
                    }
                    tile.multiply_add_panel(left, 1, depth, panel + start * kBlock);
                    for (int r = 0; r < kRows; ++r) {
                        if (start + depth < call_.input_size) {
                            tile.write(r, scratch + (first + r) * kBlock);
                            continue;
                        }
                        Entry* entries = static_cast<Entry*>(call_.table) +
                                         ((first_row + first + r) * call_.directions * blocks_ + column) * kBlock;
                        for (int j = 0; j < 4; ++j) store_entries(entries + j * kLanes, tile.sum[r][j]);
                    }
                });
            });
        }
    }

    const FoldCall& call_;
    const Index blocks_;
    float *packed_ = nullptr, *bias_ = nullptr, *scratch_ = nullptr;
};

}  // namespace SIMLSTM_ISA
