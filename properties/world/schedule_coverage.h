// Does a planner's schedule of a decode step do every unit of every sequence exactly once?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/engine/replay.h"
#include "sim/schedules/schedule.h"

namespace assay::properties {

class ScheduleCoverage {
 public:
  // Plans for several KV heads where the planner can.
  ScheduleCoverage(const Planner& planner, std::int32_t parts)
      : planner_(planner), parts_(parts), kv_heads_(planner.multi_query_only ? 1 : 3) {}

  void check(const StepView& view);
  // The first fault in words; "" when there is none.
  [[nodiscard]] const std::string& fault() const { return fault_; }
  [[nodiscard]] std::int64_t pieces() const { return pieces_; }

 private:
  const Planner& planner_;
  std::int32_t parts_, kv_heads_;
  Schedule schedule_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::vector<std::int8_t>> done_;  // [sequence * kv_heads + head][unit]
  std::int64_t pieces_ = 0;
  std::string fault_;
};

}  // namespace assay::properties
