// A call on a device: tensors come over before each run and go back after it. On the device every one of
// them ends (or begins) where its pages do, inputs are mapped read-only for the kernel, and what lies
// around a tensor in its pages is checked there.
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "gpu/device/arena.h"
#include "model/core/check.h"
#include "properties/workers/loaded_call.h"
#include "properties/workers/protocol.h"

namespace assay::properties {

using nlohmann::json;

// Dense arenas by (slot, bytes, read-only), kept for the life of the worker.
class DeviceMemory {
 public:
  DeviceArena& dense(std::size_t slot, std::int64_t bytes, bool read_only) {
    std::unique_ptr<DeviceArena>& arena = arenas_[{slot, bytes, read_only}];
    if (!arena)
      arena =
          std::make_unique<DeviceArena>(bytes, std::vector<DeviceSpan>{{0, bytes}}, kGuardBytes, read_only);
    return *arena;
  }
  DeviceStream stream;

 private:
  std::map<std::tuple<std::size_t, std::int64_t, bool>, std::unique_ptr<DeviceArena>> arenas_;
};

std::shared_ptr<DeviceMemory> make_device_memory() {
  if (const std::string why = why_no_device(); !why.empty())
    throw EnvironmentError("CUDA device", "one that can be used", why);
  return std::make_shared<DeviceMemory>();
}

namespace {

std::int64_t round_up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

// One tensor (or the workspace) on the device, and its bytes in the shared file.
struct DeviceTensor {
  DeviceArena* arena = nullptr;
  std::unique_ptr<DeviceArena> sparse;  // owns what is not dense
  std::vector<DeviceSpan> islands;      // of the tensor's bytes
  std::vector<DeviceSpan> margins;      // of the arena's bytes: mapped, and nobody's
  std::int64_t data = 0;                // offset of the tensor in the arena
  std::byte* host = nullptr;            // of the tensor
  std::byte* mapping = nullptr;
  std::int64_t mapping_bytes = 0;

  DeviceTensor() = default;
  DeviceTensor(DeviceTensor&&) = delete;
  ~DeviceTensor() {
    if (mapping != nullptr) munmap(mapping, static_cast<std::size_t>(mapping_bytes));
  }
  [[nodiscard]] bool exists() const { return arena != nullptr; }
};

class DeviceCall final : public LoadedCall {
 public:
  DeviceCall(const json& command, DeviceMemory& memory)
      : LoadedCall(command, ASSAY_DEVICE_CUDA),
        memory_(memory),
        in_front_(command.at("front").get<bool>()),
        alignment_(std::max<std::int64_t>(command.at("alignment").get<std::int64_t>(), 4)),
        placed_(tensors_.size() + 1) {
    const json& tensors = command.at("tensors");
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      place(tensors[i], i, tensors_[i].bytes, tensors_[i].is_input);
      if (placed_[i].exists()) set_data(i, placed_[i].arena->kernel_view() + placed_[i].data);
    }
    call_.stream = memory_.stream.get();
  }

  void set_workspace(const json& from, std::int64_t bytes) override {
    DeviceTensor& workspace = placed_.back();
    if (workspace.exists() || bytes == 0) return;
    place(from, tensors_.size(), bytes, false);
    call_.workspace = workspace.arena->kernel_view() + workspace.data;
    call_.workspace_bytes = static_cast<std::uint64_t>(bytes);
  }

  void before_run(std::uint8_t margin, bool plan) override {
    dirty_shared_memory(0x01010101u * margin);
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const DeviceTensor& tensor = placed_[i];
      if (!tensor.exists() || (i == tensors_.size() && !plan)) continue;
      for (const DeviceSpan& span : tensor.margins)
        fill_device(tensor.arena->harness_view() + span.begin, margin, span.end - span.begin);
      for (const DeviceSpan& island : tensor.islands)
        copy_to_device(tensor.arena->harness_view() + tensor.data + island.begin, tensor.host + island.begin,
                       island.end - island.begin);
    }
    wait_for_device();
  }

  bool after_run(std::uint8_t margin, json& reply) override {
    const std::string error = memory_.stream.wait();
    if (!error.empty()) {  // the context is lost: so is this process
      reply["status"] = "fault";
      reply["text"] = error;
      return false;
    }
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const DeviceTensor& tensor = placed_[i];
      if (!tensor.exists() || (i < tensors_.size() && tensors_[i].is_input)) continue;
      for (const DeviceSpan& span : tensor.margins) {
        const std::int64_t at =
            first_other_byte(tensor.arena->harness_view() + span.begin, margin, span.end - span.begin);
        if (at < 0) continue;
        reply["touched"] = {{"tensor", i}, {"offset", span.begin + at - tensor.data}};
        break;
      }
      if (i == tensors_.size()) continue;
      for (const DeviceSpan& island : tensor.islands)
        copy_from_device(tensor.host + island.begin,
                         tensor.arena->harness_view() + tensor.data + island.begin,
                         island.end - island.begin);
    }
    return true;
  }

 private:
  void place(const json& from, std::size_t slot, std::int64_t bytes, bool read_only) {
    if (bytes == 0) return;
    DeviceTensor& tensor = placed_[slot];
    const std::int64_t page = device_page_bytes(), total = round_up(bytes, page);
    tensor.data = in_front_ ? 0 : (total - bytes) / alignment_ * alignment_;
    std::vector<DeviceSpan> chunks;
    if (from.contains("islands") && !from.at("islands").empty()) {
      for (const json& island : from.at("islands")) {
        tensor.islands.push_back({island[0].get<std::int64_t>(), island[1].get<std::int64_t>()});
        const DeviceSpan chunk{(tensor.data + tensor.islands.back().begin) / page * page,
                               round_up(tensor.data + tensor.islands.back().end, page)};
        if (!chunks.empty() && chunks.back().end >= chunk.begin)
          chunks.back().end = std::max(chunks.back().end, chunk.end);
        else
          chunks.push_back(chunk);
      }
      tensor.sparse = std::make_unique<DeviceArena>(total, chunks, kFarGuardBytes, read_only);
      tensor.arena = tensor.sparse.get();
    } else {
      tensor.islands.push_back({0, bytes});
      chunks.push_back({0, total});
      tensor.arena = &memory_.dense(slot, total, read_only);
    }
    for (const DeviceSpan& chunk : chunks) {
      std::int64_t at = chunk.begin;
      for (const DeviceSpan& island : tensor.islands) {
        const DeviceSpan inside{tensor.data + island.begin, tensor.data + island.end};
        if (inside.end <= at || inside.begin >= chunk.end) continue;
        if (at < inside.begin) tensor.margins.push_back({at, inside.begin});
        at = inside.end;
      }
      if (at < chunk.end) tensor.margins.push_back({at, chunk.end});
    }
    tensor.mapping_bytes = from.at("pages").get<std::int64_t>();
    void* memory = mmap(nullptr, static_cast<std::size_t>(tensor.mapping_bytes), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE, kMemoryDescriptor, from.at("file").get<std::int64_t>());
    if (memory == MAP_FAILED) throw EnvironmentError("shared memory", "address space for a tensor", "none");
    tensor.mapping = static_cast<std::byte*>(memory);
    tensor.host = tensor.mapping + from.at("data").get<std::int64_t>();
  }

  DeviceMemory& memory_;
  bool in_front_;
  std::int64_t alignment_;
  std::vector<DeviceTensor> placed_;  // tensors, then the workspace
};

}  // namespace

std::unique_ptr<LoadedCall> load_on_device(const json& command, DeviceMemory& memory) {
  return std::make_unique<DeviceCall>(command, memory);
}

}  // namespace assay::properties
