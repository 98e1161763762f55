// The memory and the structs of one call, inside a worker: on the host between guard pages, or on a device
// between unmapped device pages. Made by "load", used by every "run" until the next "load".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "gpu/api/assay_kernel.h"

namespace assay::properties {

// Where a fault of this process may lie; plain memory, complete before any kernel runs.
struct Region {
  std::uintptr_t begin, end;  // guards included
  std::uintptr_t data;
  std::int32_t tensor;
};
inline constexpr int kMaxRegions = 32;
extern Region fault_regions[kMaxRegions];
extern int fault_region_count;

class LoadedCall {
 public:
  virtual ~LoadedCall() = default;
  LoadedCall(const LoadedCall&) = delete;
  LoadedCall& operator=(const LoadedCall&) = delete;
  [[nodiscard]] assay_call& call() { return call_; }

  virtual void set_workspace(const nlohmann::json& place, std::int64_t bytes) = 0;
  // While planning, values are out of sight: only integer tensors can be read.
  virtual void hide_values(bool /*hidden*/) {}
  // Brings the inputs to where the kernel reads them. `margin` is what lies around every tensor.
  virtual void before_run(std::uint8_t /*margin*/, bool /*plan*/) {}
  // Waits, brings outputs back; puts what it found into the reply. False: this process is of no more use.
  virtual bool after_run(std::uint8_t /*margin*/, nlohmann::json& /*reply*/) { return true; }

 protected:
  LoadedCall(const nlohmann::json& command, std::int32_t device);
  struct Tensor {
    std::byte* data = nullptr;
    bool is_input = false, is_integer = false;
    std::int64_t bytes = 0;
    std::vector<std::int64_t> shape, strides;
  };
  void set_data(std::size_t tensor, std::byte* data);

  std::vector<Tensor> tensors_;
  assay_call call_{};

 private:
  std::vector<assay_tensor> structs_;
  std::vector<std::int64_t> ints_;
  std::vector<double> reals_;
};

// InputError when the command does not describe a call; ends the process when there is no address space.
[[nodiscard]] std::unique_ptr<LoadedCall> load_on_host(const nlohmann::json& command);

// Device memory that outlives a call, so that a campaign does not map pages for every case.
class DeviceMemory;
[[nodiscard]] std::shared_ptr<DeviceMemory> make_device_memory();
// EnvironmentError when there is no device. Without CUDA in this build: always.
[[nodiscard]] std::unique_ptr<LoadedCall> load_on_device(const nlohmann::json& command, DeviceMemory& memory);

}  // namespace assay::properties
