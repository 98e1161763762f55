// Makes a failing case small, outside of the process that fails: every attempt is a case of its own in a
// worker, so crashes and hangs shrink like wrong numbers.
//
//   sequences -> queries -> lengths -> blocks and tables -> strides -> shape -> values
//
// Greedy: the first smaller case that fails *in the same way* is taken, and the search starts again from
// it. WRONG_BLOCK stays WRONG_BLOCK. Ends after `tries` attempts, `seconds`, or when nothing is smaller.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "properties/engine/trial.h"

namespace assay::properties {

struct ShrinkLimits {
  std::int64_t tries = 500;
  double seconds = 300;
};

struct Shrunk {
  KernelCase kernel_case;
  Outcome outcome;
  std::int64_t tries = 0, steps = 0;
  bool finished = true;  // false: a limit ended it, and there may be something smaller
};

// Every case that is one step simpler, most drastic first. All are valid.
[[nodiscard]] std::vector<KernelCase> simpler_cases(const KernelCase& kernel_case);

// Does a case still fail in the way that is being shrunk? Fills the outcome.
using StillFails = std::function<bool(const KernelCase&, Outcome&)>;
[[nodiscard]] Shrunk shrink_with(const KernelCase& kernel_case, const Outcome& outcome,
                                 const ShrinkLimits& limits, const StillFails& still_fails);

// `outcome` is what try_case says of the case. The progress callback sees every step; false stops.
using ShrinkProgress = std::function<bool(const Shrunk&)>;
[[nodiscard]] Shrunk shrink(WorkerProcess& worker, const KernelCase& kernel_case, const Outcome& outcome,
                            const ShrinkLimits& limits, const ShrinkProgress& progress = {});

}  // namespace assay::properties
