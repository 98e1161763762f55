// Digits, decimals and dates against the C library and long-hand arithmetic.
#include "traces/numbers.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "traces/dates.h"
#include "traces/fault.h"
#include "traces/random_shapes.h"
#include "traces/sha256.h"
#include "traces/write.h"

namespace assay {
namespace {

std::string padded(const std::string& text) { return text + std::string(kLinePadding, '\n'); }

TEST(Numbers, EightBytesAreReadForEveryLengthAndEveryByteBehind) {
  for (int count = 0; count <= 8; ++count)
    for (int behind = 0; behind < 256; ++behind) {
      if (behind >= '0' && behind <= '9') continue;
      std::string text = std::string("98765432").substr(0, static_cast<std::size_t>(count));
      const auto value = text.empty() ? 0u : static_cast<std::uint32_t>(std::stoul(text));
      text += static_cast<char>(behind);
      // What follows must not matter: neither digits nor bytes that borrow.
      for (const char* rest : {"12345678", "\xff\xff\xff\xff\xff\xff\xff\xff", "////////", "::::::::"}) {
        const std::string bytes = padded(text + rest);
        const DigitRun run = scan_eight(bytes.data());
        ASSERT_EQ(run.count, count) << behind;
        ASSERT_EQ(run.value, value);
      }
    }
}

TEST(Numbers, LongRunsAreExactUpToSixteenDigits) {
  Draws draws(RandomStream(1, "digits"));
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t value = draws.u64() >> draws.below(64);
    const std::string text = std::to_string(value);
    const std::string bytes = padded(text);
    const LongRun run = scan_digits(bytes.data());
    if (text.size() <= 16) {
      ASSERT_EQ(run.count, static_cast<int>(text.size()));
      ASSERT_EQ(run.value, value);
    } else {
      ASSERT_EQ(run.count, 17);
    }
  }
}

Scaled scaled(const std::string& text, int unit, std::int64_t& out) {
  Decimal decimal;
  const std::string bytes = padded(text);
  EXPECT_EQ(parse_decimal(bytes.data(), bytes.data() + text.size(), decimal), bytes.data() + text.size())
      << text;
  return scale(decimal, unit, out);
}

TEST(Numbers, DecimalsAreScaledExactlyRoundedToEvenAndRefusedPastInt64) {
  const struct {
    const char* text;
    int unit;
    Scaled result;
    std::int64_t value;
  } cases[] = {
      {"0", 9, Scaled::kExact, 0},
      {"-0", 9, Scaled::kExact, 0},
      {"61.114", 9, Scaled::kExact, 61114000000},
      {"0.1", 9, Scaled::kExact, 100000000},
      {"-1.5", 6, Scaled::kExact, -1500000},
      {"1e-9", 9, Scaled::kExact, 1},
      {"5e-10", 9, Scaled::kRounded, 0},
      {"15e-10", 9, Scaled::kRounded, 2},
      {"25e-10", 9, Scaled::kRounded, 2},
      {"2500000000000000000001e-30", 9, Scaled::kRounded, 3},
      {"1e-400", 9, Scaled::kRounded, 0},
      {"0e999999999999", 9, Scaled::kExact, 0},
      {"1e999999999999", 9, Scaled::kOverflow, 0},
      {"9223372036854775807", 0, Scaled::kExact, INT64_MAX},
      {"-9223372036854775807", 0, Scaled::kExact, -INT64_MAX},
      {"9223372036854775808", 0, Scaled::kOverflow, 0},
      {"99999999999999999999", 0, Scaled::kOverflow, 0},
      {"9223372036.854775807", 9, Scaled::kExact, INT64_MAX},
      {"9223372036.854775808", 9, Scaled::kOverflow, 0},
      {"0.00000000000000000000000000001e29", 0, Scaled::kExact, 1},
      {"100000000000000000000000e-23", 0, Scaled::kExact, 1},
      {"1.5", 0, Scaled::kRounded, 2},
  };
  for (const auto& c : cases) {
    std::int64_t value = 0;
    EXPECT_EQ(scaled(c.text, c.unit, value), c.result) << c.text;
    if (c.result == Scaled::kOverflow) continue;
    EXPECT_EQ(value, c.value) << c.text;
  }
  for (const char* text :
       {"", "-", "+1", "01", ".5", "1.", "1e", "1e+", "--1", "1.e5", "x", "0x1", "1_0", "nan"}) {
    Decimal decimal;
    const std::string bytes = padded(text);
    const char* end = bytes.data() + std::string(text).size();
    EXPECT_NE(parse_decimal(bytes.data(), end, decimal), end) << text;
  }
}

TEST(Numbers, WhatIsWrittenAsADecimalIsReadBackAsTheSameNumber) {
  Draws draws(RandomStream(2, "decimals"));
  for (int i = 0; i < 20000; ++i) {
    auto value = static_cast<std::int64_t>(draws.u64() >> draws.below(63));
    if (value == INT64_MIN) continue;
    if (draws.below(4) == 0) value = value / 1000000 * 1000000;
    for (const int unit : {0, 3, 6, 9}) {
      std::string text;
      append_scaled(value, unit, text);
      std::int64_t back = 0;
      ASSERT_EQ(scaled(text, unit, back), Scaled::kExact) << text;
      ASSERT_EQ(back, value) << text;
    }
  }
}

TEST(Dates, AgreeWithTheCLibraryOnEveryDay) {
  DateCache cache;
  for (std::int64_t day = -106000; day <= 106000; day += 7) {  // 1679..2260
    const std::time_t seconds = day * 86400 + (day * day) % 86400;
    std::tm civil{};
    gmtime_r(&seconds, &civil);
    char text[40];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &civil);
    std::int64_t rest = 0;
    EXPECT_EQ(format_date(seconds * 1000000000 + 123456789, 7, rest), std::string(text) + ".1234567");
    EXPECT_EQ(rest, 89);
    const std::string bytes = padded(std::string(text) + ".123456789");
    std::int64_t ns = 0;
    ASSERT_EQ(parse_date(bytes.data(), bytes.data() + 29, cache, ns), DateResult::kExact) << text;
    ASSERT_EQ(ns, seconds * 1000000000 + 123456789) << text;
  }
}

TEST(Sha256, GivesThePublishedDigests) {
  const auto digest = [](const std::string& text, std::size_t piece) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece)
      hash.update(text.data() + at, std::min(piece, text.size() - at));
    return hash.finish();
  };
  EXPECT_EQ(digest("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc", 1), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 13),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1000000, 'a'), 997),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace assay
