// One step of a Hopper tensor core in software, bit for bit: what `wgmma` does to one element of its
// accumulator when it consumes 32 bytes of K (32 products of fp8, 16 of bf16 or fp16).
//
//   terms     p_i = a_i * b_i as  (s_a * s_b) * 2^(e_a + e_b), the product of significands NOT
//             normalised (it lies in [0, 4)), and the incoming accumulator  s_c * 2^e_c
//   align     E = the largest exponent of the non-zero terms; every term is cut toward zero to
//             kAlignBits fraction bits below 2^E
//   add       exactly
//   result    normalised, then cut toward zero to kResultBits fraction bits (or to the smallest
//             subnormal of that format)
//
//   operands        products  align bits  result bits   measured on an H200, zero mismatches
//   e4m3, e5m2            32          13           13   2,000,000 random steps for each of the four pairs
//   bf16, fp16            16          25           23   2,000,000 random steps each
//
// mma.sync.m16n8k16 on bf16 and fp16 is the same step (2,000,000 each); mma.sync on fp8 is not.
//
// A subnormal operand has significand 0.mmm and the smallest normal exponent; it is not normalised
// either. A dot product is a chain of steps in the order of K; the first accumulator is +0.
//
// Specials, measured as well (model/twin/probes.cpp asks): NaN anywhere, infinity times zero and
// infinities of both signs give 0x7fffffff; an infinity wins over everything finite; a result beyond
// the largest fp32 is an infinity; a sum of zero is +0, whatever its terms, and so is a negative
// result below the smallest subnormal.
//
// This file is the slow reference: it reads like the rule above, compiles for host and device, and
// everything fast is compared with it. It knows nothing about logits.
#pragma once

#include <cstdint>

#include "model/core/float_formats.h"
#include "model/core/host_device.h"

namespace assay {

// What a step could be. The constants below say what it is; the other values are the hypotheses that
// tests and `assay calibrate` must be able to tell apart from it.
struct StepRule {
  enum class Rounding : std::uint8_t { kTowardZero, kNearestEven };

