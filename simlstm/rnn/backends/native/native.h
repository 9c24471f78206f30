// What Python hands to the kernels: plain structures of numbers and pointers, the same for every instruction set.
//
// Letters as in simlstm/rnn/README.md: D directions, B sequences, T steps, N packed rows, I input size, H hidden size.
// Everything is row-major. Gates come in torch's order i, f, g, o. "Blocked" gates are a private order: blocks of
// as many hidden units as a vector has lanes, and in a block the four gates of these units side by side:
// [H / lanes, 4, lanes], H rounded up to whole vectors. A blocked row is therefore 4 * lanes * blocks wide.
#pragma once

#include <cstddef>
#include <cstdint>

// GCC and clang say in different ways that they add the address sanitizer.
#if defined(__SANITIZE_ADDRESS__)
#define SIMLSTM_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMLSTM_ADDRESS_SANITIZER
#endif
#endif

struct Layout {
    std::int64_t threads;      // most threads that may work
    std::int64_t directions;   // D, 1 or 2
    std::int64_t steps;        // T
    std::int64_t rows;         // N
    std::int64_t sequences;    // B
    std::int64_t input_size;   // I
    std::int64_t hidden_size;  // H
    const std::int64_t* batch_sizes;  // [T], never growing, sum N
};

struct DirectionPointers {
    const float* w_ih;  // [4H, I]
    const float* w_hh;  // [4H, H]
    const float* b_ih;  // [4H] or null
    const float* b_hh;  // [4H] or null
};

struct ForwardCall {
    Layout layout;
    DirectionPointers weights[2];
    const float* packed;    // the weights as PackCall wrote them, or null: then they are packed first
    const float* x;         // [N, I], rows x_stride apart
    std::int64_t x_stride;
    const float* h0;        // [D, B, H], or null for zeros
    const float* c0;        // [D, B, H], or null for zeros
    float* y;               // [N, D * H]
    float* hT;              // [D, B, H]
    float* cT;              // [D, B, H]
    float* gates;           // [D, N, blocked 4H], activated; null when no gradient is wanted
    float* cells;           // [D, N, H rounded up to whole vectors]; null with gates
};

// The weights of a layer in the order in which the forward kernels read them, for calls between which they do not change.
struct PackCall {
    std::int64_t threads;
    std::int64_t directions;   // D
    std::int64_t input_size;   // I
    std::int64_t hidden_size;  // H
    DirectionPointers weights[2];
    float* packed;             // [D, (I + H + 1) * blocked 4H], written
};

struct DirectionGradients {
    float* w_ih;  // [4H, I] or null
    float* w_hh;  // [4H, H] or null
    float* b_ih;  // [4H] or null
    float* b_hh;  // [4H] or null: the same numbers once more, because two parameters may not share a gradient
};

struct BackwardCall {
    Layout layout;
    DirectionPointers weights[2];
    DirectionGradients gradients[2];
    const float* x;         // [N, I], rows x_stride apart
    std::int64_t x_stride;
    const float* h0;        // [D, B, H]
    const float* c0;        // [D, B, H]
    const float* gates;     // as ForwardCall left them
    const float* cells;
    const float* dy;        // [N, D * H] or null
    const float* dhT;       // [D, B, H] or null
    const float* dcT;       // [D, B, H] or null
    float* d_gates;         // [D, N, blocked 4H], of the pre-activations: scratch
    float* dx;              // [N, I] or null
    float* dh0;             // [D, B, H] or null
    float* dc0;             // [D, B, H]
};

// The frozen recurrence: the weights are packed once, the gates' pre-activations are read from a table.
enum Precision : std::int64_t { kFloat32 = 0, kBfloat16 = 1, kInt8 = 2 };

struct FrozenCall {
    Layout layout;             // input_size is not used
    std::int64_t precision;    // of packed and table
    const void* packed;        // [D] weights as frozen_pack wrote them
    const void* table;         // [V, D, blocked 4H], float32 for kFloat32, else bfloat16
    const std::int64_t* ids;   // [N] row of the table for each packed row; null: row n
    float* y;                  // [N, D * H] or null
    float* maximum;            // [B, D * H] or null
    float* total;              // [B, D * H] or null
    float* last;               // [B, D * H] or null
};

struct FoldCall {
    std::int64_t threads;
    std::int64_t directions;
    std::int64_t rows;         // V
    std::int64_t input_size;   // I
    std::int64_t hidden_size;  // H
    std::int64_t precision;    // of the table
    DirectionPointers weights[2];  // w_hh is not used
    const float* x;            // [V, I], rows x_stride apart
    std::int64_t x_stride;
    void* table;               // [V, D, blocked 4H], written
};

// One set of kernels; each instruction set has its own. Functions return false when memory ran out.
struct Kernels {
    const char* name;
    std::int64_t lanes;
    bool (*pack)(const PackCall&);
    bool (*forward)(const ForwardCall&);
    bool (*backward)(const BackwardCall&);
    std::int64_t (*frozen_bytes)(std::int64_t hidden_size, std::int64_t precision);  // of one direction
    void (*frozen_pack)(const float* w_hh, std::int64_t hidden_size, std::int64_t precision, void* packed);
    bool (*fold)(const FoldCall&);
    bool (*frozen)(const FrozenCall&);
};

extern const Kernels kPortableKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx512Bf16Kernels;

// threads.cpp: runs task(context, i, worker) for each i below count, on at most `threads` workers numbered from 0, and
// returns when all are done. Which worker runs which task is left to chance: tasks may not depend on it.
using Task = void (*)(void* context, std::int64_t index, int worker);
void run_tasks(std::int64_t count, std::int64_t threads, Task task, void* context);

// workspace.cpp: memory that belongs to the calling thread, kept from call to call, 64-byte aligned, not cleared;
// null when there is none. A second call ends the life of what the first returned.
void* workspace(std::size_t bytes);
