// The simulator's own canaries (sim/engine/naive_engine.h), judged by data: a rule that changes which data a
// sequence reads shows as wrong data; one that only changes which block is taken next does not, and must not.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "properties/kernels/registry.h"
#include "properties/world/step_check.h"
#include "properties/world/world.h"
#include "sim/engine/naive_engine.h"

namespace assay::properties {
namespace {

// Lives a world in the naive engine and judges every decode step.
Verification lived_by_the_naive_engine(const World& world, naive::Fault fault) {
  const KernelSet kernels("twin");
  StepCheckOptions options;
  options.heads = 8;
  options.dims = 32;
  options.seed = world.seed;
  const auto check = make_step_check(*kernels.find(ASSAY_OP_PAGED_MQA_LOGITS), options, world.engine.blocks,
                                     world.engine.block_tokens);
  PoolShadow shadow(world.engine.blocks, world.engine.block_tokens);
  std::vector<RequestNames> names;
  const NamesOf names_of = [&](std::int64_t request) -> const RequestNames& {
    return names[static_cast<std::size_t>(request)];
  };
  const Scheduler judge_of_size(world.engine);
  naive::Engine engine(world.engine, fault);
  std::map<int, std::vector<std::int32_t>> tables;
  Verification total;
  std::size_t next = 0;
  for (std::int64_t step = 0; next < world.requests.size() || !engine.idle(); ++step) {
    for (; next < world.requests.size() && (world.requests[next].step <= step || engine.idle()); ++next) {
      const WorldRequest& r = world.requests[next];
      names.emplace_back(static_cast<std::int64_t>(next), r.prompt_tokens, r.hash_ids, world.hash_tokens);
      if (!judge_of_size.fits(r.prompt_tokens, r.output_tokens)) continue;
      naive::Sequence s;
      s.request = static_cast<int>(next);
      s.output = static_cast<int>(r.output_tokens);
      for (std::int64_t t = 0; t < r.prompt_tokens; ++t)
        s.prompt.push_back(r.hash_ids[static_cast<std::size_t>(t / world.hash_tokens)] * 64 +
                           t % world.hash_tokens);
      engine.submit(std::move(s));
    }
    if (engine.idle()) continue;
    const naive::Step done = engine.step();
    for (const int request : done.preempted) tables.erase(request);
    for (const naive::Scheduled& s : done.scheduled) {
      auto& table = tables[s.request];
      table.insert(table.end(), s.new_blocks.begin(), s.new_blocks.end());
    }
    LiveStep live{step, {}};
    for (const naive::Scheduled& s : done.scheduled) {
      const std::span<const std::int32_t> table(tables[s.request]);
      const bool decode = s.tokens == 1 && s.computed_before >= world.requests[s.request].prompt_tokens;
      live.sequences.push_back({s.request, s.computed_before, s.tokens, s.tokens, decode, table, table});
    }
    shadow.write(live, names_of);
    check->check(live, shadow, names_of, total);
    for (const int request : done.finished) tables.erase(request);
  }
  return total;
}

// Short worlds with blocks as large as the trace's granules: equal ids behind other prefixes are whole blocks.
World canary_world(std::int64_t index) {
  World world = world_of(21, index);
  world.hash_tokens = world.engine.block_tokens;
  for (WorldRequest& r : world.requests)
    r.hash_ids.resize(static_cast<std::size_t>(ceil_div(r.prompt_tokens, world.hash_tokens)), 555);
  world.engine.prefix_caching = true;
  world.engine.window_tokens = 0;
  return world;
}

TEST(NaiveEngine, ItsLivesShowNoWrongDataAndNeitherDoRulesThatOnlyReorderBlocks) {
  for (const naive::Fault fault : {naive::Fault::kNone, naive::Fault::kFreesHeadFirst,
                                   naive::Fault::kForgetsAtRelease, naive::Fault::kOtherFreeOrder}) {
    Verification total;
    for (std::int64_t index = 0; index < 12; ++index) {
      const Verification v = lived_by_the_naive_engine(canary_world(index), fault);
      EXPECT_TRUE(v.passed()) << describe(v.listed.at(0));
      EXPECT_EQ(v.misplaced_slots, 0);
      total.elements += v.elements;
    }
    EXPECT_GT(total.elements, 10'000);
  }
}

TEST(NaiveEngine, AContentFoundWithoutItsPrefixShowsAsWrongDataWithTheForeignRequestNamed) {
  std::int64_t caught = 0;
  for (std::int64_t index = 0; index < 30; ++index) {
    const Verification v = lived_by_the_naive_engine(canary_world(index), naive::Fault::kIgnoresParents);
    EXPECT_EQ(v.wrong > 0, v.misplaced_slots > 0);
    if (v.wrong == 0) continue;
    ++caught;
    const WrongElement& wrong = v.listed.at(0);
    EXPECT_FALSE(wrong.slot_is_right);
    EXPECT_NE(wrong.holds.name, kNoToken);
    EXPECT_NE(describe(wrong).find("the slot holds token"), std::string::npos) << describe(wrong);
  }
  EXPECT_GT(caught, 3);
}

}  // namespace
}  // namespace assay::properties
