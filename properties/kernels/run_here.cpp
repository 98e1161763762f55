#include "properties/kernels/run_here.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "model/core/check.h"

#ifdef ASSAY_HAS_CUDA
#include "gpu/device/arena.h"
#endif

namespace assay::properties {

#ifdef ASSAY_HAS_CUDA
namespace {

constexpr std::int64_t kGuardBytes = std::int64_t{2} << 20;

std::int64_t span_bytes(const assay_tensor& t) {
  std::int64_t last = 0, step = 1;
  for (int axis = t.ndim - 1; axis >= 0; --axis) {
    if (t.shape[axis] == 0) return 0;
    last += (t.shape[axis] - 1) * (t.strides != nullptr ? t.strides[axis] : step);
    step *= t.shape[axis];
  }
  return (last + 1) * t.dtype.bits / 8;
}

// One tensor's place on the device, kept from call to call and replaced when it is too small.
class Slot {
 public:
  // The tensor ends where its pages end.
  std::byte* hold(std::int64_t bytes) {
    const std::int64_t page = device_page_bytes(),
                       pages = (std::max<std::int64_t>(bytes, 1) + page - 1) / page * page;
    if (pages > pages_) {
      arena_.reset();
      arena_ = std::make_unique<DeviceArena>(pages, std::vector<DeviceSpan>{{0, pages}}, kGuardBytes, false);
      pages_ = pages;
    }
    return arena_->kernel_view() + (pages_ - bytes) / 256 * 256;
  }

 private:
  std::unique_ptr<DeviceArena> arena_;
  std::int64_t pages_ = 0;
};

int run_on_device(const assay_kernel& kernel, const assay_call& host) {
  if (const std::string why = why_no_device(); !why.empty())
    throw EnvironmentError("CUDA device", "one that can be used", why);
  static std::vector<Slot> slots(16);
  static const DeviceStream stream;
  const int count = host.input_count + host.output_count;
  ASSAY_CHECK(count + 1 <= static_cast<int>(slots.size()));
  std::vector<assay_tensor> tensors(host.inputs, host.inputs + host.input_count);
  tensors.insert(tensors.end(), host.outputs, host.outputs + host.output_count);
  const std::vector<assay_tensor> on_host = tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t bytes = span_bytes(tensors[i]);
    std::byte* device = slots[i].hold(bytes);
    copy_to_device(device, static_cast<const std::byte*>(tensors[i].data) + tensors[i].byte_offset, bytes);
    tensors[i].data = device;
    tensors[i].byte_offset = 0;
    tensors[i].device.type = ASSAY_DEVICE_CUDA;
  }
  assay_call call = host;
  call.inputs = tensors.data();
  call.outputs = tensors.data() + host.input_count;
  call.stream = stream.get();
  if (host.workspace_bytes > 0) {
    std::byte* workspace = slots.back().hold(static_cast<std::int64_t>(host.workspace_bytes));
    copy_to_device(workspace, host.workspace, static_cast<std::int64_t>(host.workspace_bytes));
    call.workspace = workspace;
  }
  int status = kernel.plan == nullptr ? ASSAY_OK : kernel.plan(&call);
  if (status == ASSAY_OK) status = kernel.run(&call);
  if (const std::string error = stream.wait(); !error.empty())
    throw EnvironmentError(
        std::string("kernel ") + (kernel.name == nullptr ? "?" : kernel.name) + " on the device",
        "a launch that ends", error);
  if (status != ASSAY_OK) return status;
  for (std::size_t i = static_cast<std::size_t>(host.input_count); i < tensors.size(); ++i)
    copy_from_device(static_cast<std::byte*>(on_host[i].data) + on_host[i].byte_offset, tensors[i].data,
                     span_bytes(on_host[i]));
  return ASSAY_OK;
}

}  // namespace
#endif

int run_here(const assay_kernel& kernel, const assay_call& call) {
  if (kernel.device == ASSAY_DEVICE_CPU) {
    if (kernel.plan != nullptr)
      if (const int status = kernel.plan(&call); status != ASSAY_OK) return status;
    return kernel.run(&call);
  }
#ifdef ASSAY_HAS_CUDA
  if (kernel.device == ASSAY_DEVICE_CUDA) return run_on_device(kernel, call);
#endif
  throw EnvironmentError("kernel", "a build with CUDA for a kernel that runs on a device", "a build without");
}

}  // namespace assay::properties
