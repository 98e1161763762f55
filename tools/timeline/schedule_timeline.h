// Schedules of one batch as a timeline: a process per planner, a track per SM, a slice per piece of work. Time is
// the cost model's: one token of context counts as a microsecond, and every SM works at its own rate. These are
// plans; measured stamps of a launch are another matter.
#pragma once

#include <cstdint>
#include <string>

#include "sim/schedules/schedule.h"
#include "tools/timeline/chrome_trace.h"

namespace assay::tools {

class ScheduleTimeline {
 public:
  static constexpr std::int64_t kMostPieces = 200'000;

  // InputError when all planners' pieces together would pass kMostPieces.
  void add(const Planner& planner, const Schedule& schedule, const DecodeBatch& batch);
  [[nodiscard]] std::string json() const;

 private:
  ChromeTrace trace_;
  std::int64_t processes_ = 0, pieces_ = 0;
};

}  // namespace assay::tools
