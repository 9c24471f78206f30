// All kernels for one instruction set. The build compiles this file once for each, with SIMLSTM_ISA naming a namespace
// and SIMLSTM_KERNELS the table that dispatch.cpp reads.
#include "backward.h"
#include "forward.h"
#include "frozen.h"
#include "gradients.h"
#include "native.h"

namespace SIMLSTM_ISA {
namespace {

bool pack(const PackCall& call) { return Pack(call).run(); }

bool forward(const ForwardCall& call) { return Forward(call).run(); }

bool backward(const BackwardCall& call) {
    if (!Backward(call).run()) return false;
    bool needs_weights = false;
    for (Index d = 0; d < call.layout.directions; ++d) {
        const DirectionGradients& gradients = call.gradients[d];
        needs_weights = needs_weights || gradients.w_ih != nullptr || gradients.w_hh != nullptr || gradients.b_ih != nullptr ||
                        gradients.b_hh != nullptr;
    }
    if (needs_weights && !WeightGradients(call).run()) return false;
    return call.dx == nullptr || InputGradient(call).run();
}

std::int64_t frozen_bytes(std::int64_t hidden_size, std::int64_t precision) {
    const Index blocks = blocks_of(hidden_size);
    if (precision == kFloat32) return blocks * block_bytes<FloatPath>(hidden_size);
    return blocks * (precision == kBfloat16 ? block_bytes<Bfloat16Path>(hidden_size) : block_bytes<Int8Path>(hidden_size));
}

template <typename Path>
void pack_all(const float* w_hh, std::int64_t hidden_size, char* packed) {
    for (Index block = 0; block < blocks_of(hidden_size); ++block) {
        Path::pack(w_hh, hidden_size, block, packed + block * block_bytes<Path>(hidden_size));
    }
}

void frozen_pack(const float* w_hh, std::int64_t hidden_size, std::int64_t precision, void* packed) {
    char* target = static_cast<char*>(packed);
    if (precision == kFloat32) return pack_all<FloatPath>(w_hh, hidden_size, target);
    if (precision == kBfloat16) return pack_all<Bfloat16Path>(w_hh, hidden_size, target);
    pack_all<Int8Path>(w_hh, hidden_size, target);
}

bool fold(const FoldCall& call) {
    return call.precision == kFloat32 ? Fold<float>(call).run() : Fold<std::uint16_t>(call).run();
}

bool frozen(const FrozenCall& call) {
    if (call.precision == kFloat32) return Frozen<FloatPath>(call).run();
    return call.precision == kBfloat16 ? Frozen<Bfloat16Path>(call).run() : Frozen<Int8Path>(call).run();
}

}  // namespace
}  // namespace SIMLSTM_ISA

const Kernels SIMLSTM_KERNELS = {
    SIMLSTM_NAME, SIMLSTM_ISA::kLanes, SIMLSTM_ISA::pack, SIMLSTM_ISA::forward, SIMLSTM_ISA::backward,
    SIMLSTM_ISA::frozen_bytes, SIMLSTM_ISA::frozen_pack, SIMLSTM_ISA::fold, SIMLSTM_ISA::frozen,
};
