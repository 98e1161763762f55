// One shape, one kernel or two: times, and what was proven about the timed launches.
//
//   one kernel    runs until the budget ends (at least kLeastRuns)
//   two kernels   paired.h: A/A and A/B pairs in ABBA order until the verdict is settled or the budget ends
//   the same machine code    UNCHANGED, and nothing is compared
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench/paired.h"
#include "tools/bench/timed_call.h"

namespace assay::tools {

struct BenchOptions {
  BenchClock clock = BenchClock::kWall;
  bool cold = false;          // caches flushed before every timed run, which is then one launch
  double run_seconds = 1e-3;  // least length of a timed run, unless cold
  double budget_seconds = 5;  // per shape
  double threshold = 0.02;    // ln ratio
  // Several shapes are several chances to be called slower by accident: 1 - 0.05 / shapes (Bonferroni).
  double confidence = 0.95;
  std::int32_t most_pairs = 1600;
  std::int32_t most_runs = 200;  // of a kernel that is not compared
  std::uint64_t seed = 1;
  KernelWatch* watch = nullptr;  // told when a kernel is entered and left
};
inline constexpr std::int32_t kLeastRuns = 11;

struct BenchSide {
  bool unsupported = false;
  std::vector<double> seconds;  // per launch, one per timed run
  double plan_seconds = 0;
  properties::Judgement judgement;
  std::int64_t judged_results = 0, wrong_results = 0, unjudged_results = 0, timed_runs = 0;
  [[nodiscard]] double median() const;
  [[nodiscard]] double least() const;
  // Half the distance between the quartiles, over the median.
  [[nodiscard]] double spread() const;
};

struct BenchResult {
  BenchShape shape;
  BenchWork work;
  std::int64_t launches = 0;  // per timed run
  BenchSide a;
  std::optional<BenchSide> b;
  std::optional<Comparison> comparison;  // of two kernels that both do the shape
  bool budget_spent = false;             // before the verdict was settled
};

// `against`: the second kernel (B), or nullptr. `identical`: the two are the same machine code.
// `stop` (may be empty) ends early; what was measured so far is judged.
[[nodiscard]] BenchResult bench_shape(const BenchShape& shape, const assay_kernel& kernel,
                                      const assay_kernel* against, bool identical,
                                      const BenchOptions& options, const std::function<bool()>& stop = {});

}  // namespace assay::tools
