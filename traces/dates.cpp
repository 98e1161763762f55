#include "traces/dates.h"

#include <cstring>

#include "traces/numbers.h"

namespace assay {
namespace {

constexpr std::int64_t kSecond = 1000000000, kDay = 86400 * kSecond;

[[nodiscard]] int two(const char* p) {
  const auto a = static_cast<unsigned char>(p[0] - '0'), b = static_cast<unsigned char>(p[1] - '0');
  return a < 10 && b < 10 ? a * 10 + b : -1;
}

[[nodiscard]] bool parse_day(const char* p, std::int64_t& day_ns) {
  constexpr int kDays[13] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int century = two(p), in_century = two(p + 2), month = two(p + 5), day = two(p + 8);
  if (century < 0 || in_century < 0 || p[4] != '-' || p[7] != '-' || month < 1 || month > 12) return false;
  const int year = century * 100 + in_century;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (year < 1 || day < 1 || day > kDays[month] || (month == 2 && day == 29 && !leap)) return false;
  // Years outside 1678..2262 overflow nanoseconds; the caller checks.
  return !__builtin_mul_overflow(days_from_civil(year, month, day), kDay, &day_ns);
}

}  // namespace

DateResult parse_date(const char* p, const char* end, DateCache& cache, std::int64_t& out_ns) {
  if (end - p < 19) return DateResult::kBroken;
  if (std::memcmp(p, cache.day, 10) != 0) {
    std::int64_t day_ns = 0;
    if (!parse_day(p, day_ns)) {
      const bool shaped = p[4] == '-' && p[7] == '-' && two(p) >= 0 && (two(p) < 17 || two(p) > 22);
      return shaped ? DateResult::kOverflow : DateResult::kBroken;
    }
    std::memcpy(cache.day, p, 10);
    cache.day_ns = day_ns;
  }
  const int hour = two(p + 11), minute = two(p + 14), second = two(p + 17);
  if ((p[10] != ' ' && p[10] != 'T') || p[13] != ':' || p[16] != ':') return DateResult::kBroken;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
    return DateResult::kBroken;
  std::int64_t within = ((hour * 60 + minute) * 60 + second) * kSecond;
  p += 19;
  bool rounded = false;
  if (p < end && *p == '.') {
    ++p;
    const LongRun run = scan_digits(p);
    int count = run.count;
    if (count >= 1 && count <= 9) {
      within += static_cast<std::int64_t>(run.value * kPowersOfTen[9 - count]);
    } else if (count == 0) {
      return DateResult::kBroken;
    } else {
      count = 0;
      std::int64_t fraction = 0;
      for (; static_cast<unsigned char>(p[count] - '0') < 10 && p + count < end; ++count) {
        if (count < 9) fraction = fraction * 10 + (p[count] - '0');
        if (count == 9 && p[count] >= '5') ++fraction;
        rounded = rounded || (count >= 9 && p[count] != '0');
      }
      within += fraction;
    }
    p += count;
  }
  if (p < end && *p == 'Z') {
    ++p;
  } else if (p < end && (*p == '+' || *p == '-')) {
    const bool minus = *p == '-';
    const bool colon = end - p >= 6 && p[3] == ':';
    if (end - p < (colon ? 6 : 5)) return DateResult::kBroken;
    const int hours = two(p + 1), minutes = two(p + (colon ? 4 : 3));
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return DateResult::kBroken;
    const std::int64_t offset = (hours * 60 + minutes) * 60 * kSecond;
    within += minus ? offset : -offset;
    p += colon ? 6 : 5;
  }
  if (p != end) return DateResult::kBroken;
  if (__builtin_add_overflow(cache.day_ns, within, &out_ns)) return DateResult::kOverflow;
  return rounded ? DateResult::kRounded : DateResult::kExact;
}

std::string format_date(std::int64_t ns, int digits, std::int64_t& rest_ns) {
  std::int64_t days = ns / kDay, within = ns % kDay;
  if (within < 0) {
    within += kDay;
    --days;
  }
  // The inverse of days_from_civil: split 400-year eras, then years that begin in March.
  const std::int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
  const std::int64_t day_of_era = z - era * 146097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  const std::int64_t day = day_of_year - (153 * shifted + 2) / 5 + 1;
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);

  std::string out = "0000-00-00 00:00:00";
  const auto put = [&](std::size_t at, std::int64_t value, int width) {
    for (int i = width - 1; i >= 0; --i, value /= 10)
      out[at + static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
  };
  const std::int64_t seconds = within / kSecond;
  put(0, year, 4);
  put(5, month, 2);
  put(8, day, 2);
  put(11, seconds / 3600, 2);
  put(14, seconds / 60 % 60, 2);
  put(17, seconds % 60, 2);
  std::int64_t fraction = within % kSecond;
  const auto unit = static_cast<std::int64_t>(kPowersOfTen[9 - digits]);
  rest_ns = fraction % unit;
  if (digits > 0) {
    out += '.';
    out.append(static_cast<std::size_t>(digits), '0');
    put(20, fraction / unit, digits);
  }
  return out;
}

}  // namespace assay
