// A planner on drawn decode batches: is every unit done exactly once, and how evenly does the work fall?
//
//   batches   lengths of many kinds (none, empty sequences, one giant, many short, powers of two) from a seed
//   balance   sum of makespans / sum of ideals in the compute-like model; deterministic
#pragma once

#include <cstdint>
#include <string>

#include "sim/schedules/schedule.h"

namespace assay::tools::gate {

struct ScheduleVerdict {
  std::string fault;   // the first one, with batch and unit; "" = every unit exactly once
  double balance = 1;  // meaningless with a fault
  std::int64_t batches = 0, pieces = 0;
};

[[nodiscard]] ScheduleVerdict check_planner(const Planner& planner, std::int64_t batches, std::uint64_t seed);

}  // namespace assay::tools::gate
