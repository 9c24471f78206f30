// All kernels for one instruction set. The build compiles this file once for each, with SIMLSTM_ISA naming a namespace
// and SIMLSTM_KERNELS the table that dispatch.cpp reads.
#include "backward.h"
#include "forward.h"
#include "gradients.h"
#include "native.h"

namespace SIMLSTM_ISA {
namespace {

bool forward(const ForwardCall& call) { return Forward(call).run(); }

bool backward(const BackwardCall& call) {
    if (!Backward(call).run()) return false;
    bool needs_weights = false;
    for (Index d = 0; d < call.layout.directions; ++d) {
        const DirectionGradients& gradients = call.gradients[d];
        needs_weights = needs_weights || gradients.w_ih != nullptr || gradients.w_hh != nullptr || gradients.bias != nullptr;
    }
    if (needs_weights && !WeightGradients(call).run()) return false;
    return call.dx == nullptr || InputGradient(call).run();
}

}  // namespace
}  // namespace SIMLSTM_ISA

const Kernels SIMLSTM_KERNELS = {
    SIMLSTM_NAME, SIMLSTM_ISA::kLanes, SIMLSTM_ISA::forward, SIMLSTM_ISA::backward, nullptr, nullptr, nullptr, nullptr,
};