  int align_bits = 0;   // fraction bits kept below the largest exponent
  int result_bits = 0;  // fraction bits of the result
  Rounding align_rounding = Rounding::kTowardZero;
  Rounding result_rounding = Rounding::kTowardZero;
  bool normalises_products = false;  // true: 1.5 * 1.5 counts as 1.125 * 2^1
  int accumulator_headroom = 0;      // the accumulator enters the maximum with e_c minus this
};

constexpr int kStepBytes = 32;  // bytes of K that a step consumes from each operand
constexpr std::uint32_t kCanonicalNan = 0x7fffffffu;

template <typename Format>
constexpr int kStepProducts = kStepBytes / static_cast<int>(sizeof(typename Format::Code));

template <typename Format>
[[nodiscard]] ASSAY_HOST_DEVICE constexpr StepRule step_rule() {
  return sizeof(typename Format::Code) == 1 ? StepRule{13, 13} : StepRule{25, 23};
}

// A number that takes part in the sum: (-1)^negative * magnitude * 2^(exponent - fraction_bits).
// `exponent` is what the alignment looks at; magnitude 0 takes no part.
struct StepTerm {
  enum class Kind : std::uint8_t { kFinite, kInfinite, kNan };
  Kind kind = Kind::kFinite;
  bool negative = false;
  std::uint32_t magnitude = 0;
  int exponent = 0;
  int fraction_bits = 0;
};

namespace detail {

[[nodiscard]] ASSAY_HOST_DEVICE constexpr int bit_width(std::uint64_t value) {
  int width = 0;
  for (int half = 32; half > 0; half /= 2) {
    if (value >> half) {
      value >>= half;
      width += half;
    }
  }
  return width + (value ? 1 : 0);
}

// magnitude * 2^shift as an integer, in the given rounding. magnitude < 2^40; unless it is 0 (a zero
// product may have any exponent) shift <= 23.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::uint64_t scale_to_integer(std::uint64_t magnitude, int shift,
                                                                         StepRule::Rounding rounding) {
  if (magnitude == 0 || shift < -62) return 0;
  if (shift >= 0) return magnitude << shift;
  if (rounding == StepRule::Rounding::kTowardZero) return magnitude >> -shift;
  return shift_right_nearest_even(magnitude, -shift);
}

template <typename Format>
[[nodiscard]] ASSAY_HOST_DEVICE constexpr StepTerm operand_term(typename Format::Code code) {
  StepTerm term;
  term.negative = (code & Format::kSignBit) != 0;
  if (Format::is_nan(code)) {
    term.kind = StepTerm::Kind::kNan;
    return term;
  }
  if (Format::is_infinity(code)) {
    term.kind = StepTerm::Kind::kInfinite;
    return term;
  }
  const int field = (code & Format::kMagnitudeMask) >> Format::kMantissa;
  const std::uint32_t mantissa = code & ((1u << Format::kMantissa) - 1);
  term.magnitude = field == 0 ? mantissa : mantissa | 1u << Format::kMantissa;
  term.exponent = (field == 0 ? 1 : field) - Format::kBias;
  term.fraction_bits = Format::kMantissa;
  return term;
}

[[nodiscard]] ASSAY_HOST_DEVICE constexpr StepTerm product_term(const StepTerm& a, const StepTerm& b,
                                                                bool normalise) {
  using Kind = StepTerm::Kind;
  StepTerm term;
  term.negative = a.negative != b.negative;
  const bool infinite = a.kind == Kind::kInfinite || b.kind == Kind::kInfinite;
  const bool zero =
      (a.kind == Kind::kFinite && a.magnitude == 0) || (b.kind == Kind::kFinite && b.magnitude == 0);
  if (a.kind == Kind::kNan || b.kind == Kind::kNan || (infinite && zero)) {
    term.kind = Kind::kNan;
    return term;
  }
  if (infinite) {
    term.kind = Kind::kInfinite;
    return term;
  }
  term.magnitude = a.magnitude * b.magnitude;
  term.exponent = a.exponent + b.exponent;
  term.fraction_bits = a.fraction_bits + b.fraction_bits;
  if (normalise && term.magnitude != 0) {
    const int carry = bit_width(term.magnitude) - 1 - term.fraction_bits;
    term.exponent += carry;
    term.fraction_bits += carry;
  }
  return term;
}

[[nodiscard]] ASSAY_HOST_DEVICE constexpr StepTerm accumulator_term(float accumulator) {
  const std::uint32_t bits = bit_cast<std::uint32_t>(accumulator);
  const std::uint32_t mantissa = bits & 0x7fffffu;
  const int field = static_cast<int>(bits >> 23 & 0xff);
  StepTerm term;
  term.negative = bits >> 31 != 0;
  if (field == 255) {
    term.kind = mantissa ? StepTerm::Kind::kNan : StepTerm::Kind::kInfinite;
    return term;
  }
  term.magnitude = field == 0 ? mantissa : mantissa | 0x800000u;
  term.exponent = (field == 0 ? 1 : field) - 127;
  term.fraction_bits = 23;
  return term;
}

// magnitude * 2^unit as an fp32 number with at most `rule.result_bits` fraction bits.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr float compose_result(bool negative, std::uint64_t magnitude,
                                                               int unit, const StepRule& rule) {
  const std::uint32_t sign = negative ? 0x80000000u : 0;
  if (magnitude == 0) return 0.0f;
  const int too_long = bit_width(magnitude) - 1 - rule.result_bits;
  const int below_subnormal = -126 - rule.result_bits - unit;
  const int drop = too_long > below_subnormal ? too_long : below_subnormal;
  if (drop > 0) {
    magnitude = scale_to_integer(magnitude, -drop, rule.result_rounding);
    unit += drop;
    if (magnitude == 0) return 0.0f;
  }
  const int width = bit_width(magnitude);
  const int exponent = unit + width - 1;
  if (exponent > 127) return bit_cast<float>(sign | 0x7f800000u);
  if (exponent < -126) return bit_cast<float>(sign | static_cast<std::uint32_t>(magnitude << (unit + 149)));
  const int to_24_bits = 24 - width;  // negative only when rounding up gave a power of two
  const std::uint64_t significand = to_24_bits >= 0 ? magnitude << to_24_bits : magnitude >> -to_24_bits;
  return bit_cast<float>(sign | static_cast<std::uint32_t>(exponent + 127) << 23 |
                         static_cast<std::uint32_t>(significand & 0x7fffffu));
}

}  // namespace detail

