#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rapidcheck/state.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/core/check.h"
#include "properties/allocator/allocator_campaign.h"
#include "properties/allocator/allocator_mutants.h"
#include "properties/allocator/plain_allocator.h"
#include "properties/allocator/pool_allocator.h"

namespace assay::properties {
namespace {

bool lists(const std::string& words, const std::string& word) {
  std::istringstream in(words);
  for (std::string one; in >> one;)
    if (one == word) return true;
  return false;
}

TEST(Allocator, ThePoolOfTheSimulatorBreaksNoRuleInTwentyThousandLives) {
  const AllocatorCampaign campaign = run_allocator_campaign({.cases = 20000, .threads = 2});
  EXPECT_EQ(campaign.cases, 20000);
  EXPECT_GT(campaign.events, 300000);
  for (const auto& [oracle, finding] : campaign.findings)
    ADD_FAILURE() << oracle << " in life " << finding.index << ": " << finding.breach.text;
}

TEST(AllocatorCampaign, IsTheSameForAnyNumberOfThreads) {
  const AllocatorCampaign one =
      run_allocator_campaign({.allocator = "S4a", .cases = 1000, .threads = 1, .shrink_tries = 50});
  const AllocatorCampaign three =
      run_allocator_campaign({.allocator = "S4a", .cases = 1000, .threads = 3, .shrink_tries = 50});
  EXPECT_EQ(one.digest, three.digest);
  EXPECT_EQ(one.failures, three.failures);
  EXPECT_GT(one.failures, 0);
  EXPECT_NE(one.digest, run_allocator_campaign({.cases = 1000}).digest);
}

class AllocatorMutants : public testing::TestWithParam<AllocatorMutant> {};
TEST_P(AllocatorMutants, DieByTheirRuleWithinTwoHundredLivesAndShrinkToAFewEvents) {
  const AllocatorMutant& mutant = GetParam();
  reset_witness();
  const AllocatorCampaign campaign = run_allocator_campaign({.allocator = mutant.name, .cases = 200});
  EXPECT_GT(witness(), 0) << "never reached";
  ASSERT_FALSE(campaign.findings.empty()) << mutant.fault;
  bool seen = false;
  for (const auto& [oracle, finding] : campaign.findings) {
    if (!lists(mutant.oracles, oracle)) continue;
    seen = true;
    EXPECT_LE(finding.shrunk.events.size(), 16u) << to_json(finding.shrunk).dump();
    // The shrunk life says the same from its file.
    const AllocatorHistory again =
        history_from_json(nlohmann::ordered_json::parse(to_json(finding.shrunk).dump()), "file");
    EXPECT_EQ(live_history(again, *mutant.make(again.shape)).breach.text, finding.breach.text);
    EXPECT_FALSE(live_history(again, *make_allocator("pool", again.shape)).breach.broken());
  }
  EXPECT_TRUE(seen) << mutant.fault << ": " << campaign.findings.begin()->first << " "
                    << campaign.findings.begin()->second.breach.text;
}
INSTANTIATE_TEST_SUITE_P(All, AllocatorMutants, testing::ValuesIn(allocator_mutants()),
                         [](const testing::TestParamInfo<AllocatorMutant>& mutant) {
                           return std::string(mutant.param.name);
                         });

TEST(AllocatorHistory, RefusesWhatItDoesNotKnow) {
  nlohmann::ordered_json json = to_json(generate_history(1, 1));
  json["events"][0]["event"] = "explode";
  EXPECT_THROW((void)history_from_json(json, "file"), InputError);
  EXPECT_THROW((void)make_allocator("S99", {1, 1}), InputError);
}

// RapidCheck's commands over the same interface: the pool against the plain model, with its own shrinking.
struct Model {
  std::vector<std::int32_t> live;
  std::int32_t next = 0;
};
struct System {
  System() : pool({4096, 2}), plain({4096, 2}) {}  // never full: the model knows no refusals
  PoolAllocator pool;
  PlainAllocator plain;
};
struct Admit : rc::state::Command<Model, System> {
  Tokens prompt = *rc::gen::resize(
      8, rc::gen::nonEmpty(rc::gen::container<Tokens>(rc::gen::inRange<std::int64_t>(0, 3))));
  void apply(Model& model) const override { model.live.push_back(model.next++); }
  void run(const Model& model, System& system) const override {
    const std::int64_t hits = system.pool.admit(model.next, prompt);
    RC_ASSERT(hits == system.plain.admit(model.next, prompt));
    RC_ASSERT(hits != Allocator::kRefused);
    system.pool.computed(model.next);
    system.plain.computed(model.next);
    RC_ASSERT(system.pool.table(model.next) == system.plain.table(model.next));
    system.pool.check_invariants();
  }
  void show(std::ostream& os) const override { os << "admit " << prompt.size() << " tokens"; }
};
struct Release : rc::state::Command<Model, System> {
  std::int32_t which = 0;
  explicit Release(const Model& model) {
    RC_PRE(!model.live.empty());
    which = *rc::gen::elementOf(model.live);
  }
  void checkPreconditions(const Model& model) const override {
    RC_PRE(std::count(model.live.begin(), model.live.end(), which) == 1);
  }
  void apply(Model& model) const override {
    model.live.erase(std::find(model.live.begin(), model.live.end(), which));
  }
  void run(const Model&, System& system) const override {
    system.pool.release(which);
    system.plain.release(which);
    RC_ASSERT(system.pool.free_blocks() == system.plain.free_blocks());
    system.pool.check_invariants();
  }
  void show(std::ostream& os) const override { os << "release " << which; }
};
RC_GTEST_PROP(PoolCommands, GiveTheTablesOfThePlainModel, ()) {
  System system;
  rc::state::check(Model{}, system, rc::state::gen::execOneOfWithArgs<Admit, Release>());
}

}  // namespace
}  // namespace assay::properties
