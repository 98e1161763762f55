// The scheduler against its naive twin, step by step: scheduled tokens, hits, block ids, free count,
// preemptions, finishes, in order; all invariants after every step. Each planted fault is noticed.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "model/core/philox.h"
#include "sim/cache/content_chain.h"
#include "sim/engine/naive_engine.h"
#include "sim/engine/scheduler.h"

namespace assay {
namespace {

struct Arrival {
  int step;
  std::vector<std::int64_t> hash_ids;  // one per granule
  int prompt, output;
};

struct World {
  SchedulerOptions options;
  int granule;
  std::vector<Arrival> arrivals;
};

// Tiny pools, twins, prefixes that diverge inside and between blocks, prompts at block borders, overload.
World world_of(std::uint64_t seed) {
  const RandomStream r(seed, "engine world");
  std::uint64_t n = 0;
  const auto below = [&](std::uint64_t bound) { return static_cast<int>(r.below(n++, bound)); };
  World world;
  SchedulerOptions& o = world.options;
  const int sizes[] = {1, 2, 4, 8};
  o.block_tokens = sizes[below(4)];
  world.granule = sizes[below(4)];
  o.blocks = 4 + below(20);
  o.token_budget = 1 + below(40);
  o.max_sequences = 1 + below(6);
  o.long_prefill_tokens = below(3) == 0 ? 1 + below(12) : 0;
  o.watermark = below(3) == 0 ? 0.2 : 0.0;
  o.whole_prompt_admission = below(2) == 0;
  o.prefix_caching = below(6) != 0;
  o.free_order = below(2) == 0 ? FreeOrder::kUnpublishedFirst : FreeOrder::kAppend;
  o.window_tokens = below(3) == 0 ? 1 + below(3 * static_cast<std::uint64_t>(o.block_tokens)) : 0;
  const int requests = 1 + below(24);
  int step = 0;
  for (int i = 0; i < requests; ++i) {
    step += below(3) == 0 ? below(8) : 0;
    Arrival a;
    a.step = step;
    a.prompt = 1 + below(static_cast<std::uint64_t>((o.blocks - 1) * o.block_tokens));
    if (below(3) == 0) a.prompt = std::max(1, a.prompt / o.block_tokens * o.block_tokens);  // at a border
    a.output = below(2 * o.block_tokens + 3);
    // A small tree of prefixes: the first granules come from few branches.
    const int branch = below(3), depth = below(6);
    // Odd granules are the same in every branch: equal tokens behind different prefixes.
    for (int g = 0; g * world.granule < a.prompt; ++g)
      a.hash_ids.push_back(g > depth ? 100'000 + i * 1000 + g : g % 2 == 1 ? 555 : branch * 1000 + g);
    world.arrivals.push_back(a);
  }
  return world;
}

// Runs both; the first difference as text, or empty.
std::string difference(const World& world, naive::Fault fault) {
  Scheduler fast(world.options);
  naive::Engine slow(world.options, fault);
  ContentChain chain(world.granule, world.options.block_tokens);
  StepRecord record;
  std::size_t next = 0;
  for (int step = 0; step < 5000; ++step) {
    for (; next < world.arrivals.size() && (world.arrivals[next].step <= step || fast.idle()); ++next) {
      const Arrival& a = world.arrivals[next];
      if (!fast.fits(a.prompt, a.output)) continue;
      Request request;
      request.input_tokens = a.prompt;
      request.hash_ids = a.hash_ids;
      std::vector<ContentId> contents;
      chain.append(request, contents);
      contents.resize(static_cast<std::size_t>(a.prompt / world.options.block_tokens));
      const std::int32_t handle = fast.create();
      Sequence& s = fast.sequence(handle);
      s.request = RequestId(static_cast<std::int64_t>(next));
      s.prompt_tokens = a.prompt;
      s.output_tokens = a.output;
      for (const ContentId id : contents) s.contents.push_back(id.value());
      fast.submit(handle);
      naive::Sequence twin;
      twin.request = static_cast<int>(next);
      twin.output = a.output;
      for (int t = 0; t < a.prompt; ++t)
        twin.prompt.push_back(a.hash_ids[static_cast<std::size_t>(t / world.granule)] * 64 +
                              t % world.granule);
      slow.submit(std::move(twin));
    }
    if (fast.idle() && next == world.arrivals.size()) {
      if (!slow.idle()) return "the twin is not idle";
      if (fast.pool().free_blocks() != world.options.blocks - 1) return "blocks were lost";
      return "";
    }
    if (fast.idle()) continue;
    fast.schedule(record);
    naive::Step got;
    got.free_blocks = fast.pool().free_blocks();
    for (const ScheduledSequence& s : record.scheduled) {
      const Sequence& sequence = fast.sequence(s.sequence);
      got.scheduled.push_back({static_cast<int>(sequence.request.value()),
                               static_cast<int>(s.tokens),
                               static_cast<int>(s.computed_before),
                               static_cast<int>(s.hit_tokens),
                               {sequence.blocks.begin() + s.new_blocks_begin, sequence.blocks.end()}});
    }
    for (const std::int32_t handle : record.preempted)
      got.preempted.push_back(static_cast<int>(fast.sequence(handle).request.value()));
    fast.complete(record);
    for (const std::int32_t handle : record.finished)
      got.finished.push_back(static_cast<int>(fast.sequence(handle).request.value()));
    fast.release_finished(record);
    fast.check_invariants();
    if (!(slow.step() == got)) return "step " + std::to_string(step);
    if (record.tokens == 0) return "a step without tokens";
  }
  return "no end after 5000 steps";
}

RC_GTEST_PROP(EngineProperty, EveryStepEqualsTheNaiveTwins, (std::uint64_t seed)) {
  const std::string found = difference(world_of(seed), naive::Fault::kNone);
  if (!found.empty()) RC_FAIL("seed " + std::to_string(seed) + ": " + found);
}

TEST(EngineTwin, ATenthOfAMillionStepsOfSmallWorldsAgree) {
  for (std::uint64_t seed = 1000; seed < 2500; ++seed)
    ASSERT_EQ(difference(world_of(seed), naive::Fault::kNone), "") << "seed " << seed;
}

class EngineCanary : public testing::TestWithParam<std::pair<naive::Fault, const char*>> {};

TEST_P(EngineCanary, APlantedFaultIsNoticedWithinTwoHundredWorlds) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    ASSERT_EQ(difference(world_of(seed), naive::Fault::kNone), "") << "seed " << seed;
    if (!difference(world_of(seed), GetParam().first).empty()) return;
  }
  FAIL() << GetParam().second << " was not noticed";
}

INSTANTIATE_TEST_SUITE_P(
    Faults, EngineCanary,
    testing::Values(std::pair{naive::Fault::kFreesHeadFirst, "table released head first"},
                    std::pair{naive::Fault::kHitsAllTokens, "full hit not capped"},
                    std::pair{naive::Fault::kHitsAreFree, "hits not counted as needed"},
                    std::pair{naive::Fault::kAdmitsAfterPreemption, "admission after preemption"},
                    std::pair{naive::Fault::kPreemptsOldest, "oldest preempted"},
                    std::pair{naive::Fault::kIgnoresParents, "content without its prefix"},
                    std::pair{naive::Fault::kForgetsAtRelease, "eager eviction"},
                    std::pair{naive::Fault::kOtherFreeOrder, "unpublished blocks at the other end"},
                    std::pair{naive::Fault::kWindowTooShort, "a block leaves the window a token early"}));

}  // namespace
}  // namespace assay
