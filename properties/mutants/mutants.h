// Planted faults, one per line of the list that real kernels got wrong (operators K1 to K21), and in the
// harness's own verdicts (H). The suite is trusted because it kills all of them.
//
//   kernel mutants    a correct CPU kernel with one step overridden: `--kernel mutant:K5a`
//   harness mutants   a trial that skips one of its checks; a kernel mutant that only that check kills
//                     must then survive, or the check does nothing
//
// Allocator mutants (S1 to S10) live with the allocator's properties.
#pragma once

#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"

namespace assay::properties {

struct KernelMutant {
  const char* name;      // "K5a"
  const char* fault;     // what is wrong, in words
  const char* oracle;    // which check must see it
  const char* statuses;  // space separated: the verdicts that count as seen by it
  assay_kernel kernel;
};

[[nodiscard]] const std::vector<KernelMutant>& kernel_mutants();
// The descriptor of "K5a", or of "none" (the correct loops); nullptr when there is no such mutant.
[[nodiscard]] std::vector<const assay_kernel*> mutant_kernels(const std::string& name);

}  // namespace assay::properties
