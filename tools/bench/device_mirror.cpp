#include "tools/bench/device_mirror.h"

#include <algorithm>

#include "model/core/check.h"

#if defined(ASSAY_HAS_CUDA)
#include "gpu/device/arena.h"
#include "gpu/device/stopwatch.h"
#endif

namespace assay::tools {

#if defined(ASSAY_HAS_CUDA)
namespace {

constexpr std::int64_t kGuardBytes = std::int64_t{2} << 20;

void must_exist() {
  if (const std::string why = why_no_device(); !why.empty())
    throw EnvironmentError("CUDA device", "one that can be used", why);
}

// What has been measured on a device (docs/measuring.md): matrix products of 8192^3, H200, 2026-11-20.
struct ArithmeticRecord {
  const char* device;
  double fp8, bf16;  // operations per second
};
constexpr ArithmeticRecord kRecords[] = {{"NVIDIA H200", 1413e12, 780e12}};

}  // namespace

struct DeviceMirror::Device {
  const assay_call& host;
  const properties::Operands& operands;
  std::vector<std::unique_ptr<DeviceArena>> arenas;  // tensors, then workspaces
  std::vector<assay_tensor> tensors;
  DeviceStream stream;
  DeviceStopwatch watch;

  Device(const assay_call& host_call, const properties::Operands& of) : host(host_call), operands(of) {}

  std::byte* hold(std::int64_t bytes) {
    const std::int64_t page = device_page_bytes(),
                       all = (std::max<std::int64_t>(bytes, 1) + page - 1) / page * page;
    arenas.push_back(
        std::make_unique<DeviceArena>(all, std::vector<DeviceSpan>{{0, all}}, kGuardBytes, false));
    // Ends near the end of its pages, so that a long read faults.
    return arenas.back()->kernel_view() + (all - bytes) / 256 * 256;
  }
  [[nodiscard]] const assay_tensor& host_tensor(std::size_t i) const {
    const auto inputs = static_cast<std::size_t>(host.input_count);
    return i < inputs ? host.inputs[i] : host.outputs[i - inputs];
  }
  void upload(std::size_t i) {
    copy_to_device(tensors[i].data, host_tensor(i).data, operands.tensors[i].span_bytes);
  }
  void wait() const {
    if (const std::string error = stream.wait(); !error.empty()) throw KernelFault(error);
  }
};

DeviceMirror::DeviceMirror(const assay_call& host, const properties::Operands& operands) {
  must_exist();
  device_ = std::make_unique<Device>(host, operands);
  for (std::size_t i = 0; i < operands.tensors.size(); ++i) {
    assay_tensor& tensor = device_->tensors.emplace_back(device_->host_tensor(i));
    tensor.data = device_->hold(operands.tensors[i].span_bytes);
    tensor.device.type = ASSAY_DEVICE_CUDA;
  }
}
DeviceMirror::~DeviceMirror() = default;

assay_call DeviceMirror::call() const {
  assay_call call = device_->host;
  call.inputs = device_->tensors.data();
  call.outputs = device_->tensors.data() + call.input_count;
  call.stream = device_->stream.get();
  return call;
}

void* DeviceMirror::workspace(std::uint64_t bytes) {
  if (bytes == 0) return nullptr;
  std::byte* data = device_->hold(static_cast<std::int64_t>(bytes));
  fill_device(data, 0xff, static_cast<std::int64_t>(bytes));
  wait_for_device();
  return data;
}

void DeviceMirror::upload_inputs() {
  for (std::size_t i = 0; i < static_cast<std::size_t>(device_->host.input_count); ++i) device_->upload(i);
  wait_for_device();
}
void DeviceMirror::upload_outputs() {
  for (auto i = static_cast<std::size_t>(device_->host.input_count); i < device_->tensors.size(); ++i)
    device_->upload(i);
  wait_for_device();
}
void DeviceMirror::download_outputs() {
  device_->wait();
  for (auto i = static_cast<std::size_t>(device_->host.input_count); i < device_->tensors.size(); ++i)
    copy_from_device(device_->host_tensor(i).data, device_->tensors[i].data,
                     device_->operands.tensors[i].span_bytes);
}

void DeviceMirror::flush() { flush_device_cache(device_->stream); }

double DeviceMirror::seconds_of(const std::function<void()>& launches) {
  try {
    return device_->watch.seconds_of(device_->stream, launches);
  } catch (const EnvironmentError& error) {
    throw KernelFault(error.got());
  }
}

std::string mirror_device_name() {
  must_exist();
  return name_of_device();
}
double mirror_clock_mhz() { return device_clock_mhz(); }

Ceilings mirror_ceilings(properties::Operation operation) {
  Ceilings ceilings;
  ceilings.bytes_per_second = device_copy_bytes_per_second();
  ceilings.memory_from = "a copy within the device, read plus written, median of 15";
  const std::string name = mirror_device_name();
  for (const ArithmeticRecord& record : kRecords) {
    if (name != record.device || operation == properties::Operation::kScheduleMetadata) continue;
    const bool attention = operation == properties::Operation::kPagedAttention;
    ceilings.operations_per_second = attention ? record.bf16 : record.fp8;
    ceilings.arithmetic_from = std::string(attention ? "bf16" : "fp8") + " matrix product 8192^3 on record";
  }
  return ceilings;
}

#else

struct DeviceMirror::Device {};

namespace {
[[noreturn]] void refuse() {
  throw EnvironmentError("--kernel", "a build with CUDA for a kernel that runs on a device",
                         "a build without");
}
}  // namespace

DeviceMirror::DeviceMirror(const assay_call&, const properties::Operands&) { refuse(); }
DeviceMirror::~DeviceMirror() = default;
assay_call DeviceMirror::call() const { refuse(); }
void* DeviceMirror::workspace(std::uint64_t) { refuse(); }
void DeviceMirror::upload_inputs() { refuse(); }
void DeviceMirror::upload_outputs() { refuse(); }
void DeviceMirror::download_outputs() { refuse(); }
void DeviceMirror::flush() { refuse(); }
double DeviceMirror::seconds_of(const std::function<void()>&) { refuse(); }
std::string mirror_device_name() { refuse(); }
double mirror_clock_mhz() { return 0; }
Ceilings mirror_ceilings(properties::Operation) { refuse(); }

#endif

}  // namespace assay::tools
