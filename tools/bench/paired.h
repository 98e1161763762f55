// Is B slower than A? Paired statistics with an honest "don't know".
//
//   pairs     A B B A A B B A ...: drift of clock, temperature and neighbours hits both sides alike
//   d_i       ln(time_B / time_A) of pair i
//   estimate  Hodges-Lehmann: the median of all Walsh averages (d_i + d_j) / 2, i <= j
//   interval  95 %, from the Wilcoxon signed-rank distribution: exact to 50 pairs, normal beyond
//   floor     half-width of the same interval from an A/A run in the same session
//   bias      how far the A/A interval misses 0. At 95 % one honest session in twenty misses it by a hair,
//             so a hair is added to the demands below, and only a bias of more than a quarter of the
//             threshold says that the machine cannot be trusted now: kUnstable
//
//   slower        interval - bias lies above  max(threshold, floor)
//   faster        interval + bias lies below -max(threshold, floor)
//   equal         interval +- bias lies inside (-threshold, threshold)
//   inconclusive  anything else, after all the pairs the budget buys
//   unchanged     the two are the same machine code: nothing was timed (the caller's to say)
//
// No assumption on the distribution beyond symmetry of d around its centre. Means and minima of
// unpaired runs are not offered: they are what makes other gates cry wolf.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace assay::tools {

struct Interval {
  double low = 0, estimate = 0, high = 0;
  [[nodiscard]] double half_width() const { return (high - low) / 2; }
  [[nodiscard]] bool contains(double value) const { return low <= value && value <= high; }
  // Distance of 0 from the interval.
  [[nodiscard]] double bias() const { return low > 0 ? low : high < 0 ? -high : 0; }
};

// Needs at least one difference. Below six pairs no 95 % interval exists: it is (-inf, +inf).
[[nodiscard]] Interval hodges_lehmann(std::span<const double> differences, double confidence = 0.95);

// Two-sided p-value of "the centre is 0". Exact to 50 differences that are not zero.
[[nodiscard]] double wilcoxon_p_value(std::span<const double> differences);

// Holm's step-down over several shapes: which of the p-values stay significant at `level` together.
[[nodiscard]] std::vector<bool> holm_significant(std::span<const double> p_values, double level = 0.05);

enum class SpeedVerdict : std::uint8_t { kFaster, kSlower, kEqual, kInconclusive, kUnstable, kUnchanged };
[[nodiscard]] std::string_view name_of(SpeedVerdict verdict);

struct ComparisonPlan {
  double threshold = 0.02;        // ln ratio; 2 %
  std::int32_t first_pairs = 10;  // before the first look
  std::int32_t more_pairs = 10;   // bought at every further look, or half of what there is if that is more
  std::int32_t most_pairs = 50;
  double confidence = 0.95;  // of the A/B interval
};

struct Comparison {
  SpeedVerdict verdict = SpeedVerdict::kInconclusive;
  Interval difference;   // ln(time_B / time_A)
  Interval same_kernel;  // the A/A run
  std::vector<double> seconds_a, seconds_b;
  [[nodiscard]] double ratio() const;  // time_B / time_A
};

enum class Side { kA, kB };
// Times one launch (or one batch of launches) of a side; seconds, positive.
using TimedRun = std::function<double(Side)>;

// Runs A/A pairs first, then A/B pairs in ABBA order until the verdict is settled or the budget is spent.
// `stop` (may be empty) ends early; what was measured so far is judged.
[[nodiscard]] Comparison compare_paired(const TimedRun& run, const ComparisonPlan& plan,
                                        const std::function<bool()>& stop = {});

// The verdict that an interval and a floor give; kInconclusive while more pairs could settle it.
[[nodiscard]] SpeedVerdict judge(const Interval& difference, const Interval& same_kernel, double threshold);

}  // namespace assay::tools
