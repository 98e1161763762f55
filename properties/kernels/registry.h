// Finds the kernels behind a name, inside a worker:
//
//   twin, golden-rounded, naive   built in, one kernel per operation
//   sm90, sm90-naive              our CUDA kernels, in a build with CUDA
//   mutant:K4a                    a planted fault (properties/mutants)
//   ./my.so                       a shared object that exports assay_kernel_v1
#pragma once

#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"

namespace assay::properties {

class KernelSet {
 public:
  // InputError when there is no such kernel, or the shared object is none.
  explicit KernelSet(const std::string& name);
  [[nodiscard]] const std::vector<const assay_kernel*>& kernels() const { return kernels_; }
  [[nodiscard]] const assay_kernel* find(int operation) const;

 private:
  std::vector<const assay_kernel*> kernels_;
};

[[nodiscard]] bool is_built_in(const std::string& name);  // the CUDA ones depend on the build
[[nodiscard]] bool is_plugin(const std::string& name);    // a path to a shared object
[[nodiscard]] bool is_python(const std::string& name);    // file.py:function

}  // namespace assay::properties
