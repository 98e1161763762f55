#include "model/bounds/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/bounds/tolerance.h"
#include "model/core/philox.h"
#include "model/golden/tensor.h"

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Judge, APreimageHoldsExactlyTheValuesThatRoundToIt) {
  const RandomStream random(1, "values");
  for (const ElementType type :
       {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16, ElementType::kE4M3})
    for (int i = 0; i < 2000; ++i) {
      const double x = round_to(type, static_cast<double>(random.normal(i)) * std::ldexp(1.0, i % 15 - 9));
      const Preimage preimage = rounding_preimage(x, type);
      ASSERT_EQ(round_to(type, preimage.low + (x - preimage.low) * 1e-6), x) << name_of(type) << " " << x;
      ASSERT_EQ(round_to(type, preimage.high - (preimage.high - x) * 1e-6), x) << name_of(type) << " " << x;
      ASSERT_NE(round_to(type, preimage.low - (x - preimage.low) * 1e-6), x) << name_of(type) << " " << x;
      ASSERT_NE(round_to(type, preimage.high + (preimage.high - x) * 1e-6), x) << name_of(type) << " " << x;
    }
}

TEST(Judge, OutputRoundingCostsNoSlack) {
  const double golden = 1.0 + 0x1p-8 + 0x1p-20;  // just above a bf16 midpoint: rounds to 1 + 2^-7
  EXPECT_EQ(judge_element(golden, 0, 1.0 + 0x1p-7, ElementType::kBf16).element, ElementClass::kPass);
  EXPECT_EQ(judge_element(golden, 0, 1.0, ElementType::kBf16).element, ElementClass::kOutOfBound);
  EXPECT_EQ(judge_element(golden, 0x1p-20, 1.0, ElementType::kBf16).element, ElementClass::kPass);
  const Verdict half = judge_element(golden, 0x1p-21, 1.0, ElementType::kBf16);
  EXPECT_EQ(half.element, ElementClass::kOutOfBound);
  EXPECT_DOUBLE_EQ(half.headroom, 2.0);
}

TEST(Judge, AnElementPassesExactlyWhenItsHeadroomIsAtMostOne) {
  const RandomStream random(2, "values");
  for (int i = 0; i < 20000; ++i) {
    const ElementType type = i % 2 ? ElementType::kBf16 : ElementType::kFp32;
    const double golden = static_cast<double>(random.normal(4 * i));
    const double bound = static_cast<double>(random.uniform(4 * i + 1)) * 0.01;
    const double got = round_to(type, golden + static_cast<double>(random.normal(4 * i + 2)) * 0.01);
    const Verdict verdict = judge_element(golden, bound, got, type);
    ASSERT_EQ(verdict.element == ElementClass::kPass, verdict.headroom <= 1);
    ASSERT_EQ(verdict.element == ElementClass::kPass,
              round_to(type, golden - bound) <= got && got <= round_to(type, golden + bound));
  }
}

TEST(Judge, ClassesAreComparedExactlyWhateverTheBound) {
  using C = ElementClass;
  const auto judged = [](double golden, double got) {
    return judge_element(golden, 1e9, got, ElementType::kFp32).element;
  };
  EXPECT_EQ(judged(1, kNan), C::kNotANumber);
  EXPECT_EQ(judged(kNan, 1), C::kNotNan);
  EXPECT_EQ(judged(kNan, kNan), C::kPass);
  EXPECT_EQ(judged(1, kInfinity), C::kInfinite);
  EXPECT_EQ(judged(-kInfinity, -3e38), C::kInfinite);
  EXPECT_EQ(judged(-kInfinity, -kInfinity), C::kPass);
  EXPECT_EQ(judged(-kInfinity, kInfinity), C::kInfinite);
}

TEST(Judge, AtTheEdgeOfTheFormatBothRoundingsAreRight) {
  const double beyond = 70000;  // fp16 ends at 65504
  EXPECT_EQ(judge_element(beyond, 0, 65504, ElementType::kFp16).element, ElementClass::kPass);
  EXPECT_EQ(judge_element(beyond, 0, kInfinity, ElementType::kFp16).element, ElementClass::kPass);
  EXPECT_EQ(judge_element(60000, 0, 65504, ElementType::kFp16).element, ElementClass::kOutOfBound);
  EXPECT_EQ(judge_element(60000, 0, kInfinity, ElementType::kFp16).element, ElementClass::kInfinite);
  EXPECT_EQ(judge_element(-beyond, 0, -65504, ElementType::kFp16).element, ElementClass::kPass);
}

TEST(Report, NamesTheWorstElementAndDoesNotDependOnTheOrderOfMerging) {
  ComparisonReport a({"row", "position", ""}), b({"row", "position", ""});
  a.add({0, 1, 0}, 1.0, 0.25, 1.125, ElementType::kFp32);
  a.add({0, 2, 0}, 1.0, 0.25, 1.0, ElementType::kFp32);
  b.add({3, 4, 0}, 2.0, 0.25, 3.0, ElementType::kFp32);
  b.add({3, 5, 0}, 2.0, 0.25, 3.0, ElementType::kFp32);
  ComparisonReport ab = a, ba = b;
  ab.merge(b);
  ba.merge(a);
  EXPECT_EQ(ab.summary(), ba.summary());
  EXPECT_EQ(ab.count(), 4);
  EXPECT_EQ(ab.wrong(), 2);
  EXPECT_FALSE(ab.passed());
  ASSERT_TRUE(ab.worst().has_value());
  EXPECT_EQ(ab.worst()->at, (Coordinates{3, 4, 0}));
  EXPECT_NEAR(ab.worst_headroom(), 4, 1e-5);
  EXPECT_EQ(ab.summary(),
            "2 of 4 wrong; worst at row 3, position 4: expected 2 +- 0.25, got 3 (r 4, out of bound)");
  EXPECT_EQ(ComparisonReport().summary(), "nothing compared");
}

TEST(Tolerance, CountsMismatchesAtThreeLevelsAndFourStatistics) {
  ToleranceReport report;
  report.add(1.0, 1.0 + 5e-5);  // within 1e-5 + 1e-4
  report.add(1.0, 1.0 + 5e-4);  // within 1e-4 + 1e-3
  report.add(0.0, 5e-3);        // outside all
  report.add(-kInfinity, -kInfinity);
  report.add(kNan, kNan);
  report.add(1.0, kNan);
  EXPECT_EQ(report.count(), 6);
  EXPECT_EQ(report.mismatches(0), 3);
  EXPECT_EQ(report.mismatches(1), 2);
  EXPECT_EQ(report.mismatches(2), 2);
  EXPECT_NEAR(report.max_absolute(), 5e-3, 1e-12);
  EXPECT_NEAR(report.max_relative(), 5e-4, 1e-12);
  EXPECT_NEAR(report.mean_absolute(), (5e-5 + 5e-4 + 5e-3) / 3, 1e-12);
  EXPECT_NE(report.text().find("Loose  (atol=0.001, rtol=0.01): FAIL (2 mismatches)"), std::string::npos);
}

}  // namespace
}  // namespace assay
