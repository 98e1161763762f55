// assay schedule --trace: the decode lengths of a step come from a replay (vLLM-v1's rules), and without --step
// the steps with the worst balance are named.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/engine/replay.h"

namespace assay::tools {

struct ScheduleTraceOptions {
  std::string path;  // of the trace; "sample" is the built-in one when there is no such file
  std::string format;
  std::int64_t step = -1;   // -1: the worst ones are looked for
  std::int64_t listed = 8;  // of them
  std::int32_t blocks = 20000, block_tokens = 16, max_sequences = 256;
  std::int64_t token_budget = 8192;
  std::string clock = "fixed:25";
};

struct DecodeStep {
  std::int64_t step = 0;
  double score = 0;  // compute_over_ideal under the planner asked for
  std::vector<std::int64_t> lengths;
};

struct ScheduleTrace {
  std::string name;
  std::int64_t decode_steps = 0;  // of the whole replay; of the part up to the step when one was asked for
  std::vector<DecodeStep> steps;  // the one asked for; or the worst ones, worst first
};

// Throws InputError when the step asked for is not a decode step.
[[nodiscard]] ScheduleTrace decode_steps_of(const ScheduleTraceOptions& options, const std::string& planner,
                                            std::int32_t parts);

// A decode step with the tables that the engine hands to the kernel: [sequences, columns].
struct DecodeTables {
  std::int64_t step = 0;
  std::vector<std::int32_t> lengths, table;
  std::int32_t columns = 0;
};
// `count` decode steps, evenly over the replay, in order.
[[nodiscard]] std::vector<DecodeTables> decode_tables_of(const ScheduleTraceOptions& options,
                                                         std::int64_t count);

}  // namespace assay::tools
