#include "tools/gate/findings.h"

#include <gtest/gtest.h>

namespace assay::tools::gate {
namespace {

Finding of(Outcome outcome, double severity = 0) {
  Finding finding;
  finding.check = "c";
  finding.outcome = outcome;
  finding.severity = severity;
  return finding;
}

TEST(Findings, TheExitCodeIsTheFirstOf65134) {
  EXPECT_EQ(exit_code_of({}), 0);
  EXPECT_EQ(exit_code_of({of(Outcome::kHeld), of(Outcome::kNotRun)}), 0);
  EXPECT_EQ(exit_code_of({of(Outcome::kUndecided), of(Outcome::kHeld)}), 4);
  EXPECT_EQ(exit_code_of({of(Outcome::kUndecided), of(Outcome::kRegression)}), 3);
  EXPECT_EQ(exit_code_of({of(Outcome::kWrong), of(Outcome::kRegression)}), 1);
  EXPECT_EQ(exit_code_of({of(Outcome::kWrong), of(Outcome::kBroken), of(Outcome::kUndecided)}), 5);
  EXPECT_EQ(exit_code_of({of(Outcome::kMutantLives), of(Outcome::kBroken)}), 6);
}

TEST(Findings, TheWorstComesFirst) {
  const std::vector<Finding> findings{of(Outcome::kHeld), of(Outcome::kRegression, 1.1), of(Outcome::kWrong),
                                      of(Outcome::kRegression, 3), of(Outcome::kNotRun)};
  const auto list = worst_first(findings);
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0], &findings[2]);
  EXPECT_EQ(list[1], &findings[3]);
  EXPECT_EQ(list[2], &findings[1]);
}

TEST(Findings, AFailureAndAnErrorAreCountedApart) {
  const Tally tally =
      tally_of({of(Outcome::kHeld), of(Outcome::kNotRun), of(Outcome::kUndecided), of(Outcome::kRegression),
                of(Outcome::kWrong), of(Outcome::kBroken), of(Outcome::kMutantLives)});
  EXPECT_EQ(tally.held, 1);
  EXPECT_EQ(tally.not_run, 1);
  EXPECT_EQ(tally.failed, 3);
  EXPECT_EQ(tally.errors, 2);
}

}  // namespace
}  // namespace assay::tools::gate
