// Campaigns of worlds: healthy ones pass, the digest is the same for any number of threads, each planted fault
// is found and shrunk to a world of few requests, and a world survives its JSON.
#include "properties/world/world_campaign.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "properties/kernels/registry.h"

namespace assay::properties {
namespace {

WorldCampaignOptions campaign(std::uint64_t seed, std::int64_t cases, int threads = 2) {
  WorldCampaignOptions o;
  o.seed = seed;
  o.cases = cases;
  o.threads = threads;
  return o;
}

TEST(Worlds, HealthyWorldsShowNoWrongElementAndTheirDigestsAreTheRecordedOnes) {
  const std::pair<std::uint64_t, std::uint64_t> recorded[] = {
      {1, 271688974732874158u}, {2, 12290989926306671696u}, {3, 17786460766025774982u}};
  for (const auto& [seed, digest] : recorded) {
    const WorldCampaignResult r = run_world_campaign(campaign(seed, 30));
    EXPECT_EQ(r.cases, 30);
    EXPECT_EQ(r.failed, 0) << (r.findings.empty() ? "" : r.findings[0].text);
    EXPECT_EQ(r.digest, digest) << "seed " << seed;
    // The worlds are what they are meant to be: overloaded, sharing, refusing.
    EXPECT_GT(r.preemptions, 50);
    EXPECT_GT(r.rejected, 10);
    EXPECT_GT(r.hit_tokens, 1000);
    EXPECT_GT(r.judged_steps, 200);
    EXPECT_LT(r.worst_headroom, 1);
  }
}

TEST(Worlds, TheDigestIsTheSameForAnyNumberOfThreadsAndTwice) {
  const WorldCampaignResult one = run_world_campaign(campaign(7, 12, 1));
  WorldCampaignOptions many = campaign(7, 12, 4);
  many.twice = true;
  std::int64_t told = 0;
  const WorldCampaignResult four = run_world_campaign(many, [&](std::int64_t done) { told = done; });
  EXPECT_EQ(one.digest, four.digest);
  EXPECT_EQ(one.elements, four.elements);
  EXPECT_EQ(four.failed, 0);
  EXPECT_EQ(told, 12);
  EXPECT_NE(one.digest, run_world_campaign(campaign(8, 12, 1)).digest);
}

TEST(Worlds, ACampaignMayBeginAnywhereAndACaseIsItselfAgain) {
  WorldCampaignOptions late = campaign(7, 5, 1);
  late.first_case = 40;
  const World world = world_of(7, 42);
  const KernelSet kernels("twin");
  const WorldOutcome alone = live(world, *kernel_for(world, kernels, "twin"));
  late.first_case = 42;
  late.cases = 1;
  EXPECT_EQ(run_world_campaign(late).elements, alone.elements);
}

TEST(Worlds, AWorldSurvivesItsJson) {
  const KernelSet kernels("twin");
  for (std::int64_t index = 0; index < 12; ++index) {
    const World world = world_of(11, index);
    const auto* kernel = kernel_for(world, kernels, "twin");
    const nlohmann::ordered_json json = world_as_json(world);
    const World again = world_from_json(nlohmann::ordered_json::parse(json.dump()));
    EXPECT_EQ(world_as_json(again), json);
    EXPECT_EQ(live(again, *kernel).digest, live(world, *kernel).digest);
  }
}

TEST(Worlds, AWrongKeyOfTheJsonIsNamed) {
  const nlohmann::ordered_json good = world_as_json(world_of(11, 0));
  const auto place = [](const nlohmann::ordered_json& json) {
    try {
      (void)world_from_json(json);
    } catch (const InputError& error) {
      return error.place();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(place(good), "accepted");
  for (const auto& item : good.items()) {
    nlohmann::ordered_json bad = good;
    bad.erase(item.key());
    EXPECT_EQ(place(bad), "world." + item.key());
    bad[item.key()] = nlohmann::ordered_json::object();
    EXPECT_EQ(place(bad), "world." + item.key());
  }
  nlohmann::ordered_json bad = good;
  bad["blocks"] = 1;
  EXPECT_EQ(place(bad), "world.blocks");
  EXPECT_EQ(place(3), "world.schema");
}

class WorldCanary : public testing::TestWithParam<EngineFault> {};

TEST_P(WorldCanary, APlantedFaultIsFoundAsWrongDataAndShrunkToFewRequests) {
  WorldCampaignOptions o = campaign(1, 24);
  o.fault = GetParam();
  o.most_findings = 1;
  const WorldCampaignResult r = run_world_campaign(o);
  EXPECT_GT(r.failed, 5) << name_of(GetParam());
  ASSERT_EQ(r.findings.size(), 1u);
  const WorldFinding& finding = r.findings[0];
  // Attention does not see two blocks change places; the names do.
  const bool unseen = GetParam() == EngineFault::kBlocksSwapped && finding.shrunk.attention;
  EXPECT_EQ(finding.failure, unseen ? WorldFailure::kMisplacedUnseen : WorldFailure::kWrongData)
      << finding.text;
  EXPECT_LE(finding.shrunk.requests.size(), 3u) << world_as_json(finding.shrunk).dump();
  EXPECT_NE(finding.shrunk_text.find("the engine is at fault"), std::string::npos) << finding.shrunk_text;
  RecordProperty("shrunk", world_as_json(finding.shrunk).dump());
  // Without the fault the shrunk world is healthy: the fault is what failed.
  const KernelSet kernels("twin");
  EXPECT_EQ(live(finding.shrunk, *kernel_for(finding.shrunk, kernels, "twin")).failure, WorldFailure::kNone);
}

INSTANTIATE_TEST_SUITE_P(All, WorldCanary, testing::ValuesIn(kEngineFaults), [](const auto& tested) {
  std::string name = name_of(tested.param);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST(Worlds, NoStruckWorldEverLooksMisplacedWithoutAWrongOutputUnlessOnlyTheOrderIsWrong) {
  for (const EngineFault fault : kEngineFaults) {
    WorldCampaignOptions o = campaign(5, 14);
    o.fault = fault;
    o.most_findings = 100;
    o.shrink_lives = 0;
    for (const WorldFinding& finding : run_world_campaign(o).findings)
      EXPECT_TRUE(finding.failure != WorldFailure::kMisplacedUnseen ||
                  (fault == EngineFault::kBlocksSwapped && finding.shrunk.attention))
          << name_of(fault) << ", case " << finding.case_index << ": " << finding.text;
  }
}

TEST(Worlds, AnInterruptedCampaignIsPartialAndNamesWhatItDid) {
  std::atomic<bool> stop{false};
  WorldCampaignOptions o = campaign(1, 500);
  o.interrupted = &stop;
  const WorldCampaignResult r = run_world_campaign(o, [&](std::int64_t done) { stop = done >= 20; });
  EXPECT_TRUE(r.partial);
  EXPECT_LT(r.cases, 500);
  EXPECT_GE(r.cases, 1);
}

}  // namespace
}  // namespace assay::properties
