// Scratch memory that is kept, so that a call neither asks the system for pages nor touches fresh ones.
#include <cstdlib>

#include "native.h"

#ifdef SIMLSTM_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

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
        arena.memory = nullptr;
        arena.bytes = 0;
        const std::size_t rounded = (bytes + 63) / 64 * 64;
        arena.memory = std::aligned_alloc(64, rounded);
        if (arena.memory == nullptr) return nullptr;
        arena.bytes = rounded;
    }
#ifdef SIMLSTM_ADDRESS_SANITIZER
    __asan_poison_memory_region(arena.memory, arena.bytes);  // the caller frees the pieces that it takes
#endif
    return arena.memory;
}
