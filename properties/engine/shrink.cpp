#include "properties/engine/shrink.h"

#include <chrono>
#include <set>

namespace assay::properties {

Shrunk shrink_with(const KernelCase& kernel_case, const Outcome& outcome, const ShrinkLimits& limits,
                   const StillFails& still_fails) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() +
                   std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limits.seconds));
  Shrunk smallest{kernel_case, outcome, 0, 0, true};
  std::set<std::uint64_t> tried;  // steps lead to the same case on many ways
  for (bool found = true; found;) {
    found = false;
    for (const KernelCase& candidate : simpler_cases(smallest.kernel_case)) {
      if (!tried.insert(digest_of(candidate)).second) continue;
      if (smallest.tries >= limits.tries || Clock::now() >= end) {
        smallest.finished = false;
        return smallest;
      }
      ++smallest.tries;
      Outcome result;
      if (!still_fails(candidate, result)) continue;
      smallest.kernel_case = candidate;
      smallest.outcome = std::move(result);
      ++smallest.steps;
      found = true;
      break;
    }
  }
  return smallest;
}

Shrunk shrink(WorkerProcess& worker, const KernelCase& kernel_case, const Outcome& outcome,
              const ShrinkLimits& limits, const ShrinkProgress& progress) {
  bool stopped = false;
  Shrunk seen{kernel_case, outcome, 0, 0, true};
  Shrunk result = shrink_with(kernel_case, outcome, limits, [&](const KernelCase& candidate, Outcome& got) {
    if (stopped) return false;
    got = try_case(worker, candidate);
    ++seen.tries;
    const bool fails = got.status == outcome.status;
    if (fails) {
      ++seen.steps;
      seen.kernel_case = candidate;
      seen.outcome = got;
    }
    if (progress && !progress(seen)) stopped = true;
    return fails;
  });
  if (stopped) result.finished = false;
  return result;
}

}  // namespace assay::properties
