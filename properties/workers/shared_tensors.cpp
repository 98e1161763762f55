#include "properties/workers/shared_tensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "model/core/check.h"

namespace assay::properties {
namespace {

std::int64_t round_up(std::int64_t bytes, std::int64_t unit) { return (bytes + unit - 1) / unit * unit; }

Place place_at(std::int64_t file, std::int64_t span, bool in_front, std::int64_t alignment) {
  Place place{file, round_up(span, kPageBytes), 0};
  if (!in_front) place.data = (place.pages - span) / alignment * alignment;
  return place;
}

}  // namespace

SharedTensors::SharedTensors() {
  descriptor_ = memfd_create("assay-tensors", MFD_CLOEXEC);
  if (descriptor_ < 0) throw EnvironmentError("shared memory", "a memory file", std::strerror(errno));
  grow(std::int64_t{16} << 20);
}

SharedTensors::~SharedTensors() {
  if (base_ != nullptr) munmap(base_, static_cast<std::size_t>(mapped_));
  if (descriptor_ >= 0) close(descriptor_);
}

void SharedTensors::grow(std::int64_t bytes) {
  if (bytes <= mapped_) return;
  const std::int64_t size = std::max(round_up(bytes, kPageBytes), mapped_ * 2);
  if (base_ != nullptr) munmap(base_, static_cast<std::size_t>(mapped_));
  base_ = nullptr;
  void* memory = MAP_FAILED;
  if (ftruncate(descriptor_, size) == 0)
    memory = mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                  descriptor_, 0);
  if (memory == MAP_FAILED)
    throw EnvironmentError("shared memory", std::to_string(size) + " bytes of address space",
                           std::strerror(errno));
  base_ = static_cast<std::byte*>(memory);
  mapped_ = size;
}

void SharedTensors::place(const Operands& operands, bool guard_in_front, std::int32_t alignment_bytes) {
  // Pages of a sparse case are given back: its successors are small and begin at the front.
  if (sparse_)
    fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, dense_end_, used_ - dense_end_);
  guard_in_front_ = guard_in_front;
  alignment_bytes_ = alignment_bytes;
  operands_ = operands;
  places_.assign(operands.tensors.size(), {});
  workspace_ = {};
  workspace_bytes_ = 0;
  sparse_ = false;
  used_ = kPageBytes;
  // Dense tensors first, so that the same pages of the file serve every case.
  for (const bool islands : {false, true}) {
    for (std::size_t i = 0; i < operands.tensors.size(); ++i) {
      const Operand& tensor = operands.tensors[i];
      if (tensor.islands.empty() == islands) continue;
      // Words inside a byte tensor (scales in a cache block) need a word's alignment.
      const std::int64_t alignment =
          std::max({std::int64_t{4}, std::int64_t{tensor.type.bytes()}, std::int64_t{alignment_bytes}});
      places_[i] = place_at(used_, tensor.span_bytes, guard_in_front, alignment);
      used_ += places_[i].pages;
    }
    if (!islands) dense_end_ = used_;
  }
  sparse_ = used_ > dense_end_;
  grow(used_);
  data_.assign(places_.size(), nullptr);
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (places_[i].pages > 0) data_[i] = base_ + places_[i].file + places_[i].data;
}

void SharedTensors::place_workspace(std::int64_t bytes, bool guard_in_front) {
  if (workspace_bytes_ == bytes) return;
  ASSAY_CHECK_EQ(workspace_bytes_, 0);
  workspace_ = place_at(used_, bytes, guard_in_front, 16);
  workspace_bytes_ = bytes;
  used_ += workspace_.pages;
  if (used_ <= mapped_) return;
  grow(used_);
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (places_[i].pages > 0) data_[i] = base_ + places_[i].file + places_[i].data;
}

// visit(tensor, begin, end): bytes of the file around a tensor, and around the islands of a sparse one.
template <typename Visit>
void SharedTensors::for_each_margin(const Visit& visit) const {
  for (std::size_t i = 0; i <= places_.size(); ++i) {
    const bool is_workspace = i == places_.size();
    const Place& place = is_workspace ? workspace_ : places_[i];
    if (place.pages == 0) continue;
    const std::int64_t span = is_workspace ? workspace_bytes_ : operands_.tensors[i].span_bytes;
    const std::int64_t begin = place.file + place.data, index = static_cast<std::int64_t>(i);
    if (is_workspace || operands_.tensors[i].islands.empty()) {
      visit(index, place.file, begin);
      visit(index, begin + span, place.file + place.pages);
      continue;
    }
    const std::vector<ByteRange>& islands = operands_.tensors[i].islands;
    std::int64_t filled = place.file;  // islands are sorted; their pages may touch
    for (std::size_t k = 0; k < islands.size(); ++k) {
      const std::int64_t island = begin + islands[k].begin, end = begin + islands[k].end;
      visit(index, std::max(filled, island / kPageBytes * kPageBytes), island);
      std::int64_t until = round_up(end, kPageBytes);
      if (k + 1 < islands.size()) until = std::min(until, begin + islands[k + 1].begin);
      visit(index, end, until);
      filled = until;
    }
  }
}

void SharedTensors::fill_margins(std::uint8_t byte) const {
  for_each_margin([&](std::int64_t, std::int64_t begin, std::int64_t end) {
    if (begin < end) std::memset(base_ + begin, byte, static_cast<std::size_t>(end - begin));
  });
}

SharedTensors::Touched SharedTensors::touched_margin(std::uint8_t byte) const {
  Touched result;
  for_each_margin([&](std::int64_t tensor, std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end && result.tensor < 0; ++at) {
      if (static_cast<std::uint8_t>(base_[at]) == byte) continue;
      const Place& place = tensor == static_cast<std::int64_t>(places_.size()) ? workspace_ : places_[tensor];
      result = {tensor, at - place.file - place.data};
    }
  });
  return result;
}

}  // namespace assay::properties
