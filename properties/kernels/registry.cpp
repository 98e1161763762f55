#include "properties/kernels/registry.h"

#include <dlfcn.h>

#ifdef ASSAY_HAS_CUDA
#include "gpu/registered/sm90_kernels.h"
#endif
#include "model/core/check.h"
#include "properties/kernels/built_in.h"
#include "properties/mutants/mutants.h"

namespace assay::properties {
namespace {

const assay_kernel* load_plugin(const std::string& path) {
  // A bare file name would be searched for in the system's folders.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw InputError("--kernel", "a shared object", dlerror());
  using Entry = const assay_kernel* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "assay_kernel_v1"));
  if (entry == nullptr)
    throw InputError("--kernel " + path, "the symbol assay_kernel_v1", "a library without it");
  const assay_kernel* kernel = entry();
  if (kernel == nullptr || kernel->abi != ASSAY_ABI_VERSION)
    throw InputError("--kernel " + path, "a descriptor of ABI " + std::to_string(ASSAY_ABI_VERSION),
                     kernel == nullptr ? "none" : "ABI " + std::to_string(kernel->abi));
  if (kernel->size < sizeof(assay_kernel) || kernel->run == nullptr)
    throw InputError("--kernel " + path,
                     "a descriptor of " + std::to_string(sizeof(assay_kernel)) + " bytes with run",
                     std::to_string(kernel->size) + " bytes");
  if (kernel->device != ASSAY_DEVICE_CPU && kernel->device != ASSAY_DEVICE_CUDA)
    throw InputError("--kernel " + path, "a CPU (1) or CUDA (2) kernel",
                     "device code " + std::to_string(kernel->device));
  return kernel;
}

}  // namespace

bool is_built_in(const std::string& name) {
#ifdef ASSAY_HAS_CUDA
  if (!sm90_kernels(name).empty()) return true;
#endif
  return !built_in_kernels(name).empty();
}

bool is_plugin(const std::string& name) {
  return name.find('/') != std::string::npos || name.find(".so") != std::string::npos;
}
bool is_python(const std::string& name) { return name.find(".py:") != std::string::npos; }

KernelSet::KernelSet(const std::string& name) {
  if (is_plugin(name)) {
    kernels_.push_back(load_plugin(name));
    return;
  }
  constexpr const char* kMutant = "mutant:";
  kernels_ = name.rfind(kMutant, 0) == 0 ? mutant_kernels(name.substr(7)) : built_in_kernels(name);
#ifdef ASSAY_HAS_CUDA
  if (kernels_.empty()) kernels_ = sm90_kernels(name);
#endif
  if (!kernels_.empty()) return;
  std::string names;
  for (const std::string& known : built_in_names()) names += known + ", ";
  throw InputError("--kernel", names + "mutant:NAME, or a path to a shared object", name);
}

const assay_kernel* KernelSet::find(int operation) const {
  for (const assay_kernel* kernel : kernels_)
    if (kernel->op == operation) return kernel;
  return nullptr;
}

}  // namespace assay::properties
