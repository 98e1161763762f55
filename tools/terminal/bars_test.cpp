// The small pictures: heights and widths are right to an eighth, ASCII where UTF-8 is not to be had.
#include "tools/terminal/bars.h"

#include <gtest/gtest.h>

#include <array>

namespace assay::tools {
namespace {

constexpr Terminal kUtf8{true, false};
constexpr Terminal kAscii{false, false};

TEST(Bars, AnythingAboveZeroIsVisibleAndZeroIsNot) {
  const std::array<double, 4> values{0, 0.001, 0.5, 1};
  EXPECT_EQ(sparkline(values, 1, kUtf8), " ▁▄█");
  EXPECT_EQ(sparkline(values, 1, kAscii), " _-#");
}

TEST(Bars, ABarIsExactToAnEighthOfAColumn) {
  EXPECT_EQ(bar(0.5, 4, kUtf8), "██");
  EXPECT_EQ(bar(1.0 / 32, 4, kUtf8), "▏");
  EXPECT_EQ(bar(2, 3, kUtf8), "███") << "more than all is all";
  EXPECT_EQ(bar(0.5, 4, kAscii), "##");
}

TEST(Bars, NothingIsColouredWithoutATerminal) {
  EXPECT_EQ(toned("x", Tone::kBad, kUtf8), "x");
  EXPECT_EQ(toned("x", Tone::kBad, {true, true}), "\x1b[31mx\x1b[0m");
}

}  // namespace
}  // namespace assay::tools
