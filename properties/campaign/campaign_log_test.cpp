// A campaign that is killed and resumed is the campaign that never was.
#include "properties/campaign/campaign_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "model/core/check.h"

namespace assay::properties {
namespace {
namespace fs = std::filesystem;

constexpr std::int64_t kCases = 700;  // more than any machine tries before the first look at the progress

CampaignOptions options_in(const fs::path& directory) {
  CampaignOptions options;
  options.command = {{ASSAY_WORKER, "mutant:K12b"}, 20, 60};
  options.seed = 11;
  options.cases = kCases;
  options.workers = 2;
  options.shrink.tries = 20;
  options.directory = directory.string();
  return options;
}

fs::path fresh_directory(const std::string& name) {
  const fs::path directory = fs::path(testing::TempDir()) / name;
  fs::remove_all(directory);
  return directory;
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The campaign stopped by its user after about `cases` cases.
CampaignResult interrupted_after(const CampaignOptions& options, std::int64_t cases) {
  return run_campaign(options, [&](const CampaignCounts& counts, const Coverage&, std::int64_t) {
    return counts.cases < cases;
  });
}

const CampaignResult& undisturbed() {
  static const CampaignResult result = run_campaign(options_in(fresh_directory("assay-whole")));
  return result;
}

void expect_same(const CampaignResult& a, const CampaignResult& b) {
  EXPECT_EQ(a.counts.cases, b.counts.cases);
  EXPECT_EQ(a.counts.passed, b.counts.passed);
  EXPECT_EQ(a.counts.failures, b.counts.failures);
  EXPECT_EQ(a.counts.elements, b.counts.elements);
  EXPECT_EQ(a.counts.digest, b.counts.digest);
  EXPECT_EQ(a.counts.worst_headroom, b.counts.worst_headroom);
  EXPECT_EQ(a.counts.lane_headroom, b.counts.lane_headroom);
  EXPECT_EQ(a.counts.relation_checks, b.counts.relation_checks);
  EXPECT_EQ(a.coverage.cells(), b.coverage.cells());
  ASSERT_EQ(a.failures.size(), b.failures.size());
  for (const auto& [kind, failure] : a.failures) {
    ASSERT_EQ(b.failures.count(kind), 1u) << kind;
    const Failure& other = b.failures.at(kind);
    EXPECT_EQ(failure.index, other.index);
    EXPECT_EQ(failure.count, other.count);
    EXPECT_EQ(failure.outcome.digest, other.outcome.digest);
    EXPECT_EQ(failure.outcome.text, other.outcome.text);
  }
}

TEST(CampaignLog, WhatItHoldsAtAnyLineLeadsToTheSameEnd) {
  const CampaignResult& whole = undisturbed();
  EXPECT_GT(whole.counts.failures, 20);
  const fs::path directory = fresh_directory("assay-log");
  CampaignOptions options = options_in(directory);
  // Interrupted before its end, so that the log stays.
  (void)interrupted_after(options, 1);
  const fs::path log = directory / "campaign.jsonl";
  ASSERT_TRUE(fs::exists(log));
  options.resume = true;
  const CampaignResult resumed = run_campaign(options);
  expect_same(whole, resumed);
  EXPECT_FALSE(fs::exists(log)) << "a campaign that came to its end needs no log";
}

TEST(CampaignLog, ATornLineIsDroppedAndItsChunkTriedAgain) {
  const CampaignResult& whole = undisturbed();
  const fs::path directory = fresh_directory("assay-torn");
  const fs::path log = directory / "campaign.jsonl";
  fs::create_directories(directory);
  CampaignOptions options = options_in(directory);
  {
    CampaignLog by_hand(options, false);
    ChunkResult chunk;  // claims that would be believed: a canary below looks whether they are
    chunk.chunk = 3;
    chunk.counts.cases = 1000;
    by_hand.add(chunk);
  }
  options.resume = true;
  EXPECT_EQ(run_campaign(options).counts.cases, kCases - 32 + 1000) << "a whole line is taken at its word";
  {
    CampaignOptions fresh = options;
    fresh.resume = false;
    CampaignLog by_hand(fresh, false);
    ChunkResult chunk;
    chunk.chunk = 3;
    chunk.counts.cases = 1000;
    by_hand.add(chunk);
  }
  fs::resize_file(log, fs::file_size(log) - 1);
  expect_same(whole, run_campaign(options));
}

TEST(CampaignLog, OfAnotherPlanIsRefused) {
  const fs::path directory = fresh_directory("assay-plan");
  fs::create_directories(directory);
  CampaignOptions options = options_in(directory);
  { const CampaignLog log(options, false); }
  options.resume = true;
  EXPECT_NO_THROW((void)CampaignLog(options, true));
  const auto refused = [&](const CampaignOptions& other, const std::string& key) {
    try {
      (void)CampaignLog(other, true);
      ADD_FAILURE() << key;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(", " + key), std::string::npos) << error.what();
    }
  };
  CampaignOptions other = options;
  other.seed = 12;
  refused(other, "seed");
  other = options;
  other.cases = 500;
  refused(other, "cases");
  other = options;
  other.command.arguments.back() = "twin";
  refused(other, "kernel");
  other = options;
  other.directory = fresh_directory("assay-nothing").string();
  EXPECT_THROW((void)run_campaign(other), InputError);
  EXPECT_FALSE(fs::exists(other.directory)) << "a directory was made for a campaign that cannot go on";
}

TEST(CampaignLog, HoldsFailuresWithTheirCases) {
  const fs::path directory = fresh_directory("assay-kept");
  CampaignOptions options = options_in(directory);
  (void)interrupted_after(options, 1);
  const std::size_t lines = lines_of(directory / "campaign.jsonl").size();
  ASSERT_GT(lines, 1u);
  options.resume = true;
  const CampaignLog log(options, true);
  EXPECT_EQ(log.finished().size(), lines - 1);
  std::int64_t failures = 0;
  for (const ChunkResult& chunk : log.finished())
    for (const auto& [kind, failure] : chunk.failures) {
      failures += failure.count;
      EXPECT_EQ(digest_of(failure.found),
                digest_of(generate_case(options.generator, options.seed, failure.index)));
    }
  EXPECT_GT(failures, 0);
}

}  // namespace
}  // namespace assay::properties
