#include "properties/engine/trial.h"

#include <gtest/gtest.h>

#include "properties/generators/features.h"
#include "properties/generators/generator.h"

namespace assay::properties {
namespace {

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

class CorrectKernels : public testing::TestWithParam<const char*> {};

TEST_P(CorrectKernels, AreNeverAccused) {
  WorkerProcess worker(worker_of(GetParam()));
  Coverage coverage;
  std::int64_t passed = 0, elements = 0, twin_elements = 0, related = 0;
  for (std::int64_t index = 0; index < 300; ++index) {
    const KernelCase kernel_case = generate_case({}, 7, index);
    coverage.add(kernel_case);
    const Outcome outcome = try_case(worker, kernel_case);
    ASSERT_FALSE(is_failure(outcome.status)) << index << ": " << summary_of(kernel_case) << ": "
                                             << name_of(outcome.status) << ": " << outcome.text;
    passed += outcome.status == Status::kPassed;
    elements += outcome.elements;
    twin_elements += outcome.twin_elements;
    related += outcome.relation_checked;
  }
  EXPECT_EQ(worker.deaths(), 0);
  EXPECT_GT(passed, 180);
  EXPECT_GT(elements, 50000);
  EXPECT_GT(related, 40);
  EXPECT_EQ(twin_elements > 0, std::string(GetParam()) == "twin");
}
INSTANTIATE_TEST_SUITE_P(BuiltIn, CorrectKernels, testing::Values("twin", "golden-rounded", "naive"));

}  // namespace
}  // namespace assay::properties
