// The declared exponential and logarithm against the library's in double, and their edges.
#include "model/core/attention_order.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/core/philox.h"

namespace assay {
namespace {

TEST(DeclaredExp2, IsWithinTwoUnitsInTheLastPlaceOfTheTruth) {
  const RandomStream stream(1, "exp2");
  double worst = 0;
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    const float x = -126.0f * stream.uniform(i) * (i % 3 == 0 ? 1.0f : 0.03f);
    const double truth = std::exp2(static_cast<double>(x));
    worst = std::max(worst, std::fabs(static_cast<double>(exact::exp2_nonpositive(x)) / truth - 1));
  }
  EXPECT_LT(worst, 2 * 0x1p-24 * 2);
}

TEST(DeclaredExp2, IntegersAreExactAndTheEdgesAreDeclared) {
  for (int n = -126; n <= 0; ++n)
    EXPECT_EQ(exact::exp2_nonpositive(static_cast<float>(n)), std::ldexp(1.0f, n)) << n;
  EXPECT_EQ(exact::exp2_nonpositive(-126.5f), 0.0f);
  EXPECT_EQ(exact::exp2_nonpositive(-HUGE_VALF), 0.0f);
  EXPECT_EQ(bit_cast<std::uint32_t>(exact::exp2_nonpositive(std::nanf(""))), 0x7fffffffu);
  EXPECT_EQ(exact::exp2_nonpositive(-0.0f), 1.0f);
}

TEST(DeclaredLog2, IsWithinTwoUnitsInTheLastPlaceOfTheTruth) {
  const RandomStream stream(1, "log2");
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    const float x = std::ldexp(1.0f + stream.uniform(i), static_cast<int>(stream.below(i, 200)) - 100);
    const double truth = std::log2(static_cast<double>(x));
    ASSERT_NEAR(static_cast<double>(exact::log2_positive(x)), truth,
                2 * 0x1p-24 * std::max(1.0, std::fabs(truth)) + 1e-12)
        << x;
  }
  EXPECT_EQ(exact::log2_positive(8.0f), 3.0f);
  EXPECT_EQ(exact::log2_positive(1.0f), 0.0f);
  EXPECT_EQ(exact::log2_positive(0.0f), -HUGE_VALF);
}

TEST(MergeFactor, APartThatSawNothingCountsNothing) {
  EXPECT_EQ(merge_factor(-HUGE_VALF, -HUGE_VALF), 0.0f);
  EXPECT_EQ(merge_factor(-HUGE_VALF, 3.0f), 0.0f);
  EXPECT_EQ(merge_factor(2.0f, 3.0f), 0.5f);
}

}  // namespace
}  // namespace assay
