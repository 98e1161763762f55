#include "properties/campaign/campaign.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace assay::properties {
namespace {

WorkerCommand worker_of(const std::string& kernel) { return {{ASSAY_WORKER, kernel}, 20, 60}; }

CampaignOptions options_of(const std::string& kernel, std::int64_t cases, int workers) {
  CampaignOptions options;
  options.command = worker_of(kernel);
  options.seed = 11;
  options.cases = cases;
  options.workers = workers;
  options.shrink.tries = 0;
  return options;
}

TEST(Campaign, GivesTheSameResultForAnyNumberOfWorkers) {
  const CampaignResult one = run_campaign(options_of("mutant:K12b", 400, 1));
  const CampaignResult three = run_campaign(options_of("mutant:K12b", 400, 3));
  EXPECT_EQ(one.counts.cases, 400);
  EXPECT_GT(one.counts.failures, 20);
  EXPECT_EQ(one.counts.digest, three.counts.digest);
  EXPECT_EQ(one.counts.failures, three.counts.failures);
  EXPECT_EQ(one.coverage.hit(), three.coverage.hit());
  ASSERT_EQ(one.failures.size(), three.failures.size());
  for (const auto& [kind, failure] : one.failures) {
    EXPECT_EQ(failure.index, three.failures.at(kind).index);
    EXPECT_EQ(failure.count, three.failures.at(kind).count);
    EXPECT_EQ(failure.outcome.text, three.failures.at(kind).outcome.text);
  }
}

TEST(Campaign, SharesTogetherTryWhatOneProcessTries) {
  const CampaignResult whole = run_campaign(options_of("twin", 500, 1));
  CampaignCounts sum;
  for (std::int64_t share = 0; share < 3; ++share) {
    CampaignOptions options = options_of("twin", 500, 1);
    options.share = share;
    options.shares = 3;
    const CampaignCounts part = run_campaign(options).counts;
    EXPECT_LT(part.cases, 500);
    sum.cases += part.cases;
    sum.digest += part.digest;
    sum.elements += part.elements;
  }
  EXPECT_EQ(sum.cases, 500);
  EXPECT_EQ(sum.digest, whole.counts.digest);
  EXPECT_EQ(sum.elements, whole.counts.elements);
}

// Canary: a digest that forgot the outcomes would be equal for every kernel.
TEST(Campaign, DigestTellsKernelsApart) {
  EXPECT_NE(run_campaign(options_of("mutant:none", 64, 1)).counts.digest,
            run_campaign(options_of("mutant:K16a", 64, 1)).counts.digest);
}

TEST(Campaign, WritesAFailureThatReadsBackAsTheSameVerdict) {
  const std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "assay-campaign";
  std::filesystem::remove_all(directory);
  CampaignOptions options = options_of("mutant:K5a", 64, 1);
  options.directory = directory.string();
  options.shrink.tries = 500;
  const CampaignResult result = run_campaign(options);
  ASSERT_FALSE(result.failures.empty());
  WorkerProcess worker(worker_of("mutant:K5a"));
  for (const auto& [kind, failure] : result.failures) {
    std::ifstream in(failure.file);
    const auto document = nlohmann::ordered_json::parse(in);
    const KernelCase kernel_case = case_from_json(document, failure.file);
    EXPECT_EQ(digest_of(kernel_case), digest_of(failure.shrunk));
    const Outcome outcome = try_case(worker, kernel_case);
    EXPECT_EQ(document.at("expected").at("status"), name_of(outcome.status)) << kind;
    EXPECT_EQ(document.at("expected").at("digest"), hex_of(outcome.digest)) << kind;
    EXPECT_LE(sequences_of(kernel_case), 2);
    EXPECT_LE(blocks_of(kernel_case), 3);
  }
  // Nothing in flight is left behind.
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    EXPECT_EQ(entry.path().filename().string().rfind("in-flight", 0), std::string::npos);
}

TEST(Campaign, ForgedReplyHangCrashAndExitAreClassifiedAndTheCampaignGoesOn) {
  const CampaignResult exits = run_campaign(options_of("mutant:K19e", 40, 1));
  EXPECT_EQ(exits.counts.cases, 40);
  ASSERT_TRUE(exits.failures.count("paged-mqa-logits RUNTIME_ERROR"));
  EXPECT_NE(exits.failures.at("paged-mqa-logits RUNTIME_ERROR").outcome.text.find("exit(0)"),
            std::string::npos);
  EXPECT_GE(exits.counts.worker_deaths, exits.counts.failures);
}

TEST(Campaign, RefusesAKernelThatDoesNotExist) {
  EXPECT_THROW((void)run_campaign(options_of("no-such-kernel", 10, 1)), InputError);
}

GeneratorOptions every_operation() {
  GeneratorOptions options;
  options.operations.assign(std::begin(kOperations), std::end(kOperations));
  return options;
}

RC_GTEST_PROP(Case, SurvivesItsOwnFile, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const auto index = *rc::gen::inRange<std::int64_t>(0, 100000);
  const KernelCase kernel_case = generate_case(every_operation(), seed, index);
  const std::string text = to_json(kernel_case).dump();
  const KernelCase again = case_from_json(nlohmann::ordered_json::parse(text), "case");
  RC_ASSERT(to_json(again).dump() == text);
  RC_ASSERT(features_of(again) == features_of(kernel_case));
}

RC_GTEST_PROP(SimplerCases, AreValidOtherAndNeverLonger, ()) {
  const KernelCase kernel_case = generate_case(every_operation(), *rc::gen::arbitrary<std::uint64_t>(),
                                               *rc::gen::inRange<std::int64_t>(0, 1000));
  for (const KernelCase& simpler : simpler_cases(kernel_case)) {
    validate(simpler, "simpler");
    RC_ASSERT(digest_of(simpler) != digest_of(kernel_case));
    RC_ASSERT(sequences_of(simpler) <= sequences_of(kernel_case));
  }
}

}  // namespace
}  // namespace assay::properties
