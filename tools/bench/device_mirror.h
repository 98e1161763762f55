// A call's tensors on a CUDA device, copied from and to where they lie on the host; every one between unmapped
// pages. Both kernels of a comparison run on the same mirror. In a build without CUDA none can be made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "properties/cases/operands.h"
#include "tools/bench/ceilings.h"
#include "tools/bench/isolated.h"

namespace assay::tools {

class DeviceMirror {
 public:
  // EnvironmentError without a device, its memory, or CUDA in this build. `host` and `operands` must outlive it.
  DeviceMirror(const assay_call& host, const properties::Operands& operands);
  ~DeviceMirror();
  DeviceMirror(const DeviceMirror&) = delete;
  DeviceMirror& operator=(const DeviceMirror&) = delete;

  [[nodiscard]] assay_call call() const;  // the host's, with the device's addresses and stream
  // Device memory that lives as long as the mirror, filled with 0xff.
  [[nodiscard]] void* workspace(std::uint64_t bytes);
  void upload_inputs();
  void upload_outputs();
  void download_outputs();
  void flush();  // the caches; in the stream, before what is launched next
  // Event interval around what `launches` puts into the stream; waits for it. KernelFault with CUDA's words for
  // what goes wrong there: the device is lost to this process then.
  [[nodiscard]] double seconds_of(const std::function<void()>& launches);

 private:
  struct Device;
  std::unique_ptr<Device> device_;
};

// The device that a mirror would be on. EnvironmentError when there is none.
[[nodiscard]] std::string mirror_device_name();
[[nodiscard]] double mirror_clock_mhz();  // 0: not known
// Memory measured now (a copy within the device); arithmetic from measurements that are on record for this
// device, else unknown.
[[nodiscard]] Ceilings mirror_ceilings(properties::Operation operation);

}  // namespace assay::tools
