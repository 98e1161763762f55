// Failures say place, expected, got; a broken invariant says both values and ends the process.
#include "model/core/check.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Check, AnInputErrorNamesPlaceExpectedAndGot) {
  const InputError error("trace.jsonl:17:5", "a number", "'x'");
  EXPECT_STREQ(error.what(), "trace.jsonl:17:5: expected a number, got 'x'");
  EXPECT_EQ(error.place(), "trace.jsonl:17:5");
}

TEST(CheckDeathTest, ABrokenInvariantPrintsBothValuesAndAborts) {
  const int owners = 2;
  EXPECT_DEATH(ASSAY_CHECK_EQ(owners, 1), "owners == 1 \\(2 vs 1\\)");
}

TEST(CheckDeathTest, TheMessageOfACheckIsPrinted) {
  EXPECT_DEATH(ASSAY_CHECK(1 + 1 == 3, "arithmetic"), "1 \\+ 1 == 3 arithmetic");
}

TEST(Check, AHoldingInvariantCostsNothingVisible) {
  ASSAY_CHECK_LE(1, 1);
  ASSAY_CHECK(true);
}

}  // namespace
}  // namespace assay
