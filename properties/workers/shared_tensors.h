// The memory that a campaign and a worker share: one file, in which every tensor has pages of its own.
// The campaign maps the file as a whole and writes it; the worker maps each tensor between guards, inputs
// read-only. A tensor ends where its last page ends (or begins where its first page begins), so that the
// first byte beyond it faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "properties/cases/contents.h"
#include "properties/cases/operands.h"
#include "properties/workers/protocol.h"

namespace assay::properties {

struct Place {
  std::int64_t file = 0;   // offset of the pages
  std::int64_t pages = 0;  // bytes, a multiple of kPageBytes; 0: the tensor spans nothing
  std::int64_t data = 0;   // offset of the tensor in its pages
};

class SharedTensors {
 public:
  SharedTensors();  // EnvironmentError when the kernel gives no memory file
  ~SharedTensors();
  SharedTensors(const SharedTensors&) = delete;
  SharedTensors& operator=(const SharedTensors&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  // Lays tensors out anew; what the file held before is anything.
  void place(const Operands& operands, bool guard_in_front, std::int32_t alignment_bytes);
  void place_workspace(std::int64_t bytes, bool guard_in_front);

  [[nodiscard]] bool guard_in_front() const { return guard_in_front_; }
  [[nodiscard]] std::int32_t alignment_bytes() const { return alignment_bytes_; }
  [[nodiscard]] const std::vector<Place>& places() const { return places_; }
  [[nodiscard]] const Place& workspace() const { return workspace_; }
  [[nodiscard]] std::int64_t workspace_bytes() const { return workspace_bytes_; }
  [[nodiscard]] const TensorPointers& data() const { return data_; }
  [[nodiscard]] std::byte* workspace_data() const { return base_ + workspace_.file + workspace_.data; }
  [[nodiscard]] ControlPage& control() const { return *reinterpret_cast<ControlPage*>(base_); }

  // Everything in the pages that is not the tensor: filled, and later found as it was.
  void fill_margins(std::uint8_t byte) const;
  struct Touched {
    std::int64_t tensor = -1;  // -1: nothing was touched; the number of tensors: the workspace
    std::int64_t offset = 0;   // bytes from the tensor's data
  };
  [[nodiscard]] Touched touched_margin(std::uint8_t byte) const;

 private:
  void grow(std::int64_t bytes);
  template <typename Visit>
  void for_each_margin(const Visit& visit) const;

  int descriptor_ = -1;
  std::byte* base_ = nullptr;
  std::int64_t mapped_ = 0;
  std::int64_t used_ = 0, dense_end_ = 0;
  bool sparse_ = false, guard_in_front_ = false;
  std::int32_t alignment_bytes_ = 1;
  Operands operands_;
  std::vector<Place> places_;
  Place workspace_;
  std::int64_t workspace_bytes_ = 0;
  TensorPointers data_;
};

}  // namespace assay::properties
