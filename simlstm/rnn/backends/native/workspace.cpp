// Scratch memory that is kept, so that a call neither asks the system for pages nor touches fresh ones.
#include <cstdlib>

#include "native.h"

namespace {

struct Arena {
    void* memory = nullptr;
    std::size_t bytes = 0;
    ~Arena() { std::free(memory); }
};

thread_local Arena arena;

}  // namespace

void* workspace(std::size_t bytes) {
    if (bytes > arena.bytes) {
        std::free(arena.memory);
        arena.bytes = 0;
        const std::size_t rounded = (bytes + 63) / 64 * 64;
        arena.memory = std::aligned_alloc(64, rounded);
        if (arena.memory == nullptr) return nullptr;
        arena.bytes = rounded;
    }
    return arena.memory;
}
