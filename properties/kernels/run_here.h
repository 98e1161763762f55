// Runs a kernel from this process on tensors in host memory, wherever the kernel lives: a CPU kernel as it
// is, a CUDA kernel on copies of its tensors between unmapped device pages. For callers that need no worker
// (the judges of recorded traffic); whatever harms a process harms this one.
#pragma once

#include "gpu/api/assay_kernel.h"

namespace assay::properties {

// ASSAY_OK, ASSAY_UNSUPPORTED or ASSAY_FAILED. EnvironmentError for what a device refuses or loses.
[[nodiscard]] int run_here(const assay_kernel& kernel, const assay_call& call);

}  // namespace assay::properties
