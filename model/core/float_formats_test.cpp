// Every code decoded, every encode compared with an independent slow rounding that searches the
// table of decoded values: for all bf16 inputs, for every midpoint and its neighbours, on both sides
// of saturation.
#include "model/core/float_formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace assay {
namespace {

// The slow twin: positive finite values of a format in order, and nearest-even by search.
template <typename Format>
class SlowRounding {
 public:
  SlowRounding() {
    for (unsigned code = 0; code <= Format::kMax; ++code) {
      values_.push_back(slow_decode(static_cast<typename Format::Code>(code)));
    }
  }

  // From the definition, with powers of two by ldexp.
  static double slow_decode(typename Format::Code code) {
    const int exponent = code >> Format::kMantissa & Format::kTopExponent;
    const int mantissa = code & ((1 << Format::kMantissa) - 1);
    const double fraction = std::ldexp(mantissa, -Format::kMantissa);
    return exponent == 0 ? std::ldexp(fraction, 1 - Format::kBias)
                         : std::ldexp(1.0 + fraction, exponent - Format::kBias);
  }

  typename Format::Code encode(double value) const {
    if (std::isnan(value)) return Format::kNan;
    const auto sign = static_cast<typename Format::Code>(std::signbit(value) ? Format::kSignBit : 0);
    const double magnitude = std::fabs(value);
    if (magnitude >= values_.back()) return static_cast<typename Format::Code>(sign | Format::kMax);
    const auto above = std::upper_bound(values_.begin(), values_.end(), magnitude);
    const auto high = static_cast<std::size_t>(above - values_.begin());
    const std::size_t low = high - 1;
    const double to_low = magnitude - values_[low], to_high = values_[high] - magnitude;
    std::size_t nearest = to_low < to_high ? low : high;
    if (to_low == to_high) nearest = low % 2 == 0 ? low : high;
    return static_cast<typename Format::Code>(sign | nearest);
  }

  const std::vector<double>& values() const { return values_; }

 private:
  std::vector<double> values_;
};

template <typename Format>
class FloatFormats : public testing::Test {};
using Formats = testing::Types<E4M3, E5M2, Bf16, Fp16>;
TYPED_TEST_SUITE(FloatFormats, Formats);

TYPED_TEST(FloatFormats, EveryCodeDecodesToItsDefinition) {
  const SlowRounding<TypeParam> slow;
  const unsigned codes = 1u << TypeParam::kBits;
  for (unsigned i = 0; i < codes; ++i) {
    const auto code = static_cast<typename TypeParam::Code>(i);
    const auto magnitude = static_cast<typename TypeParam::Code>(code & TypeParam::kMagnitudeMask);
    const double value = TypeParam::decode(code);
    if (TypeParam::is_nan(code)) {
      EXPECT_TRUE(std::isnan(value)) << i;
    } else if (TypeParam::is_infinity(code)) {
      EXPECT_TRUE(std::isinf(value)) << i;
    } else {
      EXPECT_EQ(std::fabs(value), slow.slow_decode(magnitude)) << i;
    }
    if (!std::isnan(value)) {
      EXPECT_EQ(std::signbit(value), (code & TypeParam::kSignBit) != 0) << i;
      EXPECT_EQ(static_cast<double>(TypeParam::decode_float(code)), value) << i;
    }
  }
}

TYPED_TEST(FloatFormats, EveryFiniteCodeSurvivesARoundTrip) {
  for (unsigned i = 0; i < 1u << TypeParam::kBits; ++i) {
    const auto code = static_cast<typename TypeParam::Code>(i);
    if (TypeParam::is_nan(code)) {
      EXPECT_EQ(TypeParam::encode(TypeParam::decode(code)), TypeParam::kNan) << i;
    } else if (TypeParam::is_infinity(code)) {
      EXPECT_EQ(TypeParam::encode(TypeParam::decode(code), Overflow::kInfinity), code) << i;
    } else {
      EXPECT_EQ(TypeParam::encode(TypeParam::decode(code)), code) << i;
    }
  }
}

TYPED_TEST(FloatFormats, AllBf16InputsRoundAsTheSlowTwinSays) {
  const SlowRounding<TypeParam> slow;
  for (unsigned i = 0; i < 65536; ++i) {
    const double input = Bf16::decode(static_cast<Bf16::Code>(i));
    ASSERT_EQ(TypeParam::encode(input), slow.encode(input)) << "bf16 code " << i << " value " << input;
  }
}

TYPED_TEST(FloatFormats, EveryMidpointAndItsNeighboursRoundToNearestEven) {
  const SlowRounding<TypeParam> slow;
  const auto& values = slow.values();
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    const double midpoint = (values[i] + values[i + 1]) / 2;
    for (const double input : {std::nextafter(midpoint, 0.0), midpoint, std::nextafter(midpoint, HUGE_VAL),
                               std::nextafter(values[i], HUGE_VAL)}) {
      ASSERT_EQ(TypeParam::encode(input), slow.encode(input)) << input;
      ASSERT_EQ(TypeParam::encode(-input), slow.encode(-input)) << -input;
    }
    // The same around the midpoint as a float, the type that kernels round from.
    const float as_float = static_cast<float>(midpoint);
    for (const float input : {std::nextafter(as_float, 0.0f), std::nextafter(as_float, HUGE_VALF)}) {
      ASSERT_EQ(TypeParam::encode(static_cast<double>(input)), slow.encode(static_cast<double>(input)))
          << input;
    }
  }
}

