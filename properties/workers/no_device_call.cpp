// A build without CUDA: device kernels are refused when they are loaded.
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "properties/workers/loaded_call.h"

namespace assay::properties {

class DeviceMemory {};

std::shared_ptr<DeviceMemory> make_device_memory() {
  throw EnvironmentError("--kernel", "a build with CUDA for a kernel that runs on a device",
                         "a build without");
}
std::unique_ptr<LoadedCall> load_on_device(const nlohmann::json&, DeviceMemory&) { return nullptr; }

}  // namespace assay::properties
