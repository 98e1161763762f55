// The step against a second model written from the text of docs/twin.md in another way (doubles and
// libm instead of integers), worked examples by hand, the laws that must hold, and the canaries: every
// other reading of the rule must be told apart by the same inputs.
#include "model/twin/tensor_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/core/philox.h"
#include "model/twin/probes.h"
#include "model/twin/step_hypotheses.h"

namespace assay::twin {
namespace {

template <typename Format>
using Codes = std::vector<typename Format::Code>;

std::uint32_t bits(float value) { return bit_cast<std::uint32_t>(value); }

// The second model. Every quantity is exact in double: products have at most 22 bits, aligned terms
// are integers below 2^28, their sum is below 2^33.
template <typename Format>
float by_doubles(const Codes<Format>& a, const Codes<Format>& b, float accumulator, int align, int result) {
  const int smallest = 1 - Format::kBias;
  const auto exponent_of = [&](double x) { return std::max(std::ilogb(x), smallest); };
  std::vector<double> terms;
  int largest = std::numeric_limits<int>::min();
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = Format::decode(a[i]), y = Format::decode(b[i]);
    if (x == 0 || y == 0) continue;
    terms.push_back(x * y);
    largest = std::max(largest, exponent_of(x) + exponent_of(y));
  }
  if (accumulator != 0) {
    terms.push_back(static_cast<double>(accumulator));
    largest = std::max(largest, std::max(std::ilogb(static_cast<double>(accumulator)), -126));
  }
  if (terms.empty()) return 0.0f;
  double sum = 0;
  for (const double term : terms) sum += std::trunc(std::ldexp(term, align - largest));
  if (sum == 0) return 0.0f;
  sum = std::ldexp(sum, largest - align);
  const int unit = std::max(std::ilogb(sum), -126) - result;
  const double cut = std::ldexp(std::trunc(std::ldexp(sum, -unit)), unit);
  if (cut == 0) return 0.0f;  // never -0
  if (std::fabs(cut) >= 0x1p128) return cut > 0 ? HUGE_VALF : -HUGE_VALF;
  return static_cast<float>(cut);
}

template <typename Format>
struct Step {
  Codes<Format> a, b;
  float accumulator = 0;
};

// Random steps in every family of the measurement, the i-th in family i % 5.
template <typename Format>
std::vector<Step<Format>> random_steps(std::uint64_t seed, std::int64_t count) {
  const ElementType type = std::is_same_v<Format, E4M3>   ? ElementType::kE4M3
                           : std::is_same_v<Format, E5M2> ? ElementType::kE5M2
                           : std::is_same_v<Format, Bf16> ? ElementType::kBf16
                                                          : ElementType::kFp16;
  std::vector<Step<Format>> steps;
  for (const StepProbe& probe : random_step_probes({type, type}, seed, count)) {
    Step<Format> step{Codes<Format>(kStepProducts<Format>), Codes<Format>(kStepProducts<Format>),
                      bit_cast<float>(probe.accumulator)};
    std::memcpy(step.a.data(), probe.a.data(), kStepBytes);
    std::memcpy(step.b.data(), probe.b.data(), kStepBytes);
    steps.push_back(std::move(step));
  }
  return steps;
}

template <typename Format>
float run(const Step<Format>& step, const StepRule& rule = step_rule<Format>()) {
  return tensor_core_step<Format>(step.a.data(), step.b.data(), step.accumulator, rule);
}

// A step from values; the rest of it is zero.
template <typename Format>
Step<Format> step_of(const std::vector<std::pair<double, double>>& products, float accumulator = 0) {
  Step<Format> step{Codes<Format>(kStepProducts<Format>), Codes<Format>(kStepProducts<Format>), accumulator};
  for (std::size_t i = 0; i < products.size(); ++i) {
    step.a[i] = Format::encode(products[i].first, Overflow::kInfinity);
    step.b[i] = Format::encode(products[i].second, Overflow::kInfinity);
  }
  return step;
}

template <typename Format>
class TensorCore : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2, Bf16, Fp16>;
TYPED_TEST_SUITE(TensorCore, Formats);

TYPED_TEST(TensorCore, EqualsTheModelInDoublesOnEveryFamily) {
  const StepRule rule = step_rule<TypeParam>();
  for (const auto& step : random_steps<TypeParam>(11, 100000)) {
    const float expected =
        by_doubles<TypeParam>(step.a, step.b, step.accumulator, rule.align_bits, rule.result_bits);
    ASSERT_EQ(bits(run(step)), bits(expected)) << "step " << &step << " accumulator " << step.accumulator;
  }
}

// Canaries: the share of results that each wrong reading changes. Two readings need products or sums
// that are rare in these families; they still change hundreds.
TYPED_TEST(TensorCore, EveryOtherReadingOfTheRuleIsToldApart) {
  const auto steps = random_steps<TypeParam>(12, 20000);
  for (const StepHypothesis& other : step_hypotheses(step_rule<TypeParam>())) {
    std::size_t differing = 0;
    for (const auto& step : steps) differing += bits(run(step)) != bits(run(step, other.rule));
    EXPECT_GT(differing, steps.size() / 100) << other.name << ": the inputs cannot tell it from the truth";
  }
}

TYPED_TEST(TensorCore, TheOrderInsideAStepDoesNotMatter) {
  const RandomStream random(13, "twin order");
  std::uint64_t index = 0;
  for (auto& step : random_steps<TypeParam>(13, 5000)) {
    const float before = run(step);
    for (std::size_t j = step.a.size() - 1; j > 0; --j) {
      const auto other = random.below(index++, j + 1);
      std::swap(step.a[j], step.a[other]);
      std::swap(step.b[j], step.b[other]);
    }
    std::swap(step.a, step.b);
    ASSERT_EQ(bits(run(step)), bits(before));
  }
}

TYPED_TEST(TensorCore, FlippingEverySignFlipsTheResult) {
  for (auto& step : random_steps<TypeParam>(14, 5000)) {
    const float before = run(step);
    for (auto& code : step.a) code = static_cast<typename TypeParam::Code>(code ^ TypeParam::kSignBit);
    step.accumulator = -step.accumulator;
    if (before == 0) {
      ASSERT_EQ(bits(run(step)), 0u) << "a sum of zero is +0";
    } else {
      ASSERT_EQ(bits(run(step)), bits(-before));
    }
  }
}

TYPED_TEST(TensorCore, AProductAloneIsExactAndNeverWrong) {
  const unsigned codes = 1u << std::min(TypeParam::kBits, 8);
  for (unsigned i = 0; i < codes; ++i) {
    for (unsigned j = 0; j < codes; ++j) {
      // 16-bit formats: the upper byte sweeps, the lower is a fixed pattern.
      const auto x = static_cast<typename TypeParam::Code>(TypeParam::kBits == 8 ? i : i << 8 | 0x5b);
      const auto y = static_cast<typename TypeParam::Code>(TypeParam::kBits == 8 ? j : j << 8 | 0xd2);
      Step<TypeParam> step = step_of<TypeParam>({});
      step.a[7] = x;
      step.b[7] = y;
      const float got = run(step);
      const double exact = TypeParam::decode(x) * TypeParam::decode(y);
      if (std::isnan(exact)) {
        ASSERT_EQ(bits(got), kCanonicalNan) << i << " * " << j;
      } else if (std::isinf(exact) || std::fabs(exact) >= 0x1p128) {
        ASSERT_EQ(got, exact > 0 ? HUGE_VALF : -HUGE_VALF) << i << " * " << j;
      } else {
        const double cut = std::ldexp(std::trunc(std::ldexp(exact, 149)), -149);
        ASSERT_EQ(static_cast<double>(got), std::fabs(exact) < 0x1p-126 ? cut : exact) << i << " * " << j;
        ASSERT_FALSE(got == 0 && std::signbit(got)) << "-0";
      }
    }
  }
}

// Raising one factor never lowers the result as long as the largest exponent stays what it is.
TYPED_TEST(TensorCore, MonotoneWhileTheLargestExponentStays) {
  int raised = 0;
  std::size_t i = 0;
  for (auto& step : random_steps<TypeParam>(15, 5000)) {
    ++i;
    const float before = run(step);
    auto& code = step.a[i % step.a.size()];
    const auto& other = step.b[i % step.b.size()];
    const auto next = static_cast<typename TypeParam::Code>(code + 1);
    const auto binade = [](auto c) { return (c & TypeParam::kMagnitudeMask) >> TypeParam::kMantissa; };
    if (binade(next) != binade(code) || TypeParam::is_nan(next) || TypeParam::is_infinity(next)) continue;
    if (TypeParam::decode(code) == 0 || TypeParam::decode(other) == 0) continue;
    const bool up = ((code ^ other) & TypeParam::kSignBit) == 0;
    code = next;
    ++raised;
    ASSERT_TRUE(up ? run(step) >= before : run(step) <= before) << i;
  }
  EXPECT_GT(raised, 500);
}

// And it is not monotone when the exponent grows: the small terms fall below the new unit.
TEST(TensorCoreExamples, ALargerAccumulatorMayGiveASmallerResult) {
  const std::vector<std::pair<double, double>> small(31, {0x1p-6, 0x1p-7});  // 31 * 2^-13
  EXPECT_EQ(run(step_of<E4M3>(small, 2 - 0x1p-13f)), 2 + 15 * 0x1p-12f);
  EXPECT_EQ(run(step_of<E4M3>(small, 2.0f)), 2.0f);
}

TEST(TensorCoreExamples, TheSumIsCutTowardZeroOnBothSides) {
  // 448^2 has exponent 16, so the unit is 2^3: two ones are below it.
  EXPECT_EQ(run(step_of<E4M3>({{448, 448}, {1, 1}, {1, 1}})), 200704.0f);
  EXPECT_EQ(run(step_of<E4M3>({{-448, 448}, {-1, 1}, {-1, 1}})), -200704.0f);
  // 8 counts, 15 counts as 8; and 200704 = 3.0625 * 2^16 has unit 2^4 in the result, so 8 is cut there.
  EXPECT_EQ(run(step_of<E4M3>({{448, 448}, {1, 15}})), 200704.0f);
  EXPECT_EQ(run(step_of<E4M3>({{448, 448}, {1, 15}, {1, 15}})), 200720.0f);
}

TEST(TensorCoreExamples, ProductsAreNotNormalisedBeforeAligning) {
  // 1.5 * 1.5 = 2.25 has exponent 0 here, so a unit is 2^-13 and 2^-13 survives the cancellation.
  const auto step = step_of<E4M3>({{1.5, 1.5}, {-1.5, 1.5}, {0x1p-6, 0x1p-7}});
  EXPECT_EQ(run(step), 0x1p-13f);
  StepRule normalised = step_rule<E4M3>();
  normalised.normalises_products = true;
  EXPECT_EQ(run(step, normalised), 0.0f);
}

TEST(TensorCoreExamples, TheAccumulatorTakesPartInTheMaximum) {
  // unit 2^(20 - 13) = 128: each 64 is cut alone.
  const auto step = step_of<E4M3>({{8, 8}, {8, 8}}, 0x1p20f);
  EXPECT_EQ(run(step), 0x1p20f);
  StepRule ignored = step_rule<E4M3>();
  ignored.accumulator_headroom = 12;
  EXPECT_EQ(run(step, ignored), 0x1p20f + 128);
}

TEST(TensorCoreExamples, TheSecondStepSeesAnE8M13Number) {
  std::vector<E4M3::Code> a(64), b(64, E4M3::encode(1));
  a[0] = E4M3::encode(256);
  a[1] = E4M3::encode(0x1p-6);  // 2^-6 is below 2^(8 - 13) and vanishes
  a[32] = E4M3::encode(-256);
  a[33] = E4M3::encode(0x1p-5);
  EXPECT_EQ(tensor_core_dot<E4M3>(a.data(), b.data(), 64), 0x1p-5f);
}

TEST(TensorCoreExamples, HalfPrecisionKeeps25BitsAndCutsTo23) {
  // 1 + 2^-25 * n: terms survive the alignment, the result drops them two at a time ... four needed.
  const std::pair<double, double> tiny{0x1p-12, 0x1p-13};
  EXPECT_EQ(run(step_of<Fp16>({{1, 1}, tiny, tiny, tiny})), 1.0f);
  EXPECT_EQ(run(step_of<Fp16>({{1, 1}, tiny, tiny, tiny, tiny})), 1.0f + 0x1p-23f);
  EXPECT_EQ(run(step_of<Fp16>({{1, 1}, {0x1p-13, 0x1p-13}, {0x1p-13, 0x1p-13}, {-1, 1}})), 0.0f);
  EXPECT_EQ(run(step_of<Bf16>({{1, 1}, tiny, {-1, 1}})), 0x1p-25f);
}

TEST(TensorCoreExamples, HalfPrecisionResultsMayBeSubnormal) {
  EXPECT_EQ(bits(run(step_of<Bf16>({{0x1p-75, 0x1p-74}}))), 1u);
  EXPECT_EQ(bits(run(step_of<Bf16>({{0x1p-75, 1.5 * 0x1p-74}}))), 1u);   // 1.5 quanta, cut
  EXPECT_EQ(bits(run(step_of<Bf16>({{0x1p-75, -1.5 * 0x1p-75}}))), 0u);  // -0.75 quanta: +0
  EXPECT_EQ(run(step_of<Bf16>({{0x1p-120, 1}}, 0x1p-149f)), 0x1p-120f);
  EXPECT_EQ(run(step_of<Bf16>({{0x1p-100, 0x1p-40}, {0x1p-100, 0x1p-41}}, 0x1p-149f)),
            0x1p-140f + 0x1p-141f + 0x1p-149f);
}

TEST(TensorCoreExamples, SpecialsFollowTheMeasuredRule) {
  const float infinity = HUGE_VALF, nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(bits(run(step_of<E4M3>({{std::nan(""), 0}}))), kCanonicalNan);
  EXPECT_EQ(bits(run(step_of<E4M3>({{1, 1}}, nan))), kCanonicalNan);
  EXPECT_EQ(run(step_of<E4M3>({{-448, 448}}, infinity)), infinity);
  EXPECT_EQ(run(step_of<E5M2>({{HUGE_VAL, 2}, {57344, -57344}})), infinity);
  EXPECT_EQ(bits(run(step_of<E5M2>({{HUGE_VAL, 0}}))), kCanonicalNan);
  EXPECT_EQ(bits(run(step_of<E5M2>({{HUGE_VAL, 1}, {HUGE_VAL, -1}}))), kCanonicalNan);
  EXPECT_EQ(bits(run(step_of<E5M2>({{HUGE_VAL, 1}}, -infinity))), kCanonicalNan);
  EXPECT_EQ(run(step_of<Bf16>({{-0x1p127, 2}})), -infinity);
  EXPECT_EQ(bits(run(step_of<E4M3>({{-0.0, 1}, {0.0, -1}}, -0.0f))), 0u);
}

TEST(TensorCoreExamples, TheStepIsAConstantExpression) {
  constexpr std::uint8_t a[32] = {0x38, 0x38, 0x7e};
  static_assert(tensor_core_step<E4M3>(a, a, 0.0f) == 200704.0f);
  constexpr std::uint8_t e5m2[32] = {0x3c, 0x3c};
  static_assert(tensor_core_step<E4M3, E5M2>(a, e5m2, 0.5f) == 2.5f);
}

}  // namespace
}  // namespace assay::twin
