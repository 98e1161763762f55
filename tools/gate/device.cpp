#include "tools/gate/device.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

namespace assay::tools::gate {

Device find_device() {
  Device device;
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    device.why = "no CUDA driver (libcuda.so.1)";
    return device;
  }
  // The driver's C interface; every function returns 0 for success.
  const auto function = [&](const char* name) { return dlsym(library, name); };
  const auto init = reinterpret_cast<int (*)(unsigned)>(function("cuInit"));
  const auto version = reinterpret_cast<int (*)(int*)>(function("cuDriverGetVersion"));
  const auto count = reinterpret_cast<int (*)(int*)>(function("cuDeviceGetCount"));
  const auto get = reinterpret_cast<int (*)(int*, int)>(function("cuDeviceGet"));
  const auto name = reinterpret_cast<int (*)(char*, int, int)>(function("cuDeviceGetName"));
  int devices = 0, handle = 0, driver = 0;
  std::array<char, 256> text{};
  if (init == nullptr || version == nullptr || count == nullptr || get == nullptr || name == nullptr) {
    device.why = "a CUDA driver without the expected functions";
  } else if (const int code = init(0); code != 0) {
    device.why = fmt::format("a CUDA driver that does not start (cuInit gave {})", code);
  } else if (count(&devices) != 0 || devices == 0) {
    device.why = "a CUDA driver without a device";
  } else if (get(&handle, 0) != 0 || name(text.data(), static_cast<int>(text.size()) - 1, handle) != 0 ||
             version(&driver) != 0) {
    device.why = "a CUDA device that does not answer";
  } else {
    device.present = true;
    device.name = text.data();
    device.driver = fmt::format("{}.{}", driver / 1000, driver % 1000 / 10);
  }
  return device;  // the library stays: drivers do not like to be unloaded
}

}  // namespace assay::tools::gate
