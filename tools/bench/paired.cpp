#include "tools/bench/paired.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "model/core/check.h"

namespace assay::tools {
namespace {

constexpr std::size_t kExactPairs = 50;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double normal_upper_tail(double z) { return std::erfc(z / std::sqrt(2.0)) / 2; }

// P(W <= w) for w = 0 .. n(n+1)/2, where W sums the ranks of the positive differences: each rank is in
// or out with probability one half. Counts up to 2^50 are exact in double.
std::vector<double> signed_rank_cdf(std::size_t n) {
  std::vector<double> ways(n * (n + 1) / 2 + 1, 0);
  ways[0] = 1;
  std::size_t top = 0;
  for (std::size_t rank = 1; rank <= n; ++rank) {
    top += rank;
    for (std::size_t w = top; w >= rank; --w) ways[w] += ways[w - rank];
  }
  const double all = std::ldexp(1.0, static_cast<int>(n));
  std::partial_sum(ways.begin(), ways.end(), ways.begin());
  for (double& w : ways) w /= all;
  return ways;
}

// How many Walsh averages to leave out at each end.
std::size_t left_out(std::size_t n, double confidence) {
  const double tail = (1 - confidence) / 2;
  if (n <= kExactPairs) {
    const std::vector<double> cdf = signed_rank_cdf(n);
    std::size_t k = 0;
    while (k < cdf.size() && cdf[k] <= tail) ++k;
    return k;
  }
  const auto count = static_cast<double>(n);
  const double deviation = std::sqrt(count * (count + 1) * (2 * count + 1) / 24);
  double z = 0;  // normal_upper_tail(z) == tail, by bisection
  for (double low = 0, high = 10; high - low > 1e-12;) {
    z = (low + high) / 2;
    (normal_upper_tail(z) > tail ? low : high) = z;
  }
  return static_cast<std::size_t>(std::max(0.0, std::floor(count * (count + 1) / 4 - z * deviation)));
}

double log_ratio(double seconds_a, double seconds_b) {
  ASSAY_CHECK(seconds_a > 0 && seconds_b > 0, "a timed run must take time");
  return std::log(seconds_b / seconds_a);
}

}  // namespace

Interval hodges_lehmann(std::span<const double> differences, double confidence) {
  ASSAY_CHECK(!differences.empty());
  std::vector<double> walsh;
  walsh.reserve(differences.size() * (differences.size() + 1) / 2);
  for (std::size_t i = 0; i < differences.size(); ++i)
    for (std::size_t j = i; j < differences.size(); ++j)
      walsh.push_back((differences[i] + differences[j]) / 2);
  std::sort(walsh.begin(), walsh.end());
  const std::size_t count = walsh.size();
  const double median = (walsh[(count - 1) / 2] + walsh[count / 2]) / 2;
  const std::size_t k = left_out(differences.size(), confidence);
  if (k == 0) return {-kInfinity, median, kInfinity};
  return {walsh[k - 1], median, walsh[count - k]};
}

double wilcoxon_p_value(std::span<const double> differences) {
  struct Ranked {
    double size;
    bool positive;
  };
  std::vector<Ranked> ranked;
  for (const double d : differences)
    if (d != 0) ranked.push_back({std::fabs(d), d > 0});
  const std::size_t n = ranked.size();
  if (n == 0) return 1;
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.size < b.size; });
  double positive_ranks = 0;  // ties share the mean of their ranks
  for (std::size_t i = 0; i < n;) {
    std::size_t end = i;
    while (end < n && ranked[end].size == ranked[i].size) ++end;
    const double rank = (static_cast<double>(i + 1) + static_cast<double>(end)) / 2;
    for (; i < end; ++i) positive_ranks += ranked[i].positive ? rank : 0;
  }
  const auto count = static_cast<double>(n);
  const double all = count * (count + 1) / 2;
  const double smaller = std::min(positive_ranks, all - positive_ranks);
  if (n <= kExactPairs) return std::min(1.0, 2 * signed_rank_cdf(n)[static_cast<std::size_t>(smaller)]);
  const double deviation = std::sqrt(count * (count + 1) * (2 * count + 1) / 24);
  return std::min(1.0, 2 * normal_upper_tail((all / 2 - smaller) / deviation));
}

std::vector<bool> holm_significant(std::span<const double> p_values, double level) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<bool> significant(p_values.size(), false);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (p_values[order[i]] > level / static_cast<double>(order.size() - i)) break;
    significant[order[i]] = true;
  }
  return significant;
}

std::string_view name_of(SpeedVerdict verdict) {
  switch (verdict) {
    case SpeedVerdict::kFaster: return "FASTER";
    case SpeedVerdict::kSlower: return "SLOWER";
    case SpeedVerdict::kEqual: return "EQUAL";
    case SpeedVerdict::kInconclusive: return "INCONCLUSIVE";
    case SpeedVerdict::kUnstable: return "UNSTABLE";
    case SpeedVerdict::kUnchanged: return "UNCHANGED";
  }
  return "?";
}

double Comparison::ratio() const { return std::exp(difference.estimate); }

SpeedVerdict judge(const Interval& difference, const Interval& same_kernel, double threshold) {
  const double bias = same_kernel.bias(), least = std::max(threshold, same_kernel.half_width());
  if (bias > threshold / 4) return SpeedVerdict::kUnstable;
  if (difference.low - bias > least) return SpeedVerdict::kSlower;
  if (difference.high + bias < -least) return SpeedVerdict::kFaster;
  if (difference.low - bias > -threshold && difference.high + bias < threshold) return SpeedVerdict::kEqual;
  return SpeedVerdict::kInconclusive;
}

Comparison compare_paired(const TimedRun& run, const ComparisonPlan& plan,
                          const std::function<bool()>& stop) {
  ASSAY_CHECK_GE(plan.first_pairs, 6);
  Comparison result;
  const auto stopped = [&] { return stop && stop(); };
  // Pair i runs its sides in the order A B for even i and B A for odd i.
  const auto measure_pair = [&](std::size_t i, Side second) {
    const bool second_first = i % 2 == 1;
    const double first_time = run(second_first ? second : Side::kA);
    const double second_time = run(second_first ? Side::kA : second);
    return second_first ? std::pair(second_time, first_time) : std::pair(first_time, second_time);
  };
  (void)run(Side::kA);  // warm-up of each side
  (void)run(Side::kB);

  std::vector<double> same, different;
  const auto buy = [&](std::int32_t pairs) {
    for (std::int32_t i = 0; i < pairs && !stopped(); ++i) {
      const auto [a1, a2] = measure_pair(same.size(), Side::kA);
      same.push_back(log_ratio(a1, a2));
      const auto [a, b] = measure_pair(different.size(), Side::kB);
      different.push_back(log_ratio(a, b));
      result.seconds_a.push_back(a);
      result.seconds_b.push_back(b);
    }
  };
  std::int32_t bought = plan.first_pairs;
  buy(plan.first_pairs);
  while (true) {
    if (different.empty()) return result;
    result.same_kernel = hodges_lehmann(same);
    result.difference = hodges_lehmann(different, plan.confidence);
    result.verdict = judge(result.difference, result.same_kernel, plan.threshold);
    const bool settled =
        result.verdict != SpeedVerdict::kInconclusive && result.verdict != SpeedVerdict::kUnstable;
    if (settled || bought >= plan.most_pairs || stopped()) return result;
    // Ever longer steps: a look costs the square of the pairs.
    const std::int32_t more = std::min(std::max(plan.more_pairs, bought / 2), plan.most_pairs - bought);
    buy(more);
    bought += more;
  }
}

}  // namespace assay::tools
