// A replay whose picked steps are verified by data (step_check.h). The whole trace is replayed again, for its
// tables: the first pass (the caller's) has scored the steps, this one stops after the last picked step.
//
// A sliding window is the replay's; the logits refuse one, for they look at every token.
// What this does not do: take another engine than vLLM-v1.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "properties/world/live_verifier.h"
#include "sim/engine/replay.h"

namespace assay::properties {

struct ReplayVerificationResult {
  Verification data;
  std::vector<std::int64_t> steps;  // those that were verified
  std::int64_t double_writes = 0;   // slots written twice in one step
  std::int64_t fault_strikes = 0;
  bool partial = false;  // interrupted before the last picked step
};

// steps: ascending. `replay` as in the first pass; its interruption is honoured.
[[nodiscard]] ReplayVerificationResult verify_replay(RequestSource& requests, ReplayOptions replay,
                                                     const std::vector<std::int64_t>& steps,
                                                     const assay_kernel& kernel,
                                                     const StepCheckOptions& options,
                                                     EngineFault fault = EngineFault::kNone);

}  // namespace assay::properties