TYPED_TEST(FloatFormats, BothSidesOfSaturationKeepTheLargestFiniteValue) {
  const double largest = TypeParam::decode(TypeParam::kMax);
  const double step = largest - TypeParam::decode(static_cast<typename TypeParam::Code>(TypeParam::kMax - 1));
  for (const double input :
       {largest, largest + step * 0.49, largest + step * 0.5, largest + step, largest * 4, 1e300, HUGE_VAL}) {
    EXPECT_EQ(TypeParam::encode(input), TypeParam::kMax) << input;
    EXPECT_EQ(TypeParam::encode(-input), TypeParam::kMax | TypeParam::kSignBit) << input;
  }
  EXPECT_EQ(TypeParam::encode(largest - step * 0.49), TypeParam::kMax);
  EXPECT_EQ(TypeParam::encode(largest - step), TypeParam::kMax - 1);
  if (TypeParam::kHasInfinity) {
    EXPECT_EQ(TypeParam::encode(largest + step * 0.499, Overflow::kInfinity), TypeParam::kMax);
    EXPECT_EQ(TypeParam::encode(largest + step * 0.5, Overflow::kInfinity), TypeParam::kInfinity);
    EXPECT_EQ(TypeParam::encode(-HUGE_VAL, Overflow::kInfinity), TypeParam::kInfinity | TypeParam::kSignBit);
  }
}

TYPED_TEST(FloatFormats, TinyInputsGoToSignedZero) {
  const double quantum = std::ldexp(1.0, TypeParam::kQuantumExponent);
  EXPECT_EQ(TypeParam::encode(quantum / 2), 0);
  EXPECT_EQ(TypeParam::encode(std::nextafter(quantum / 2, 1.0)), 1);
  EXPECT_EQ(TypeParam::encode(-quantum / 4), TypeParam::kSignBit);
  EXPECT_EQ(TypeParam::encode(std::numeric_limits<double>::denorm_min()), 0);
  EXPECT_EQ(TypeParam::encode(-0.0), TypeParam::kSignBit);
}

TEST(FloatFormatValues, TheLargestFiniteValuesAreTheContracts) {
  EXPECT_EQ(E4M3::decode(E4M3::kMax), 448);
  EXPECT_EQ(E5M2::decode(E5M2::kMax), 57344);
  EXPECT_EQ(Fp16::decode(Fp16::kMax), 65504);
  EXPECT_EQ(Bf16::decode_float(Bf16::kMax), 0x1.fep127f);
  static_assert(E4M3::is_nan(0x7f) && E4M3::is_nan(0xff) && !E4M3::is_nan(0x7e));
  static_assert(E4M3::encode(448.0) == 0x7e && E4M3::encode(1.0) == 0x38, "usable at compile time");
}

TEST(E8M0Scale, EveryCodeIsItsPowerOfTwo) {
  for (int code = 0; code < 255; ++code) {
    const auto c = static_cast<E8M0::Code>(code);
    EXPECT_EQ(E8M0::decode(c), std::ldexp(1.0, code - 127)) << code;
    EXPECT_EQ(E8M0::encode(E8M0::decode(c)), code);
    EXPECT_EQ(E8M0::encode_up(E8M0::decode(c)), code);
  }
  EXPECT_TRUE(std::isnan(E8M0::decode(0xff)));
}

TEST(E8M0Scale, RoundsToTheNearestPowerAndUpOnRequest) {
  EXPECT_EQ(E8M0::encode(1.49), 127);
  EXPECT_EQ(E8M0::encode(1.5), 128) << "tie: code 127 is odd, so up to 128";
  EXPECT_EQ(E8M0::encode(3.0), 128) << "tie: code 128 is even, so it stays";
  EXPECT_EQ(E8M0::encode_up(1.0000001), 128);
  EXPECT_EQ(E8M0::encode(0.0), 0);
  EXPECT_EQ(E8M0::encode(1e300), E8M0::kMax);
  EXPECT_EQ(E8M0::encode(HUGE_VAL), E8M0::kMax);
  EXPECT_EQ(E8M0::encode(-1.0), E8M0::kNan);
  EXPECT_EQ(E8M0::encode(std::nan("")), E8M0::kNan);
}

TEST(QuantisedRow, TheScaleNeverFallsBelowTheFloorAndTheLargestValueMapsTo448) {
  EXPECT_EQ(e4m3_scale_of(0.0f), 1e-4f / 448.0f);
  const float scale = e4m3_scale_of(3.5f);
  EXPECT_EQ(E4M3::decode(quantise_e4m3(3.5f, scale)), 448);
  EXPECT_EQ(E4M3::decode(quantise_e4m3(-3.5f, scale)), -448);
}

}  // namespace
}  // namespace assay
