#include "properties/world/replay_verification.h"

#include <algorithm>

#include "model/core/check.h"

namespace assay::properties {

ReplayVerificationResult verify_replay(RequestSource& requests, ReplayOptions replay,
                                       const std::vector<std::int64_t>& steps, const assay_kernel& kernel,
                                       const StepCheckOptions& options, const StepFault& fault) {
  const SchedulerOptions& s = replay.scheduler;
  if (s.window_tokens > 0)
    throw InputError("--verify", "full attention: logits look at every token",
                     "--window " + std::to_string(s.window_tokens));
  ReplayVerificationResult result;
  if (steps.empty()) return result;
  // Nothing but the tables is wanted of this pass.
  replay.planners.clear();
  replay.series_points = 0;
  const std::atomic<bool>* const asked_to_stop = replay.interrupted;
  std::atomic<bool> stop{false};
  replay.interrupted = &stop;

  NamingSource named(requests);
  const NamesOf names = [&](std::int64_t request) -> const RequestNames& { return named.names(request); };
  StepCheck check(kernel, options, s.blocks, s.block_tokens);
  PoolShadow shadow(s.blocks, s.block_tokens);
  LiveStep live;
  std::size_t next = 0;
  const auto observe = [&](const StepView& view) {
    take_live_step(view, live);
    if (fault) fault(live);
    shadow.write(live, names);
    if (view.step == steps[next]) {
      check.check(live, shadow, names, result.data);
      result.steps.push_back(view.step);
      ++next;
    }
    for (const std::int32_t handle : view.record.finished)
      named.forget(view.scheduler.sequence(handle).request.value());
    if (asked_to_stop != nullptr && asked_to_stop->load(std::memory_order_relaxed)) result.partial = true;
    if (next == steps.size() || result.partial) stop.store(true, std::memory_order_relaxed);
  };
  (void)replay_serving(named, replay, observe);
  ASSAY_CHECK(next == steps.size() || result.partial, "a picked step did not come again");
  result.double_writes = shadow.double_writes();
  return result;
}

}  // namespace assay::properties
