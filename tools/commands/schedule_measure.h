// assay schedule --measure: decode steps of a replayed trace, timed on this machine's GPU, against the model of
// sim/schedules/step_time.h; and --measure-tables: the same lengths under three kinds of block tables.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tools/commands/command.h"
#include "tools/commands/schedule_trace.h"

namespace assay::tools {

struct ScheduleMeasureOptions {
  std::int64_t steps = 0;  // --measure
  bool tables = false;     // --measure-tables
  std::string op = "paged-mqa-logits";
  int repeats = 30;
  double tolerance = 0.10;  // of the model on steps that the fit has not seen
};

// An ExitCode; EnvironmentError without a device.
int measure_schedule(const CommonOptions& common, const ScheduleTraceOptions& trace,
                     const ScheduleMeasureOptions& options);

}  // namespace assay::tools
