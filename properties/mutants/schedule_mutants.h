// Schedule metadata from one walk, and the mutants made from it.
#pragma once

#include "model/core/paged_layout.h"
#include "properties/mutants/paged_kernel.h"

namespace assay::properties::mutants {

class ScheduleKernel {
 public:
  explicit ScheduleKernel(const assay_call& call)
      : contexts_(call.inputs[0]),
        metadata_(call.outputs[0]),
        batch_(contexts_.shape[0]),
        unit_(call.ints[0]),
        parts_(call.ints[1]) {}
  virtual ~ScheduleKernel() = default;
  ScheduleKernel(const ScheduleKernel&) = delete;
  ScheduleKernel& operator=(const ScheduleKernel&) = delete;

  void run() {
    std::int64_t total = 0;
    for (std::int64_t b = 0; b < batch_; ++b) total += units(b);
    auto* out =
        reinterpret_cast<std::int32_t*>(static_cast<std::uint8_t*>(metadata_.data) + metadata_.byte_offset);
    for (std::int64_t part = 0; part <= parts_; ++part) {
      std::int64_t left = cut(total, part), b = 0;
      while (b < batch_ && left >= units(b)) left -= units(b++);
      locate(b, left);
      out[part * 2] = static_cast<std::int32_t>(b);
      out[part * 2 + 1] = static_cast<std::int32_t>(left);
    }
  }

 protected:
  virtual std::int64_t units(std::int64_t b) const {
    return ceil_div(int_of(contexts_, b * contexts_.strides[0]), unit_);
  }
  virtual std::int64_t cut(std::int64_t total, std::int64_t part) const { return total * part / parts_; }
  virtual void locate(std::int64_t& b, std::int64_t& left) const {
    if (b == batch_) left = 0;
  }

  const assay_tensor &contexts_, &metadata_;
  std::int64_t batch_, unit_, parts_;
};

// K1: the search ends on the last sequence instead of behind it.
struct K1b : ScheduleKernel {
  using ScheduleKernel::ScheduleKernel;
  void locate(std::int64_t& b, std::int64_t& left) const override {
    ScheduleKernel::locate(b, left);
    if (witnessed(b == batch_ && batch_ > 0)) b = batch_ - 1;
  }
};
// K2: one unit more per sequence than the consumer knows.
struct K2a : ScheduleKernel {
  using ScheduleKernel::ScheduleKernel;
  std::int64_t units(std::int64_t b) const override {
    return ScheduleKernel::units(b) + (witnessed(true) ? 1 : 0);
  }
};
// K3: units with floor; parts that are ceil(total / parts) long, so that the last ones get nothing.
struct K3b : ScheduleKernel {
  using ScheduleKernel::ScheduleKernel;
  std::int64_t units(std::int64_t b) const override {
    const std::int64_t length = int_of(contexts_, b * contexts_.strides[0]);
    return witnessed(length % unit_ != 0) ? length / unit_ : ScheduleKernel::units(b);
  }
};
struct K3d : ScheduleKernel {
  using ScheduleKernel::ScheduleKernel;
  std::int64_t cut(std::int64_t total, std::int64_t part) const override {
    const std::int64_t even = std::min(total, ceil_div(total, parts_) * part);
    return witnessed(even != ScheduleKernel::cut(total, part)) ? even : ScheduleKernel::cut(total, part);
  }
};
struct K3e : ScheduleKernel {  // a pivot off by one
  using ScheduleKernel::ScheduleKernel;
  std::int64_t cut(std::int64_t total, std::int64_t part) const override {
    const std::int64_t at = ScheduleKernel::cut(total, part);
    return witnessed(part == parts_ && total > 0) ? at - 1 : at;
  }
};

}  // namespace assay::properties::mutants
