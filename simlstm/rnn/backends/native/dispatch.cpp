// What the shared library shows to the outside, and which instruction sets this processor has.
#include "native.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// From the plainest to the fastest; the place in this list is what Python calls a kernel by.
const Kernels* const kKernels[] = {
    &kPortableKernels,
#ifdef SIMLSTM_X86
    &kAvx2Kernels,
    &kAvx512Kernels,
    &kAvx512Bf16Kernels,
#endif
};

bool runs_here(std::int64_t set) {
#ifdef SIMLSTM_X86
    __builtin_cpu_init();
    if (set == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (set == 2) return avx512;
    if (set == 3) return avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
#endif
    return set == 0;
}

}  // namespace

// Changes whenever a structure or a function does: Python refuses a library that was built from other sources.
EXPORT std::int64_t simlstm_interface() { return 4; }

EXPORT std::int64_t simlstm_sets() { return sizeof(kKernels) / sizeof(kKernels[0]); }
EXPORT const char* simlstm_name(std::int64_t set) { return kKernels[set]->name; }
EXPORT std::int64_t simlstm_lanes(std::int64_t set) { return kKernels[set]->lanes; }
EXPORT bool simlstm_runs_here(std::int64_t set) { return runs_here(set); }

// Whether batch sizes [steps] are positive, never grow, and sum to rows.
EXPORT bool simlstm_describes(const std::int64_t* batch_sizes, std::int64_t steps, std::int64_t rows) {
    std::int64_t sum = 0;
    for (std::int64_t t = 0; t < steps; ++t) {
        if (batch_sizes[t] < 1 || (t > 0 && batch_sizes[t] > batch_sizes[t - 1])) return false;
        sum += batch_sizes[t];
    }
    return steps > 0 && sum == rows;
}

EXPORT bool simlstm_pack(std::int64_t set, const PackCall* call) { return kKernels[set]->pack(*call); }
EXPORT bool simlstm_forward(std::int64_t set, const ForwardCall* call) { return kKernels[set]->forward(*call); }
EXPORT bool simlstm_backward(std::int64_t set, const BackwardCall* call) { return kKernels[set]->backward(*call); }

EXPORT std::int64_t simlstm_frozen_bytes(std::int64_t set, std::int64_t hidden_size, std::int64_t precision) {
    return kKernels[set]->frozen_bytes(hidden_size, precision);
}
EXPORT void simlstm_frozen_pack(std::int64_t set, const float* w_hh, std::int64_t hidden_size, std::int64_t precision, void* packed) {
    kKernels[set]->frozen_pack(w_hh, hidden_size, precision, packed);
}
EXPORT bool simlstm_fold(std::int64_t set, const FoldCall* call) { return kKernels[set]->fold(*call); }
EXPORT bool simlstm_frozen(std::int64_t set, const FrozenCall* call) { return kKernels[set]->frozen(*call); }
