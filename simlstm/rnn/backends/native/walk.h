// How a direction walks through a tile of sequences: rows first..end-1 of every step that still runs one of them.
#pragma once

#include "native.h"
#include "vectors.h"

#ifdef SIMLSTM_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace SIMLSTM_ISA {

// Work is cut into (direction, tile of sequences). Sequences are sorted longest first, so a tile ends with its own
// longest sequence and nothing is computed for steps that a sequence does not have.
struct Tiling {
    Index rows;   // sequences in a tile
    Index count;  // tiles

    Tiling(const Layout& layout, Index most_rows) {
        // At least two tasks for each thread, as long as a tile keeps enough rows to be worth the weights it streams.
        const Index wanted = 2 * layout.threads / layout.directions + 1;
        rows = (layout.sequences + wanted - 1) / wanted;
        if (rows < 24) rows = 24;
        if (rows > most_rows) rows = most_rows;
        count = (layout.sequences + rows - 1) / rows;
        rows = (layout.sequences + count - 1) / count;
    }
};

class TileWalk {
  public:
    TileWalk(const Layout& layout, const Index* offsets, const Tiling& tiling, Index task)
        : direction(task % layout.directions), first(task / layout.directions * tiling.rows), sizes_(layout.batch_sizes),
          offsets_(offsets), layout_steps_(layout.steps) {
        end = first + tiling.rows < layout.sequences ? first + tiling.rows : layout.sequences;
        steps = 0;
        while (steps < layout.steps && sizes_[steps] > first) ++steps;
    }

    // The step of the packed layout that is walked as number s.
    INLINE Index step(Index s) const { return direction == 0 ? s : steps - 1 - s; }
    // How many sequences of the tile run at a step; 0 outside of the walk.
    INLINE Index running(Index t) const {
        if (t < 0 || t >= layout_steps_ || sizes_[t] <= first) return 0;
        return (sizes_[t] < end ? sizes_[t] : end) - first;
    }
    // The packed row of sequence first + i at step t.
    INLINE Index row(Index t, Index i) const { return offsets_[t] + first + i; }
    INLINE Index before(Index t) const { return direction == 0 ? t - 1 : t + 1; }
    INLINE Index after(Index t) const { return direction == 0 ? t + 1 : t - 1; }

    Index direction, first, end, steps;

  private:
    const Index* sizes_;
    const Index* offsets_;
    Index layout_steps_;
};

inline void fill_offsets(const Layout& layout, Index* offsets) {
    Index row = 0;
    for (Index t = 0; t < layout.steps; ++t) {
        offsets[t] = row;
        row += layout.batch_sizes[t];
    }
}

// Hands out pieces of one allocation, each on a cache line of its own.
class Pieces {
  public:
    explicit Pieces(char* memory) : memory_(memory) {}
    template <typename T>
    T* take(Index count) {
        T* piece = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(memory_) + used_);
        const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
        used_ += (bytes + 63) / 64 * 64;
#ifdef SIMLSTM_ADDRESS_SANITIZER
        used_ += 64;  // no piece touches the next: what is read or written between them is seen
        if (memory_ != nullptr) __asan_unpoison_memory_region(piece, bytes);
#endif
        return piece;
    }
    std::size_t used() const { return used_; }

  private:
    char* memory_;
    std::size_t used_ = 0;
};

}  // namespace SIMLSTM_ISA