// a, b: kStepProducts<Format> codes each, contiguous. Returns the new accumulator.
// wgmma also takes e4m3 with e5m2: the formats may differ, their sizes may not.
template <typename FormatA, typename FormatB = FormatA>
[[nodiscard]] ASSAY_HOST_DEVICE constexpr float tensor_core_step(
    const typename FormatA::Code* a, const typename FormatB::Code* b, float accumulator,
    const StepRule& rule = step_rule<FormatA>()) {
  static_assert(sizeof(typename FormatA::Code) == sizeof(typename FormatB::Code));
  using Kind = StepTerm::Kind;
  constexpr int kProducts = kStepProducts<FormatA>;
  StepTerm terms[kProducts + 1];
  for (int i = 0; i < kProducts; ++i) {
    terms[i] = detail::product_term(detail::operand_term<FormatA>(a[i]), detail::operand_term<FormatB>(b[i]),
                                    rule.normalises_products);
  }
  terms[kProducts] = detail::accumulator_term(accumulator);

  // Specials, by the IEEE sense of a sum; then the exponent to align to.
  bool nan = false, infinite_up = false, infinite_down = false, any = false;
  int largest = 0;
  for (int i = 0; i <= kProducts; ++i) {
    const StepTerm& term = terms[i];
    nan = nan || term.kind == Kind::kNan;
    infinite_up = infinite_up || (term.kind == Kind::kInfinite && !term.negative);
    infinite_down = infinite_down || (term.kind == Kind::kInfinite && term.negative);
    const int exponent = term.exponent - (i < kProducts ? 0 : rule.accumulator_headroom);
    if (term.kind == Kind::kFinite && term.magnitude != 0 && (!any || exponent > largest)) {
      largest = exponent;
      any = true;
    }
  }
  if (nan || (infinite_up && infinite_down)) return bit_cast<float>(kCanonicalNan);
  if (infinite_up || infinite_down) return bit_cast<float>(infinite_up ? 0x7f800000u : 0xff800000u);
  if (!any) return 0.0f;

  std::int64_t sum = 0;  // in units of 2^(largest - align_bits)
  for (int i = 0; i <= kProducts; ++i) {
    const StepTerm& term = terms[i];
    const int shift = rule.align_bits - term.fraction_bits - (largest - term.exponent);
    const auto aligned =
        static_cast<std::int64_t>(detail::scale_to_integer(term.magnitude, shift, rule.align_rounding));
    sum += term.negative ? -aligned : aligned;
  }
  return detail::compose_result(sum < 0, static_cast<std::uint64_t>(sum < 0 ? -sum : sum),
                                largest - rule.align_bits, rule);
}

// A dot product over `count` elements (a multiple of kStepProducts): steps in the order of K.
template <typename FormatA, typename FormatB = FormatA>
[[nodiscard]] ASSAY_HOST_DEVICE constexpr float tensor_core_dot(const typename FormatA::Code* a,
                                                                const typename FormatB::Code* b, int count,
                                                                float accumulator = 0.0f,
                                                                const StepRule& rule = step_rule<FormatA>()) {
  for (int k = 0; k < count; k += kStepProducts<FormatA>) {
    accumulator = tensor_core_step<FormatA, FormatB>(a + k, b + k, accumulator, rule);
  }
  return accumulator;
}

}  // namespace assay
