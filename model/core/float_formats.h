// The float formats of paged KV caches, bit for bit, on host and device.
//
//   format   layout    bias  infinities  NaN codes            largest finite
//   E4M3     1.4.3        7  none        0x7f, 0xff           448
//   E5M2     1.5.2       15  yes         exponent 31, m != 0  57344
//   Bf16     1.8.7      127  yes         exponent 255, m != 0 3.3895e38
//   Fp16     1.5.10      15  yes         exponent 31, m != 0  65504
//   E8M0     0.8.0      127  none        0xff                 2^127   (a power of two, no sign)
//
// Decoding is exact. Encoding rounds to nearest, ties to the even code, once, from double: no value
// is ever rounded twice. Overflow either saturates to the largest finite value (infinities too; the
// .satfinite forms of the hardware) or goes to infinity (IEEE; only formats that have one). NaN stays
// NaN: the canonical code is the one the hardware writes (0x7f for E4M3 and E5M2, 0x7fff for Bf16
// and Fp16), with the sign dropped.
#pragma once

#include <cstdint>

#include "model/core/host_device.h"

namespace assay {

enum class Overflow { kSaturate, kInfinity };

namespace detail {

constexpr std::uint64_t kDoubleMantissaMask = (std::uint64_t{1} << 52) - 1;

// Rounds significand * 2^-shift to the nearest integer, ties to even. shift in [1, 64).
ASSAY_HOST_DEVICE constexpr std::uint64_t shift_right_nearest_even(std::uint64_t significand, int shift) {
  const std::uint64_t kept = significand >> shift;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  return kept + ((rest > half || (rest == half && (kept & 1))) ? 1 : 0);
}

// 2^exponent as a double, for exponents of normal doubles.
ASSAY_HOST_DEVICE constexpr double power_of_two(int exponent) {
  return bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

}  // namespace detail

// A sign, kExponentBits and kMantissaBits, IEEE-like. kFiniteOnly: the "fn" reading of E4M3, where
// the top exponent holds finite values and only the all-ones code is NaN.
template <typename CodeType, int kExponentBits, int kMantissaBits, bool kFiniteOnly>
struct FloatFormat {
  using Code = CodeType;
  static constexpr int kBits = 1 + kExponentBits + kMantissaBits;
  static constexpr int kMantissa = kMantissaBits;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr int kTopExponent = (1 << kExponentBits) - 1;
  static constexpr bool kHasInfinity = !kFiniteOnly;
  static constexpr Code kSignBit = Code(1u << (kBits - 1));
  static constexpr Code kMagnitudeMask = Code(kSignBit - 1);
  static constexpr Code kNan = kMagnitudeMask;
  static constexpr Code kMax = Code(kFiniteOnly ? kMagnitudeMask - 1 : (kTopExponent << kMantissaBits) - 1);
  static constexpr Code kInfinity = Code(kTopExponent << kMantissaBits);  // only when kHasInfinity
  // Exponent of the smallest subnormal: every finite value is a multiple of 2^kQuantumExponent.
  static constexpr int kQuantumExponent = 1 - kBias - kMantissaBits;

  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr bool is_nan(Code code) {
    return kFiniteOnly ? (code & kMagnitudeMask) == kMagnitudeMask : (code & kMagnitudeMask) > kInfinity;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr bool is_infinity(Code code) {
    return kHasInfinity && (code & kMagnitudeMask) == kInfinity;
  }

  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr double decode(Code code) {
    const std::uint64_t sign = (code & kSignBit) ? std::uint64_t{1} << 63 : 0;
    const int exponent = (code & kMagnitudeMask) >> kMantissaBits;
    const std::uint64_t mantissa = code & ((1u << kMantissaBits) - 1);
    if (is_nan(code)) return bit_cast<double>(sign | 0x7ff8000000000000ull);
    if (is_infinity(code)) return bit_cast<double>(sign | 0x7ff0000000000000ull);
    if (exponent == 0) {
      const double magnitude = static_cast<double>(mantissa) * detail::power_of_two(kQuantumExponent);
      return sign ? -magnitude : magnitude;
    }
    const std::uint64_t bits =
        sign | static_cast<std::uint64_t>(exponent - kBias + 1023) << 52 | mantissa << (52 - kMantissaBits);
    return bit_cast<double>(bits);
  }

  // All values of these formats are exact in float as well.
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr float decode_float(Code code) {
    return static_cast<float>(decode(code));
  }

  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr Code encode(double value,
                                                               Overflow overflow = Overflow::kSaturate) {
    const std::uint64_t bits = bit_cast<std::uint64_t>(value);
    const Code sign = Code(bits >> 63 ? kSignBit : 0);
    const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
    if (magnitude > 0x7ff0000000000000ull) return kNan;
    const Code too_large = Code(sign | (overflow == Overflow::kInfinity && kHasInfinity ? kInfinity : kMax));
    if (magnitude == 0x7ff0000000000000ull) return too_large;
    const int double_exponent = static_cast<int>(magnitude >> 52);
    if (double_exponent == 0) return sign;  // a subnormal double lies far below half a quantum
    const int exponent = double_exponent - 1023;
    if (exponent > kTopExponent - kBias) return too_large;
    const std::uint64_t significand = (std::uint64_t{1} << 52) | (magnitude & detail::kDoubleMantissaMask);
    // Normal: keep kMantissaBits after the leading one. Subnormal: keep multiples of the quantum.
    const bool normal = exponent >= 1 - kBias;
    const int shift = normal ? 52 - kMantissaBits : 52 - exponent + kQuantumExponent;
    if (shift > 53) return sign;  // less than half a quantum
    const std::uint64_t rounded = detail::shift_right_nearest_even(significand, shift);
    // Adding the rounded significand onto the exponent field lets a carry move to the next binade.
    const std::uint64_t code =
        normal ? (static_cast<std::uint64_t>(exponent + kBias - 1) << kMantissaBits) + rounded : rounded;
    return code > kMax ? too_large : Code(sign | static_cast<Code>(code));
  }
};

using E4M3 = FloatFormat<std::uint8_t, 4, 3, true>;
using E5M2 = FloatFormat<std::uint8_t, 5, 2, false>;
using Bf16 = FloatFormat<std::uint16_t, 8, 7, false>;
using Fp16 = FloatFormat<std::uint16_t, 5, 10, false>;

// A power-of-two scale: value = 2^(code - 127), 0xff is NaN. There is no zero and no sign.
struct E8M0 {
  using Code = std::uint8_t;
  static constexpr Code kNan = 0xff;
  static constexpr Code kMax = 0xfe;  // 2^127
  static constexpr int kBias = 127;

  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr bool is_nan(Code code) { return code == kNan; }
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr double decode(Code code) {
    if (is_nan(code)) return bit_cast<double>(std::uint64_t{0x7ff8000000000000});
    return detail::power_of_two(static_cast<int>(code) - kBias);
  }
  // Nearest by value; the midpoint 1.5 * 2^e goes to the even code. Zero and everything below the
  // smallest scale give the smallest scale; negative numbers have no scale and give NaN.
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr Code encode(double value) {
    return encode_with(value, [](std::uint64_t mantissa, int code) {
      const std::uint64_t half = std::uint64_t{1} << 51;
      return mantissa > half || (mantissa == half && (code & 1));
    });
  }
  // The smallest scale that is not below the value: what a quantiser wants, so that nothing overflows.
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr Code encode_up(double value) {
    return encode_with(value, [](std::uint64_t mantissa, int) { return mantissa != 0; });
  }

