// What the shared library shows to the outside, and which instruction sets this processor has.
#include "native.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// From the plainest to the fastest; the place in this list is what Python calls a kernel by. The build says which sets
// its compiler could make.
const Kernels* const kKernels[] = {
    &kPortableKernels,
#ifdef SIMLSTM_HAS_AVX2
    &kAvx2Kernels,
#endif
#ifdef SIMLSTM_HAS_AVX512
    &kAvx512Kernels,
#endif
#ifdef SIMLSTM_HAS_AVX512_BF16
    &kAvx512Bf16Kernels,
#endif
};

bool runs_here(const Kernels* kernels) {
#if defined(SIMLSTM_HAS_AVX2) || defined(SIMLSTM_HAS_AVX512) || defined(SIMLSTM_HAS_AVX512_BF16)
    __builtin_cpu_init();
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#endif
#ifdef SIMLSTM_HAS_AVX2
    if (kernels == &kAvx2Kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef SIMLSTM_HAS_AVX512
    if (kernels == &kAvx512Kernels) return avx512;
#endif
#ifdef SIMLSTM_HAS_AVX512_BF16
    if (kernels == &kAvx512Bf16Kernels) {
        return avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
    }
#endif
    return kernels == &kPortableKernels;
}

}  // namespace

// A hash of the sources: Python refuses a library that was built from others, whose structures may differ.
EXPORT const char* simlstm_sources() { return SIMLSTM_SOURCES; }

EXPORT std::int64_t simlstm_sets() { return sizeof(kKernels) / sizeof(kKernels[0]); }
EXPORT const char* simlstm_name(std::int64_t set) { return kKernels[set]->name; }
EXPORT std::int64_t simlstm_lanes(std::int64_t set) { return kKernels[set]->lanes; }
EXPORT bool simlstm_runs_here(std::int64_t set) { return runs_here(kKernels[set]); }

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
