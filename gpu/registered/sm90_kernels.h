// Our Hopper kernels behind the plug-in header: tested through the same door as everybody's.
//
//   sm90         the fast ones     sm90-naive   the readable ones
#pragma once

#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"

namespace assay {

// Every kernel of that name, one per operation; empty when there is none.
[[nodiscard]] std::vector<const assay_kernel*> sm90_kernels(const std::string& name);

}  // namespace assay
