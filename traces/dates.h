// Dates as the Azure traces write them: "2023-11-16 18:17:03.9799600", "2024-05-12 00:00:00+00:00", also
// with "T", "Z" and offsets like +0530. To nanoseconds since 1970-01-01 UTC, and back. No time zone data, no
// leap seconds, the Gregorian calendar for every year 0001..9999.
#pragma once

#include <cstdint>
#include <string>

namespace assay {

// Days since 1970-01-01 of a civil date (proleptic Gregorian).
[[nodiscard]] constexpr std::int64_t days_from_civil(std::int64_t year, std::int64_t month,
                                                     std::int64_t day) {
  // Years counted from March, so that the leap day is the last: month lengths become one linear formula.
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const std::int64_t year_of_era = y - era * 400;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}
static_assert(days_from_civil(1970, 1, 1) == 0);
static_assert(days_from_civil(2000, 3, 1) == 11017);

// The last date part seen; rows of a trace repeat it.
struct DateCache {
  char day[10] = {};        // "YYYY-MM-DD"
  std::int64_t day_ns = 0;  // its midnight
};

enum class DateResult : std::uint8_t { kExact, kRounded, kBroken, kOverflow };

// Parses [p, end) whole. Reads up to 24 bytes from `p` whatever `end` (kLinePadding).
[[nodiscard]] DateResult parse_date(const char* p, const char* end, DateCache& cache, std::int64_t& out_ns);

// "YYYY-MM-DD HH:MM:SS" and `digits` (0..9) digits of fraction, cut off; `rest_ns` gets what was cut.
[[nodiscard]] std::string format_date(std::int64_t ns, int digits, std::int64_t& rest_ns);

}  // namespace assay
