// Random shapes without libm: integers in, integers out, so that a seed means the same trace on every
// machine. Exponential gaps by a fixed-point logarithm, lengths by piecewise linear quantile tables.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "model/core/philox.h"

namespace assay {

// -ln(u) in units of 2^-32 for a uniform u in (0, 1] given as (bits + 1) / 2^64, within 2^-23 relative.
//
// log2 of the leading 31 bits, one binary digit per squaring: m in [1, 2) becomes m^2 in [1, 4), and the
// digit is whether that reached 2. Only integer multiplications.
[[nodiscard]] constexpr std::uint64_t exponential_q32(std::uint64_t bits) {
  if (bits == 0) bits = 1;
  const int zeros = std::countl_zero(bits);
  std::uint64_t m = bits << zeros >> 33;  // [2^30, 2^31) stands for [1, 2)
  std::uint64_t fraction = 0;             // of log2(m), 26 digits
  for (int digit = 0; digit < 26; ++digit) {
    m = m * m >> 30;
    fraction <<= 1;
    if (m >= std::uint64_t{1} << 31) {
      m >>= 1;
      fraction |= 1;
    }
  }
  // -log2(u) = zeros + 1 - log2(m), then times ln 2 = 2977044472 / 2^32.
  const std::uint64_t log2_q26 = (static_cast<std::uint64_t>(zeros + 1) << 26) - fraction;
  return log2_q26 * 2977044472ull >> 26;
}

// mean * -ln(u), rounded down; mean below 2^62. Split so that no product passes 64 bits.
[[nodiscard]] constexpr std::int64_t exponential(std::uint64_t bits, std::int64_t mean) {
  const std::uint64_t e = exponential_q32(bits), m = static_cast<std::uint64_t>(mean);
  const std::uint64_t high = m >> 32, low = m & 0xffffffffu;
  // e < 64 * 2^32: high * e < 2^62 * 64 / 2^32 ... stays below 2^63 for means up to 2^57 (4.5 years in ns).
  return static_cast<std::int64_t>(high * e + ((low * (e >> 32)) + (low * (e & 0xffffffffu) >> 32)));
}

// Values at fixed quantiles, straight lines in between.
struct QuantileTable {
  static constexpr std::array<std::int64_t, 11> kPerMille = {0,   50,  100, 250, 500, 750,
                                                             900, 950, 990, 999, 1000};
  std::array<std::int64_t, 11> value;

  // u is uniform over 32 bits.
  [[nodiscard]] constexpr std::int64_t at(std::uint32_t u) const {
    const std::int64_t x = static_cast<std::int64_t>(u) * 1000;  // in units of 2^-32 per mille
    std::size_t i = 1;
    while (i + 1 < kPerMille.size() && x >= kPerMille[i] << 32) ++i;
    const std::int64_t begin = kPerMille[i - 1] << 32, width = (kPerMille[i] - kPerMille[i - 1]) << 32;
    const std::int64_t rise = value[i] - value[i - 1];
    return value[i - 1] + rise * ((x - begin) >> 16) / (width >> 16);
  }
  // Of the continuous distribution, times 1000.
  [[nodiscard]] constexpr std::int64_t mean_times_1000() const {
    std::int64_t twice = 0;
    for (std::size_t i = 1; i < value.size(); ++i)
      twice += (kPerMille[i] - kPerMille[i - 1]) * (value[i] + value[i - 1]);
    return twice / 2;
  }
};

// A stream of draws in order, below one stream of a seed.
class Draws {
 public:
  constexpr explicit Draws(RandomStream stream) : stream_(stream) {}
  [[nodiscard]] constexpr std::uint64_t u64() { return stream_.u64(next_++); }
  [[nodiscard]] constexpr std::uint32_t u32() { return static_cast<std::uint32_t>(u64() >> 32); }
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t bound) { return stream_.below(next_++, bound); }
  // True with probability per_million / 10^6.
  [[nodiscard]] constexpr bool chance(std::int64_t per_million) {
    return below(1000000) < static_cast<std::uint64_t>(per_million);
  }
  [[nodiscard]] constexpr std::int64_t exponential(std::int64_t mean) {
    return assay::exponential(u64(), mean);
  }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

}  // namespace assay
