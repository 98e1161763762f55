// Numbers as trace files spell them, exactly: no double in between, nothing rounded unseen.
//
//   digits    eight at a time: load 8 bytes, find the first non-digit, shift the digits to the top of the
//             word (zeros come in below, as leading zeros) and fold pairs, fours, eight (SWAR)
//   Decimal   -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?   the JSON grammar, kept as mantissa * 10^exponent
//   scaled    mantissa * 10^(exponent + unit) as int64, rounded half to even; overflow is an outcome
//
// Every function may read kLinePadding bytes past the number.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace assay {

static_assert(std::endian::native == std::endian::little, "the digit scanner loads little-endian words");

// How many of the eight bytes at `p` are leading digits, and their value.
struct DigitRun {
  std::uint32_t value;
  int count;  // 0..8
};

[[nodiscard]] inline DigitRun scan_eight(const char* p) {
  std::uint64_t word;
  std::memcpy(&word, p, 8);
  // A byte b is a digit iff b - '0' and b + 0x46 both keep bit 7 clear. The subtraction may borrow from a
  // byte above the first non-digit only, so the lowest set flag is right.
  const std::uint64_t flags =
      ((word + 0x4646464646464646ull) | (word - 0x3030303030303030ull)) & 0x8080808080808080ull;
  const int count = flags == 0 ? 8 : std::countr_zero(flags) >> 3;
  if (count == 0) return {0, 0};
  word = (word & 0x0f0f0f0f0f0f0f0full) << (64 - 8 * count);
  word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ffull;
  word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffffull;
  word = word * 10000 + (word >> 32);
  return {static_cast<std::uint32_t>(word), count};
}

inline constexpr std::uint64_t kPowersOfTen[20] = {1ull,
                                                   10ull,
                                                   100ull,
                                                   1000ull,
                                                   10000ull,
                                                   100000ull,
                                                   1000000ull,
                                                   10000000ull,
                                                   100000000ull,
                                                   1000000000ull,
                                                   10000000000ull,
                                                   100000000000ull,
                                                   1000000000000ull,
                                                   10000000000000ull,
                                                   100000000000000ull,
                                                   1000000000000000ull,
                                                   10000000000000000ull,
                                                   100000000000000000ull,
                                                   1000000000000000000ull,
                                                   10000000000000000000ull};

// A run of up to 16 digits; count 17 means "longer, take the slow way".
struct LongRun {
  std::uint64_t value;
  int count;
};

[[nodiscard]] inline LongRun scan_digits(const char* p) {
  const DigitRun low = scan_eight(p);
  if (low.count < 8) return {low.value, low.count};
  const DigitRun next = scan_eight(p + 8);
  if (next.count == 8 && static_cast<unsigned char>(p[16] - '0') < 10) return {0, 17};
  return {low.value * kPowersOfTen[next.count] + next.value, 8 + next.count};
}

struct Decimal {
  std::uint64_t mantissa = 0;  // the first 19 significant digits
  std::int32_t exponent = 0;   // value = mantissa * 10^exponent, plus less than one unit if more_digits
  bool negative = false;
  bool more_digits = false;  // a nonzero digit behind the 19th was left out
};

// Parses a decimal in [p, end). Returns the first byte behind it, or nullptr when the grammar is broken;
// then `stop` (if given) is where.
const char* parse_decimal(const char* p, const char* end, Decimal& out, const char** stop = nullptr);

enum class Scaled : std::uint8_t { kExact, kRounded, kOverflow };

// decimal * 10^unit as an integer; kOverflow leaves `out` alone.
[[nodiscard]] Scaled scale(const Decimal& decimal, std::int32_t unit, std::int64_t& out);

}  // namespace assay
