// The statistics against enumeration and known answers; the verdicts on simulated machines with noise,
// drift and outliers; and what unpaired means would have said.
#include "tools/bench/paired.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/core/philox.h"

namespace assay::tools {
namespace {

// The slow twin of the exact p-value: all 2^n sign patterns.
double enumerated_p_value(std::vector<double> differences) {
  std::sort(differences.begin(), differences.end(),
            [](double a, double b) { return std::fabs(a) < std::fabs(b); });
  const std::size_t n = differences.size();
  const auto rank_sum = [&](unsigned pattern) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += (pattern >> i & 1) ? static_cast<double>(i + 1) : 0;
    return sum;
  };
  unsigned observed = 0;
  for (std::size_t i = 0; i < n; ++i) observed |= differences[i] > 0 ? 1u << i : 0;
  const double centre = static_cast<double>(n * (n + 1)) / 4;
  int as_extreme = 0;
  for (unsigned pattern = 0; pattern < 1u << n; ++pattern)
    as_extreme += std::fabs(rank_sum(pattern) - centre) >= std::fabs(rank_sum(observed) - centre);
  return as_extreme / std::ldexp(1.0, static_cast<int>(n));
}

TEST(Wilcoxon, TheExactPValueEqualsEnumerationOfAllSigns) {
  const RandomStream stream(5, "differences");
  for (std::uint64_t round = 0; round < 30; ++round) {
    const std::size_t n = 4 + round % 9;
    std::vector<double> differences;
    for (std::size_t i = 0; i < n; ++i)
      differences.push_back(static_cast<double>(stream.child(round).normal(i)) + 0.3 +
                            1e-5 * static_cast<double>(i));
    EXPECT_NEAR(wilcoxon_p_value(differences), enumerated_p_value(differences), 1e-12) << n;
  }
}

TEST(HodgesLehmann, TheIntervalLeavesOutTheTabledNumberOfWalshAverages) {
  // Published critical values: n = 10 leaves out 8 below rank 9 at 95 %, n = 6 one.
  std::vector<double> ten(10);
  std::iota(ten.begin(), ten.end(), 1.0);
  std::vector<double> walsh;
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t j = i; j < 10; ++j) walsh.push_back((ten[i] + ten[j]) / 2);
  std::sort(walsh.begin(), walsh.end());
  const Interval interval = hodges_lehmann(ten);
  EXPECT_EQ(interval.low, walsh[8]);
  EXPECT_EQ(interval.high, walsh[55 - 9]);
  EXPECT_EQ(interval.estimate, 5.5);
  EXPECT_TRUE(std::isinf(hodges_lehmann(std::vector<double>{1, 2, 3, 4, 5}).high))
      << "five pairs cannot give 95 %";
  EXPECT_EQ(hodges_lehmann(std::vector<double>{1, 2, 3, 4, 5, 6}).low, 1);
}

TEST(HodgesLehmann, TheIntervalCoversTheTruthNineteenTimesInTwenty) {
  const RandomStream stream(6, "coverage");
  for (const std::size_t n : {10, 20, 60}) {
    int covered = 0;
    const int rounds = 1000;
    for (int round = 0; round < rounds; ++round) {
      std::vector<double> differences;
      for (std::size_t i = 0; i < n; ++i)
        differences.push_back(
            0.7 + static_cast<double>(stream.child(static_cast<std::uint64_t>(round) * 64 + n).normal(i)));
      covered += hodges_lehmann(differences).contains(0.7);
    }
    EXPECT_GT(covered, rounds * 93 / 100) << n;
    EXPECT_LT(covered, rounds * 98 / 100) << n;
  }
}

TEST(Holm, StepsDownFromTheSmallestPValue) {
  const std::vector<double> p_values{0.01, 0.04, 0.03, 0.005};
  EXPECT_EQ(holm_significant(p_values), (std::vector<bool>{true, false, false, true}));
  EXPECT_TRUE(holm_significant({}).empty());
}

