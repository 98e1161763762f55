// The inside of a worker process: loads one kernel (built in, mutant, or plug-in), then serves commands
// until they end. Everything a kernel can do to a process happens here and nowhere else.
#pragma once

#include <string>

namespace assay::properties {

// Does not return normally from a kernel that crashes, of course. `kernel` as given to --kernel.
int serve_kernel(const std::string& kernel);

}  // namespace assay::properties
