// A call on the host: every tensor between pages of nobody, inputs read-only.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "properties/workers/loaded_call.h"
#include "properties/workers/protocol.h"

namespace assay::properties {

using nlohmann::json;

Region fault_regions[kMaxRegions];
int fault_region_count = 0;

LoadedCall::LoadedCall(const json& command, std::int32_t device) {
  const json& tensors = command.at("tensors");
  if (tensors.size() + 1 > kMaxRegions)
    throw InputError("load.tensors", "fewer tensors", std::to_string(tensors.size()));
  tensors_.resize(tensors.size());
  structs_.resize(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Tensor& tensor = tensors_[i];
    const json& from = tensors[i];
    tensor.is_input = from.at("role") == "input";
    tensor.bytes = from.at("bytes").get<std::int64_t>();
    tensor.shape = from.at("shape").get<std::vector<std::int64_t>>();
    tensor.strides = from.at("strides").get<std::vector<std::int64_t>>();
    const int code = from.at("code").get<int>(), bits = from.at("bits").get<int>();
    tensor.is_integer = code == ASSAY_TYPE_INT;
    (tensor.is_input ? call_.input_count : call_.output_count) += 1;
    structs_[i] = assay_tensor{nullptr,
                               {device, 0},
                               static_cast<std::int32_t>(tensor.shape.size()),
                               {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1},
                               tensor.shape.data(),
                               tensor.strides.data(),
                               0};
  }
  ints_ = command.at("ints").get<std::vector<std::int64_t>>();
  reals_ = command.at("reals").get<std::vector<double>>();
  call_.size = sizeof call_;
  call_.op = command.at("op").get<int>();
  call_.inputs = structs_.data();
  call_.outputs = structs_.data() + call_.input_count;
  call_.ints = ints_.data();
  call_.reals = reals_.data();
}

void LoadedCall::set_data(std::size_t tensor, std::byte* data) {
  tensors_[tensor].data = data;
  structs_[tensor].data = data;
}

namespace {

[[noreturn]] void no_memory(const char* what) {
  std::fprintf(stderr, "assay worker: %s\n", what);
  _exit(70);
}

class HostCall final : public LoadedCall {
 public:
  explicit HostCall(const json& command) : LoadedCall(command, ASSAY_DEVICE_CPU), pages_(tensors_.size()) {
    fault_region_count = 0;
    const json& tensors = command.at("tensors");
    for (std::size_t i = 0; i < tensors.size(); ++i)
      set_data(i, map(tensors[i], static_cast<std::int32_t>(i),
                      tensors_[i].is_input ? PROT_READ : PROT_READ | PROT_WRITE, pages_[i]));
  }
  ~HostCall() override {
    for (const auto& [memory, bytes] : reserved_) munmap(memory, static_cast<std::size_t>(bytes));
    fault_region_count = 0;
  }

  void set_workspace(const json& place, std::int64_t bytes) override {
    if (call_.workspace != nullptr || bytes == 0) return;
    Pages pages;
    call_.workspace = map(place, kWorkspaceTensor, PROT_READ | PROT_WRITE, pages);
    call_.workspace_bytes = static_cast<std::uint64_t>(bytes);
  }

  void hide_values(bool hidden) override {
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      if (!tensors_[i].is_integer)
        for (const auto& [memory, bytes] : pages_[i])
          mprotect(memory, static_cast<std::size_t>(bytes),
                   hidden                 ? PROT_NONE
                   : tensors_[i].is_input ? PROT_READ
                                          : PROT_READ | PROT_WRITE);
  }

 private:
  using Pages = std::vector<std::pair<std::byte*, std::int64_t>>;  // mapped ranges

  std::byte* map(const json& from, std::int32_t index, int protection, Pages& mapped) {
    const std::int64_t file = from.at("file").get<std::int64_t>(),
                       pages = from.at("pages").get<std::int64_t>();
    const std::int64_t offset = from.at("data").get<std::int64_t>();
    const bool sparse = from.contains("islands") && !from.at("islands").empty();
    const std::int64_t guard = sparse ? kFarGuardBytes : kGuardBytes, total = pages + 2 * guard;
    void* memory = mmap(nullptr, static_cast<std::size_t>(total), PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) no_memory("no address space for a tensor");
    auto* base = static_cast<std::byte*>(memory);
    reserved_.emplace_back(base, total);
    std::byte* data = base + guard + offset;
    const auto expose = [&](std::int64_t begin, std::int64_t end) {  // page-aligned, in the pages
      if (begin >= end) return;
      if (mmap(base + guard + begin, static_cast<std::size_t>(end - begin), protection,
               MAP_SHARED | MAP_FIXED | MAP_POPULATE, kMemoryDescriptor, file + begin) == MAP_FAILED)
        no_memory("the shared memory file could not be mapped");
      mapped.emplace_back(base + guard + begin, end - begin);
    };
    if (!sparse) {
      expose(0, pages);
    } else {
      std::int64_t exposed = 0;  // neighbouring islands share pages
      for (const json& island : from.at("islands")) {
        const std::int64_t begin = (offset + island[0].get<std::int64_t>()) / kPageBytes * kPageBytes;
        const std::int64_t end =
            (offset + island[1].get<std::int64_t>() + kPageBytes - 1) / kPageBytes * kPageBytes;
        expose(std::max(begin, exposed), end);
        exposed = std::max(exposed, end);
      }
    }
    fault_regions[fault_region_count++] = {reinterpret_cast<std::uintptr_t>(base),
                                           reinterpret_cast<std::uintptr_t>(base + total),
                                           reinterpret_cast<std::uintptr_t>(data), index};
    return data;
  }

  std::vector<Pages> pages_;
  std::vector<std::pair<std::byte*, std::int64_t>> reserved_;
};

}  // namespace

std::unique_ptr<LoadedCall> load_on_host(const json& command) { return std::make_unique<HostCall>(command); }

}  // namespace assay::properties
