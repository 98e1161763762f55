#include "properties/world/replay_verification.h"

#include <algorithm>

#include "model/core/check.h"

namespace assay::properties {

ReplayVerificationResult verify_replay(RequestSource& requests, ReplayOptions replay,
                                       const std::vector<std::int64_t>& steps, const assay_kernel& kernel,
                                       const StepCheckOptions& options, EngineFault fault) {
  const SchedulerOptions& s = replay.scheduler;
  StepCheckOptions check = options;
  check.window_tokens = s.window_tokens;
  ReplayVerificationResult result;
  if (steps.empty()) return result;
  // Nothing but the tables is wanted of this pass.
  replay.planners.clear();
  replay.series_points = 0;
  const std::atomic<bool>* const asked_to_stop = replay.interrupted;
  std::atomic<bool> stop{false};
  replay.interrupted = &stop;

  LiveVerifier verifier(requests, s, kernel, check, fault);
  std::size_t next = 0;
  const auto observe = [&](const StepView& view) {
    const bool picked = view.step == steps[next];
    verifier.observe(view, picked);
    if (picked) {
      result.steps.push_back(view.step);
      ++next;
    }
    if (asked_to_stop != nullptr && asked_to_stop->load(std::memory_order_relaxed)) result.partial = true;
    if (next == steps.size() || result.partial) stop.store(true, std::memory_order_relaxed);
  };
  (void)replay_serving(verifier.requests(), replay, observe);
  ASSAY_CHECK(next == steps.size() || result.partial, "a picked step did not come again");
  result.data = verifier.data();
  result.double_writes = verifier.shadow().double_writes();
  result.fault_strikes = verifier.fault_strikes();
  return result;
}

}  // namespace assay::properties
