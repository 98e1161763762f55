// The event dump of --steps: one JSON line per step, enough to compare with a real engine request by request.
//
//   {"step":0,"tokens":96,"free":37,
//    "scheduled":[{"request":4,"tokens":96,"computed":0,"hit":0,"admitted":true,"new_blocks":[1,2,3]}, ...],
//    "preempted":[...], "finished":[...]}
//
// `computed`: tokens that were in the pool before this step, hits included. `free`: blocks in the free queue
// after the step was scheduled, before its finished sequences return theirs. Requests count from 0 in file order.
#pragma once

#include <cstdio>
#include <string>

#include "sim/engine/replay.h"

namespace assay::tools {

class StepDump {
 public:
  // "-" is standard output. EnvironmentError when the file cannot be written, here or later.
  explicit StepDump(const std::string& path);
  ~StepDump();
  StepDump(const StepDump&) = delete;
  StepDump& operator=(const StepDump&) = delete;
  void write(const StepView& view);
  void close();

 private:
  std::string path_;
  std::FILE* file_;
};

}  // namespace assay::tools
