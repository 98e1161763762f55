#include "properties/campaign/selftest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace assay::properties {
namespace {

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

TEST(Selftest, EveryMutantIsKilledSoonAndSmallByItsOracle) {
  SelftestOptions options;
  options.worker = worker_of;
  options.workers = 2;
  const std::vector<MutantVerdict> verdicts = run_selftest(options);
  ASSERT_GE(verdicts.size(), 140u);
  std::vector<std::int64_t> cases, sequences, blocks;
  for (const MutantVerdict& verdict : verdicts) {
    EXPECT_TRUE(verdict.killed) << verdict.name << " (" << verdict.fault << "): " << verdict.status << " "
                                << verdict.text;
    EXPECT_GT(verdict.witness + (verdict.status == "RUNTIME_ERROR"), 0)
        << verdict.name << " was never reached";
    cases.push_back(verdict.cases);
    sequences.push_back(verdict.sequences);
    blocks.push_back(verdict.blocks);
  }
  const auto median = [](std::vector<std::int64_t>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  EXPECT_LT(median(cases), 200);
  EXPECT_LE(median(sequences), 2);
  EXPECT_LE(median(blocks), 3);
}

TEST(Selftest, NoCheckOfTheTrialCanBeLeftOutUnnoticed) {
  SelftestOptions options;
  options.worker = worker_of;
  for (const CheckVerdict& verdict : run_check_selftest(options))
    EXPECT_TRUE(verdict.detected) << name_of(verdict.check) << ": " << verdict.mutant << " killed in "
                                  << verdict.killed_with << " cases with it, " << verdict.killed_without
                                  << " without";
}

}  // namespace
}  // namespace assay::properties
