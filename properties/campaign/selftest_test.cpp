#include "properties/campaign/selftest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace assay::properties {
namespace {

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

// One test for each operation: sanitized, all of them together take minutes.
class Mutants : public testing::TestWithParam<std::pair<Operation, std::size_t>> {};

TEST_P(Mutants, AreKilledSoonAndSmallByTheirOracles) {
  const auto& [operation, at_least] = GetParam();
  SelftestOptions options;
  options.worker = worker_of;
  options.workers = 2;
  for (const KernelMutant& mutant : kernel_mutants())
    if (static_cast<Operation>(mutant.kernel.op) == operation) options.only.emplace_back(mutant.name);
  const std::vector<MutantVerdict> verdicts = run_selftest(options);
  ASSERT_GE(verdicts.size(), at_least);
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
INSTANTIATE_TEST_SUITE_P(Selftest, Mutants,
                         testing::Values(std::pair{Operation::kPagedMqaLogits, std::size_t{45}},
                                         std::pair{Operation::kMqaLogits, std::size_t{6}},
                                         std::pair{Operation::kScheduleMetadata, std::size_t{5}},
                                         std::pair{Operation::kPagedAttention, std::size_t{39}},
                                         std::pair{Operation::kMerge, std::size_t{15}},
                                         std::pair{Operation::kCacheWrite, std::size_t{26}}),
                         [](const auto& of) {
                           std::string name = name_of(of.param.first);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

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
