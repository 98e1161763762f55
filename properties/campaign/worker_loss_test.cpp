// A kernel that ruins its process a thousand times costs its campaign these cases and nothing else.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "properties/campaign/campaign.h"

namespace assay::properties {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t kCases = 300, kLosses = 100;  // a process starts ten times slower
#else
constexpr std::int64_t kCases = 2600, kLosses = 1000;
#endif

CampaignOptions options_of(const char* kernel, std::int64_t cases, double timeout_seconds) {
  CampaignOptions options;
  options.command = {{ASSAY_WORKER, kernel}, timeout_seconds, 60};
  options.generator.operations = {Operation::kMqaLogits};
  options.generator.products = 20'000;
  options.seed = 3;
  options.cases = cases;
  options.workers = 2;
  options.shrink.tries = 0;
  return options;
}

bool is_loss(Status status) {
  return status == Status::kRuntimeError || status == Status::kTimeout || status == Status::kOobRead ||
         status == Status::kOobWrite || status == Status::kInputModified;
}

struct Losses {
  CampaignCounts counts;
  std::map<std::string, std::int64_t> kinds;  // how many of each kind
  std::string texts;
};

// Case after case in one worker; what was not lost must be what it is in a worker that never lost one.
Losses lose_one_by_one(const CampaignOptions& losing, const CampaignOptions& right) {
  WorkerProcess right_worker(right.command), losing_worker(losing.command);
  Losses losses;
  for (std::int64_t index = 0; index < losing.cases; ++index) {
    const KernelCase kernel_case = generate_case(losing.generator, losing.seed, index);
    const Outcome outcome = try_case(losing_worker, kernel_case);
    ++losses.counts.cases;
    losses.counts.passed += outcome.status == Status::kPassed;
    losses.counts.unsupported += outcome.status == Status::kUnsupported;
    losses.counts.elements += outcome.elements;
    losses.counts.relations += outcome.relation_checked;
    if (is_loss(outcome.status)) {
      ++losses.counts.failures;
      ++losses.kinds[kind_of(kernel_case, outcome)];
      losses.texts += outcome.text.substr(0, 200) + "\n";
      continue;
    }
    const Outcome alone = try_case(right_worker, kernel_case);
    EXPECT_STREQ(name_of(outcome.status), name_of(alone.status))
        << index << ": " << outcome.text << alone.text;
    EXPECT_EQ(outcome.digest, alone.digest) << index;
    EXPECT_EQ(outcome.headroom, alone.headroom) << index;
    EXPECT_EQ(outcome.elements, alone.elements) << index;
    EXPECT_EQ(outcome.relation_checked, alone.relation_checked) << index;
    if (testing::Test::HasFailure()) break;
  }
  losses.counts.worker_deaths = losing_worker.deaths();
  EXPECT_EQ(right_worker.deaths(), 0);
  return losses;
}

// The same cases over two processes, in another order, are the same campaign.
void expect_the_same(const CampaignResult& result, const Losses& losses) {
  EXPECT_EQ(result.counts.cases, losses.counts.cases);
  EXPECT_EQ(result.counts.passed, losses.counts.passed);
  EXPECT_EQ(result.counts.unsupported, losses.counts.unsupported);
  EXPECT_EQ(result.counts.failures, losses.counts.failures);
  EXPECT_EQ(result.counts.elements, losses.counts.elements);
  EXPECT_EQ(result.counts.relations, losses.counts.relations);
  EXPECT_EQ(result.failures.size(), losses.kinds.size());
  for (const auto& [kind, count] : losses.kinds) {
    ASSERT_EQ(result.failures.count(kind), 1u) << kind;
    EXPECT_EQ(result.failures.at(kind).count, count) << kind;
  }
}

TEST(WorkerLoss, AThousandRuinedProcessesLeaveAllOtherResultsAsTheyAre) {
  const CampaignOptions losing = options_of(LOSING_KERNEL, kCases, 10);
  const Losses losses = lose_one_by_one(losing, options_of(RIGHT_KERNEL, kCases, 10));
  EXPECT_GE(losses.counts.failures, kLosses);
  EXPECT_GE(losses.counts.worker_deaths, kLosses);
  EXPECT_GE(losses.counts.passed, kLosses / 2);
  for (const char* status : {"OOB_READ", "OOB_WRITE", "INPUT_MODIFIED", "RUNTIME_ERROR"})
    EXPECT_EQ(losses.kinds.count(std::string("mqa-logits ") + status), 1u) << status;
  for (const char* words :
       {"SIGSEGV in run()", "SIGABRT in run()", "SIGKILL in run()", "SIGILL in run()", "SIGFPE in run()",
        "exit(0) in run()", "exit(3) in run()", "the reply pipe is gone", "something that is no reply",
        "talks and talks", "far from every tensor", "that no process can have", "before "})
    EXPECT_NE(losses.texts.find(words), std::string::npos) << words;
  expect_the_same(run_campaign(losing), losses);
}

TEST(WorkerLoss, HangsLeaveAllOtherResultsAsTheyAre) {
  // A case that works takes milliseconds: three seconds are time enough on a busy machine.
  const CampaignOptions losing = options_of(HANGING_KERNEL, 64, 3);
  const Losses losses = lose_one_by_one(losing, options_of(RIGHT_KERNEL, 64, 10));
  ASSERT_EQ(losses.kinds.size(), 1u);
  EXPECT_GT(losses.kinds.at("mqa-logits TIMEOUT"), 0);
  EXPECT_NE(losses.texts.find("no answer from run() within 3 s"), std::string::npos) << losses.texts;
  EXPECT_GT(losses.counts.passed, 20);
  expect_the_same(run_campaign(losing), losses);
}

}  // namespace
}  // namespace assay::properties
