#include "traces/numbers.h"

#include <limits>

namespace assay {
namespace {

[[nodiscard]] bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

// Appends one digit to the mantissa while it has room; behind that only remembers that there was more.
void take_digit(Decimal& out, int& significant, char c, bool fraction) {
  if (significant > 0 || c != '0') ++significant;
  if (significant <= 19) {
    out.mantissa = out.mantissa * 10 + static_cast<std::uint64_t>(c - '0');
    if (fraction) --out.exponent;
  } else {
    out.more_digits = out.more_digits || c != '0';
    if (!fraction) ++out.exponent;
  }
}

}  // namespace

const char* parse_decimal(const char* p, const char* end, Decimal& out, const char** stop) {
  const auto broken = [&](const char* at) -> const char* {
    if (stop != nullptr) *stop = at;
    return nullptr;
  };
  out = Decimal{};
  if (p < end && *p == '-') {
    out.negative = true;
    ++p;
  }
  if (p >= end || !is_digit(*p)) return broken(p);
  int significant = 0;
  const bool leading_zero = *p == '0';
  const char* first = p;
  for (; p < end && is_digit(*p); ++p) take_digit(out, significant, *p, false);
  if (leading_zero && p - first > 1) return broken(first + 1);
  if (p < end && *p == '.') {
    ++p;
    if (p >= end || !is_digit(*p)) return broken(p);
    for (; p < end && is_digit(*p); ++p) take_digit(out, significant, *p, true);
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    ++p;
    bool minus = false;
    if (p < end && (*p == '+' || *p == '-')) minus = *p++ == '-';
    if (p >= end || !is_digit(*p)) return broken(p);
    std::int32_t written = 0;
    // Saturates: no mantissa of a line we accept brings 10^100000000 back into range.
    for (; p < end && is_digit(*p); ++p)
      if (written < 100000000) written = written * 10 + (*p - '0');
    out.exponent += minus ? -written : written;
  }
  return p;
}

Scaled scale(const Decimal& decimal, std::int32_t unit, std::int64_t& out) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (decimal.mantissa == 0) {
    out = 0;
    return Scaled::kExact;
  }
  const std::int32_t exponent = decimal.exponent + unit;
  std::uint64_t magnitude = decimal.mantissa;
  bool rounded = decimal.more_digits;
  if (exponent >= 0) {
    if (exponent > 18) return Scaled::kOverflow;
    if (__builtin_mul_overflow(magnitude, kPowersOfTen[exponent], &magnitude)) return Scaled::kOverflow;
    // Digits were left out in front of the target's last place: 19 digits and more do not fit anyway.
  } else if (exponent < -19) {
    magnitude = 0;
    rounded = true;
  } else {
    const std::uint64_t divisor = kPowersOfTen[-exponent];
    const std::uint64_t rest = magnitude % divisor, half = divisor / 2;
    magnitude /= divisor;
    const bool above = rest > half || (rest == half && decimal.more_digits);
    const bool tie = rest == half && !decimal.more_digits;
    if (above || (tie && (magnitude & 1) != 0)) ++magnitude;
    rounded = rounded || rest != 0;
  }
  if (magnitude > kMax) return Scaled::kOverflow;
  out = decimal.negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
  return rounded ? Scaled::kRounded : Scaled::kExact;
}

}  // namespace assay
