// Runs the kernels from several threads at once, for ThreadSanitizer: `make sanitize` builds and runs it.
//
// Built with SIMLSTM_OWN_THREADS, so that the pool in threads.cpp is under test too: torch's OpenMP runtime is not
// instrumented and would only be noise here. Every caller must get the same bits as a single thread did.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "native.h"

namespace {

constexpr std::int64_t kInput = 19, kHidden = 37, kDirections = 2;

std::vector<float> draw(std::size_t count, unsigned seed) {
    std::vector<float> values(count);
    for (float& value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) / static_cast<float>(1u << 24) - 0.5f;
    }
    return values;
}

// One forward and backward pass over a ragged batch, and the frozen recurrence; returns everything that was computed.
std::vector<float> compute(const Kernels& kernels, std::int64_t threads) {
    std::vector<std::int64_t> sizes;
    std::int64_t rows = 0;
    for (std::int64_t t = 0; t < 9; ++t) {
        sizes.push_back(130 - 14 * t);
        rows += sizes.back();
    }
    const std::int64_t sequences = sizes[0], padded = (kHidden + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
    const Layout layout{threads, kDirections, 9, rows, sequences, kInput, kHidden, sizes.data()};
    const auto x = draw(rows * kInput, 1), w_ih = draw(4 * kHidden * kInput, 2), w_hh = draw(4 * kHidden * kHidden, 3);
    const auto bias = draw(4 * kHidden, 4), h0 = draw(kDirections * sequences * kHidden, 5), dy = draw(rows * kDirections * kHidden, 6);
    std::vector<float> y(dy.size()), hT(h0.size()), cT(h0.size()), gates(kDirections * rows * 4 * padded), cells(kDirections * rows * padded);
    ForwardCall forward{};
    forward.layout = layout;
    for (auto& weights : forward.weights) weights = {w_ih.data(), w_hh.data(), bias.data(), nullptr};
    forward.x = x.data();
    forward.x_stride = kInput;
    forward.h0 = forward.c0 = h0.data();
    forward.y = y.data();
    forward.hT = hT.data();
    forward.cT = cT.data();
    forward.gates = gates.data();
    forward.cells = cells.data();
    if (!kernels.forward(forward)) std::abort();

    std::vector<float> d_gates(gates.size()), dx(x.size()), dh0(h0.size()), dc0(h0.size());
    std::vector<float> dw_ih(kDirections * w_ih.size()), dw_hh(kDirections * w_hh.size()), db(2 * kDirections * bias.size());
    BackwardCall backward{};
    backward.layout = layout;
    for (std::int64_t d = 0; d < kDirections; ++d) {
        backward.weights[d] = forward.weights[d];
        backward.gradients[d] = {dw_ih.data() + d * w_ih.size(), dw_hh.data() + d * w_hh.size(), db.data() + 2 * d * bias.size(),
                                 db.data() + (2 * d + 1) * bias.size()};
    }
    backward.x = x.data();
    backward.x_stride = kInput;
    backward.h0 = backward.c0 = h0.data();
    backward.gates = gates.data();
    backward.cells = cells.data();
    backward.dy = dy.data();
    backward.d_gates = d_gates.data();
    backward.dx = dx.data();
    backward.dh0 = dh0.data();
    backward.dc0 = dc0.data();
    if (!kernels.backward(backward)) std::abort();

    std::vector<float> all;
    for (const auto& part : {y, hT, cT, dx, dh0, dc0, dw_ih, dw_hh, db}) all.insert(all.end(), part.begin(), part.end());
    for (std::int64_t precision : {kFloat32, kBfloat16, kInt8}) {
        const std::int64_t bytes = kernels.frozen_bytes(kHidden, precision);
        std::vector<char> packed(kDirections * bytes);
        for (std::int64_t d = 0; d < kDirections; ++d) kernels.frozen_pack(w_hh.data(), kHidden, precision, packed.data() + d * bytes);
        std::vector<float> table(rows * kDirections * 4 * padded);  // room for either kind of entry
        FoldCall fold{threads, kDirections, rows, kInput, kHidden, precision, {}, x.data(), kInput, table.data()};
        for (std::int64_t d = 0; d < kDirections; ++d) fold.weights[d] = forward.weights[d];
        if (!kernels.fold(fold)) std::abort();
        std::vector<float> maximum(sequences * kDirections * kHidden), total(maximum.size()), last(maximum.size());
        FrozenCall frozen{layout, precision, packed.data(), table.data(), nullptr, y.data(), maximum.data(), total.data(), last.data()};
        if (!kernels.frozen(frozen)) std::abort();
        for (const auto& part : {y, maximum, total, last}) all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

void check(const Kernels& kernels) {
    const std::vector<float> expected = compute(kernels, 1);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller) {
        callers.emplace_back([&, caller] {
            for (int turn = 0; turn < 4; ++turn) {
                const std::vector<float> result = compute(kernels, 1 + (caller + turn) % 4);
                if (std::memcmp(result.data(), expected.data(), result.size() * sizeof(float)) != 0) {
                    std::printf("%s: threads changed a result\n", kernels.name);
                    std::exit(1);
                }
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
    std::printf("%s: %zu values, the same from every thread\n", kernels.name, expected.size());
}

}  // namespace

int main() {
    check(kPortableKernels);
#ifdef SIMLSTM_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) check(kAvx2Kernels);
#endif
    return 0;
}
