#include "tools/bench/bench_run.h"

#include <algorithm>
#include <chrono>

#include "model/core/check.h"
#include "tools/bench/ceilings.h"

namespace assay::tools {
namespace {

// Other bytes, read and written through before a cold run on the CPU.
class CacheFlush {
 public:
  void operator()() {
    if (bytes_.empty()) bytes_.resize(static_cast<std::size_t>(flush_bytes()));
    for (std::size_t i = 0; i < bytes_.size(); i += 64) bytes_[i] = static_cast<char>(bytes_[i] + 1);
  }

 private:
  std::vector<char> bytes_;
};

std::vector<double> sorted(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values;
}

BenchSide side_of(const TimedKernel& timed, std::vector<double> seconds) {
  BenchSide side;
  side.seconds = std::move(seconds);
  side.plan_seconds = timed.plan_seconds();
  side.judgement = timed.judgement();
  side.judged_results = timed.judged_results();
  side.wrong_results = timed.wrong_results();
  side.unjudged_results = timed.unjudged_results();
  side.timed_runs = timed.timed_runs();
  return side;
}

}  // namespace

double BenchSide::median() const {
  if (seconds.empty()) return 0;
  const std::vector<double> list = sorted(seconds);
  return (list[(list.size() - 1) / 2] + list[list.size() / 2]) / 2;
}
double BenchSide::least() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}
double BenchSide::spread() const {
  if (seconds.empty()) return 0;
  const std::vector<double> list = sorted(seconds);
  return (list[list.size() * 3 / 4] - list[list.size() / 4]) / 2 / median();
}

BenchResult bench_shape(const BenchShape& shape, const assay_kernel& kernel, const assay_kernel* against,
                        bool identical, const BenchOptions& options, const std::function<bool()>& stop) {
  BenchResult result;
  result.shape = shape;
  result.work = work_of(shape);
  CallMemory memory(shape, kernel.device == ASSAY_DEVICE_CUDA);
  memory.fill(options.seed);
  TimedKernel a(kernel, memory, options.clock, options.watch);
  std::optional<TimedKernel> b;
  if (against != nullptr) b.emplace(*against, memory, options.clock, options.watch);
  result.a.unsupported = !a.plan();
  if (b) {
    result.b.emplace();
    result.b->unsupported = !b->plan();
  }
  if (result.a.unsupported || (result.b && result.b->unsupported)) return result;

  CacheFlush cpu_flush;
  std::function<void()> flush;
  if (options.cold && memory.mirror() != nullptr) flush = [&memory] { memory.mirror()->flush(); };
  if (options.cold && memory.mirror() == nullptr) flush = [&cpu_flush] { cpu_flush(); };
  result.launches = options.cold ? 1 : a.launches_for(options.run_seconds);
  const auto begin = std::chrono::steady_clock::now();
  const auto spent = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() >=
           options.budget_seconds;
  };
  const auto timed = [&](TimedKernel& side) {
    return side.run(result.launches, flush) / static_cast<double>(result.launches);
  };
  std::vector<double> seconds_a, seconds_b;
  if (b && !identical) {
    ComparisonPlan plan;
    plan.threshold = options.threshold;
    plan.most_pairs = options.most_pairs;
    plan.confidence = options.confidence;
    // The first look needs its pairs: a budget that is too short for them says nothing at all.
    const auto enough = [&] { return static_cast<std::int32_t>(b->timed_runs()) > plan.first_pairs; };
    result.comparison = compare_paired([&](Side side) { return timed(side == Side::kA ? a : *b); }, plan,
                                       [&] { return (stop && stop()) || (enough() && spent()); });
    const SpeedVerdict verdict = result.comparison->verdict;
    result.budget_spent = verdict == SpeedVerdict::kInconclusive || verdict == SpeedVerdict::kUnstable;
    seconds_a = result.comparison->seconds_a;
    seconds_b = result.comparison->seconds_b;
  } else {
    (void)timed(a);  // warm-up
    const auto one = [&](TimedKernel& side, std::vector<double>& seconds) { seconds.push_back(timed(side)); };
    for (std::int32_t i = 0; i < options.most_runs && !(stop && stop()); ++i) {
      if (i >= kLeastRuns && spent()) break;
      one(a, seconds_a);
    }
    if (b) {
      result.comparison.emplace();
      result.comparison->verdict = SpeedVerdict::kUnchanged;
      one(*b, seconds_b);
    }
  }
  // Other inputs where the old ones lay.
  memory.fill(options.seed + 1);
  for (TimedKernel* side : {&a, b ? &*b : nullptr}) {
    if (side == nullptr) continue;
    side->forget_results();
    (void)timed(*side);
  }
  result.a = side_of(a, std::move(seconds_a));
  if (b) result.b = side_of(*b, std::move(seconds_b));
  return result;
}

}  // namespace assay::tools