TEST(Judge, ABiasOfTheMachineCountsAgainstEveryVerdict) {
  const Interval fair{-0.01, 0, 0.01}, hair{0.002, 0.004, 0.006}, biased{0.006, 0.008, 0.01};
  EXPECT_EQ(judge({0.021, 0.03, 0.04}, fair, 0.02), SpeedVerdict::kSlower);
  EXPECT_EQ(judge({0.021, 0.03, 0.04}, hair, 0.02), SpeedVerdict::kInconclusive) << "0.021 - 0.002 < 0.02";
  EXPECT_EQ(judge({-0.01, 0, 0.019}, fair, 0.02), SpeedVerdict::kEqual);
  EXPECT_EQ(judge({-0.01, 0, 0.019}, hair, 0.02), SpeedVerdict::kInconclusive);
  EXPECT_EQ(judge({0.5, 0.6, 0.7}, biased, 0.02), SpeedVerdict::kUnstable);
  EXPECT_EQ(judge({0.03, 0.04, 0.05}, {-0.035, 0, 0.035}, 0.02), SpeedVerdict::kInconclusive)
      << "below the noise floor of the session";
}

// A machine whose clock drifts by a third over the session, with 1 % noise and a slow outlier now and then.
class DriftingMachine {
 public:
  DriftingMachine(std::uint64_t seed, double b_over_a, double noise = 0.01)
      : stream_(seed, "machine"), b_over_a_(b_over_a), noise_(noise) {}
  double operator()(Side side) {
    const double drift = 1 + 0.33 * static_cast<double>(runs_) / 200;
    double time = 1e-4 * drift * (side == Side::kB ? b_over_a_ : 1) *
                  std::max(0.2, 1 + noise_ * static_cast<double>(stream_.normal(runs_)));
    if (stream_.below(runs_, 25) == 0) time *= 1.5;
    ++runs_;
    return time;
  }

 private:
  RandomStream stream_;
  double b_over_a_, noise_;
  std::uint64_t runs_ = 0;
};

Comparison compare_on(std::uint64_t seed, double b_over_a, double noise = 0.01) {
  DriftingMachine machine(seed, b_over_a, noise);
  return compare_paired([&](Side side) { return machine(side); }, {});
}

TEST(ComparePaired, AKernelFivePercentSlowerIsCalledSlowerInNearlyAllRuns) {
  int slower = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    slower += compare_on(seed, 1.05).verdict == SpeedVerdict::kSlower;
  EXPECT_GE(slower, 97);
}

TEST(ComparePaired, TheSameKernelTwiceIsNeverCalledSlowerOrFaster) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const SpeedVerdict verdict = compare_on(seed, 1.0).verdict;
    ASSERT_NE(verdict, SpeedVerdict::kSlower) << seed;
    ASSERT_NE(verdict, SpeedVerdict::kFaster) << seed;
  }
}

// A tenth of the sessions would be thrown away if the A/A interval had to contain 0 by itself.
TEST(ComparePaired, TheSameKernelTwiceIsNearlyAlwaysCalledEqual) {
  int equal = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed)
    equal += compare_on(seed, 1.0).verdict == SpeedVerdict::kEqual;
  EXPECT_GE(equal, 495);
}

TEST(ComparePaired, AFasterKernelIsCalledFaster) {
  EXPECT_EQ(compare_on(3, 0.9).verdict, SpeedVerdict::kFaster);
  EXPECT_NEAR(compare_on(3, 0.9).ratio(), 0.9, 0.01);
}

TEST(ComparePaired, AMachineTooNoisyForTheQuestionSaysSo) {
  int unsettled = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const SpeedVerdict verdict = compare_on(seed, 1.01, 0.3).verdict;
    unsettled += verdict == SpeedVerdict::kInconclusive || verdict == SpeedVerdict::kUnstable;
  }
  EXPECT_EQ(unsettled, 20);
}

// The canary: on the same drifting machine, all of A first and then all of B - the way it is usually
// done - calls the same kernel slower.
TEST(ComparePairedCanary, UnpairedRunsCallTheSameKernelSlower) {
  DriftingMachine machine(1, 1.0);
  double a = 0, b = 0;
  for (int i = 0; i < 50; ++i) a += machine(Side::kA);
  for (int i = 0; i < 50; ++i) b += machine(Side::kB);
  EXPECT_GT(std::log(b / a), 0.05);
  EXPECT_EQ(compare_on(1, 1.0).verdict, SpeedVerdict::kEqual);
}

TEST(ComparePaired, StoppingEarlyJudgesWhatWasMeasured) {
  int runs = 0;
  const Comparison none = compare_paired([&](Side) { return ++runs, 1e-3; }, {}, [] { return true; });
  EXPECT_EQ(none.verdict, SpeedVerdict::kInconclusive);
  EXPECT_TRUE(none.seconds_a.empty());
}

}  // namespace
}  // namespace assay::tools