 private:
  template <typename RoundsUp>
  ASSAY_HOST_DEVICE static constexpr Code encode_with(double value, RoundsUp rounds_up) {
    const std::uint64_t bits = bit_cast<std::uint64_t>(value);
    const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
    if (magnitude > 0x7ff0000000000000ull) return kNan;
    if (magnitude == 0) return 0;
    if (bits >> 63) return kNan;
    if (magnitude == 0x7ff0000000000000ull) return kMax;
    const int exponent = static_cast<int>(magnitude >> 52) - 1023;
    if (exponent < -kBias) return 0;
    const int code = exponent + kBias;
    if (code >= kMax) return kMax;
    return static_cast<Code>(code + (rounds_up(magnitude & detail::kDoubleMantissaMask, code) ? 1 : 0));
  }
};

// The element types that tensors of this project have.
enum class ElementType : std::uint8_t { kFp32, kBf16, kFp16, kE4M3, kE5M2 };

[[nodiscard]] ASSAY_HOST_DEVICE constexpr int bytes_of(ElementType type) {
  switch (type) {
    case ElementType::kFp32: return 4;
    case ElementType::kBf16:
    case ElementType::kFp16: return 2;
    case ElementType::kE4M3:
    case ElementType::kE5M2: return 1;
  }
  return 0;
}

[[nodiscard]] constexpr const char* name_of(ElementType type) {
  switch (type) {
    case ElementType::kFp32: return "fp32";
    case ElementType::kBf16: return "bf16";
    case ElementType::kFp16: return "fp16";
    case ElementType::kE4M3: return "e4m3";
    case ElementType::kE5M2: return "e5m2";
  }
  return "?";
}

// Quantising a row x[0..D) to E4M3 with one fp32 scale (contracts, section 1):
//   scale = max(amax(|x|), 1e-4) / 448,   code = e4m3(x / scale)
// Both divisions are fp32 divisions, as the kernels do them.
constexpr float kQuantiseFloor = 1e-4f;
constexpr float kE4M3Max = 448.0f;

[[nodiscard]] ASSAY_HOST_DEVICE constexpr float e4m3_scale_of(float amax) {
  return (amax > kQuantiseFloor ? amax : kQuantiseFloor) / kE4M3Max;
}
[[nodiscard]] ASSAY_HOST_DEVICE constexpr E4M3::Code quantise_e4m3(float value, float scale) {
  return E4M3::encode(static_cast<double>(value / scale));
}

}  // namespace assay
