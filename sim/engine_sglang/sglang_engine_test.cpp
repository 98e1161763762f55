// SGLang's scheduler by hand, and its invariants after every step of drawn workloads.
#include "sim/engine_sglang/sglang_engine.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "model/core/check.h"
#include "model/core/philox.h"
#include "sim/cache/trace_in_memory.h"

namespace assay {
namespace {

using Kind = SglangStep::Kind;
using Ids = std::vector<RequestId>;

RequestId id(std::int64_t value) { return RequestId(value); }

// 4 shared tokens of 6, pages of 2, room for everybody: prefill, prefill beside a decode, dedup.
TEST(SglangEngine, PrefillGoesFirstAndTheSecondRequestFindsTheFirstOnesPages) {
  SglangEngine engine({.pool_tokens = 64, .page_tokens = 2}, 4);
  ASSERT_TRUE(engine.submit(prompt_of(6, {1, 2}, 3), id(0)));
  SglangStep step = engine.step();
  EXPECT_EQ(step.kind, Kind::kPrefill);
  EXPECT_EQ(step.scheduled_tokens, 6);
  EXPECT_EQ(step.admitted[0].hit_tokens, 0);
  EXPECT_EQ(engine.table(id(0)), (std::vector<BlockId>{BlockId(1), BlockId(2), BlockId(3)}));
  ASSERT_TRUE(engine.submit(prompt_of(6, {1, 3}, 2), id(1)));
  step = engine.step();
  EXPECT_EQ(step.kind, Kind::kPrefill);  // the newcomer before anybody's next token
  EXPECT_EQ(step.admitted[0].hit_tokens, 4);
  EXPECT_EQ(step.scheduled_tokens, 2);
  EXPECT_EQ(engine.table(id(1)), (std::vector<BlockId>{BlockId(1), BlockId(2), BlockId(4)}));
  step = engine.step();
  EXPECT_EQ(step.kind, Kind::kDecode);
  EXPECT_EQ(step.decoded, (Ids{id(0), id(1)}));
  EXPECT_EQ(step.finished, (Ids{id(1)}));
  step = engine.step();
  EXPECT_EQ(step.finished, (Ids{id(0)}));
  engine.check_invariants();
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.step().kind, Kind::kIdle);
  EXPECT_EQ(engine.ledger().live, 0);
  EXPECT_EQ(engine.ledger().cached_idle, 4 * 2 + 2);  // 6 + 2 written: pages 1 2 3 and one more; 1 2 and 4
}

// Two equal prompts in one prefill batch: both compute everything; the second one's pages are
// duplicates, come free at once, and its table names the first one's.
TEST(SglangEngine, DuplicatesOfOneBatchAreFreedOnInsert) {
  SglangEngine engine({.pool_tokens = 64, .page_tokens = 2}, 4);
  ASSERT_TRUE(engine.submit(prompt_of(5, {1, 2}, 2), id(0)));
  ASSERT_TRUE(engine.submit(prompt_of(5, {1, 2}, 2), id(1)));
  const SglangStep step = engine.step();
  EXPECT_EQ(step.scheduled_tokens, 10);
  EXPECT_EQ(engine.table(id(0)), (std::vector<BlockId>{BlockId(1), BlockId(2), BlockId(3)}));
  EXPECT_EQ(engine.table(id(1)), (std::vector<BlockId>{BlockId(1), BlockId(2), BlockId(6)}));
  EXPECT_EQ(engine.ledger().live, 4 + 1 + 1);
  EXPECT_EQ(engine.ledger().tail, 2);
  engine.check_invariants();
}

TEST(SglangEngine, AFullHitIsCutByTheTokenThatMustBeComputed) {
  SglangEngine engine({.pool_tokens = 64, .page_tokens = 1}, 4);
  ASSERT_TRUE(engine.submit(prompt_of(8, {1, 2}, 1), id(0)));
  EXPECT_EQ(engine.step().finished, (Ids{id(0)}));
  ASSERT_TRUE(engine.submit(prompt_of(8, {1, 2}, 1), id(1)));
  EXPECT_EQ(engine.step().admitted[0].hit_tokens, 7);
  SglangEngine paged({.pool_tokens = 64, .page_tokens = 4}, 4);
  ASSERT_TRUE(paged.submit(prompt_of(8, {1, 2}, 1), id(0)));
  (void)paged.step();
  ASSERT_TRUE(paged.submit(prompt_of(8, {1, 2}, 1), id(1)));
  EXPECT_EQ(paged.step().admitted[0].hit_tokens, 4);
}

// Chunks of 4: a prompt of 10 takes three steps, nobody decodes meanwhile.
TEST(SglangEngine, ALongPromptIsCutAndGoesOnBeforeAnybodyElse) {
  SglangEngine engine({.pool_tokens = 64, .page_tokens = 2, .chunk_tokens = 4}, 0);
  ASSERT_TRUE(engine.submit(prompt_of(10, {}, 2), id(0)));
  ASSERT_TRUE(engine.submit(prompt_of(2, {}, 2), id(1)));
  EXPECT_EQ(engine.step().scheduled_tokens, 4);
  EXPECT_EQ(engine.step().scheduled_tokens, 4);
  const SglangStep third = engine.step();
  EXPECT_EQ(third.scheduled_tokens, 4);  // the last two, and the newcomer
  EXPECT_EQ(third.admitted[0].request, id(1));
  EXPECT_EQ(engine.step().kind, Kind::kDecode);
}

// Both promise 40 of a pool of 64. 10 + 40 + 1 < 64 admits the first; the second needs 51 of 54 - 40
// (all of a request of the same batch) and waits; in the next step 54 - 39 * 0.7 = 26.7, and it still waits.
TEST(SglangEngine, AdmissionSetsAsideAShareOfWhatTheRunningPromised) {
  SglangEngine engine({.pool_tokens = 64, .page_tokens = 1}, 0);
  ASSERT_TRUE(engine.submit(prompt_of(10, {}, 40), id(0)));
  ASSERT_TRUE(engine.submit(prompt_of(10, {}, 40), id(1)));
  EXPECT_EQ(engine.step().admitted.size(), 1u);
  EXPECT_EQ(engine.step().kind, Kind::kDecode);
  EXPECT_EQ(engine.waiting(), 1u);
}

// Four requests of 4 + 20 in a pool of 48, one a step, let in because the ratio is low; when the pool is
// full, the one with the fewest outputs goes to the back of the queue and comes back.
TEST(SglangEngine, WhoHasTheFewestOutputsIsRetractedAndComesBack) {
  SglangEngine engine({.pool_tokens = 48, .page_tokens = 1, .conservativeness = 0.1}, 0);
  std::int64_t next = 0;
  std::int64_t retracted = 0, again = 0;
  std::set<std::int64_t> finished;
  std::map<std::int64_t, std::int64_t> outputs;
  while (next < 4 || !engine.idle()) {
    if (next < 4) {
      ASSERT_TRUE(engine.submit(prompt_of(4, {}, 20), id(next)));
      ++next;
    }
    const SglangStep step = engine.step();
    engine.check_invariants();
    for (const RequestId gone : step.retracted)
      for (const RequestId kept : step.decoded) EXPECT_LE(outputs[gone.value()], outputs[kept.value()]);
    for (const RequestId r : step.decoded) ++outputs[r.value()];
    if (step.kind == Kind::kPrefill)
      for (const SglangAdmission& admission : step.admitted) ++outputs[admission.request.value()];
    retracted += static_cast<std::int64_t>(step.retracted.size());
    for (const SglangAdmission& admission : step.admitted) again += admission.again ? 1 : 0;
    for (const RequestId r : step.finished) finished.insert(r.value());
    if (!step.retracted.empty()) {
      EXPECT_GT(engine.new_token_ratio(), 0.07);
    }
  }
  EXPECT_GT(retracted, 0);
  EXPECT_EQ(again, retracted);
  EXPECT_EQ(finished.size(), 4u);
  for (const auto& [request, count] : outputs) EXPECT_EQ(count, 20) << request;
}

TEST(SglangEngine, TheRatioFallsToItsLeastOverSixHundredDecodeSteps) {
  SglangEngine engine({.pool_tokens = 4096, .page_tokens = 1}, 0);
  ASSERT_TRUE(engine.submit(prompt_of(4, {}, 1000), id(0)));
  EXPECT_DOUBLE_EQ(engine.new_token_ratio(), 0.7);
  for (int i = 0; i < 301; ++i) (void)engine.step();
  EXPECT_NEAR(engine.new_token_ratio(), 0.7 - (0.7 - 0.098) / 2, 1e-9);
  for (int i = 0; i < 500; ++i) (void)engine.step();
  EXPECT_NEAR(engine.new_token_ratio(), 0.098, 1e-12);
}

TEST(SglangEngine, WhatCanNeverBeServedIsRefused) {
  SglangEngine engine({.pool_tokens = 64, .page_tokens = 16}, 0);
  EXPECT_FALSE(engine.submit(prompt_of(0, {}, 4), id(0)));
  EXPECT_FALSE(engine.submit(prompt_of(40, {}, 8), id(1)));  // 40 + 8 + 16 is not below 64
  EXPECT_TRUE(engine.submit(prompt_of(40, {}, 7), id(2)));
  EXPECT_TRUE(engine.submit(prompt_of(4, {}, 0), id(3)));
  while (!engine.idle()) (void)engine.step();
  EXPECT_THROW(SglangEngine({.pool_tokens = 64, .page_tokens = 0}, 0), InputError);
  EXPECT_THROW(SglangEngine({.pool_tokens = 8, .page_tokens = 16}, 0), InputError);
  EXPECT_THROW(SglangEngine({.pool_tokens = 64, .page_tokens = 16, .chunk_tokens = 8}, 0), InputError);
}

// Whatever the workload: every admitted request ends with exactly its outputs, nothing leaks, the ledger
// sums to the pool after every step, and nobody waits for ever.
void check_workload(const std::vector<PromptSeed>& seeds, const SglangOptions& options, std::uint64_t pace,
                    std::size_t& retracted) {
  const std::int32_t hash_tokens = 8;
  const std::vector<Request> requests = grow_prompts(seeds, hash_tokens);
  SglangEngine engine(options, hash_tokens);
  std::map<std::int64_t, std::int64_t> outputs, promised;
  std::size_t next = 0, finished = 0, steps = 0;
  while (next < requests.size() || !engine.idle()) {
    for (std::uint64_t k = 0; k < pace && next < requests.size(); ++k, ++next) {
      Request request = requests[next];
      request.output_tokens = (seeds[next].parent * 7 + seeds[next].added) % 40;
      if (engine.submit(request, RequestId(static_cast<std::int64_t>(next))))
        promised[static_cast<std::int64_t>(next)] = std::max<std::int64_t>(1, request.output_tokens);
    }
    const SglangStep step = engine.step();
    engine.check_invariants();
    retracted += step.retracted.size();
    for (const RequestId r : step.decoded) ++outputs[r.value()];
    // A prefill that computes the last prompt token yields a token: everybody who then has a table.
    for (const RequestId r : step.finished) {
      ++finished;
      if (step.kind == SglangStep::Kind::kPrefill) {
        ASSERT_LE(outputs[r.value()] + 1, promised[r.value()]);
      }
    }
    ASSERT_LT(++steps, 200'000u) << "it never ends";
  }
  ASSERT_EQ(finished, promised.size());
  const SglangLedger ledger = engine.ledger();
  ASSERT_EQ(ledger.live, 0);
  ASSERT_EQ(ledger.tail, 0);
  ASSERT_EQ(ledger.cached_idle + ledger.free, engine.pool_tokens());
}

TEST(SglangEngine, DrawnWorkloadsEndAndLeakNothing) {
  std::size_t retracted = 0;
  for (std::uint64_t run = 0; run < 150; ++run) {
    const RandomStream stream = RandomStream(1, "sglang workload").child(run);
    const std::int32_t page = std::int32_t{1} << stream.below(0, 5);  // 1 to 16, of hash blocks of 8
    const SglangOptions options{
        .pool_tokens = static_cast<std::int64_t>(60 + stream.below(1, 300)),
        .page_tokens = page,
        .chunk_tokens = stream.below(2, 3) == 0 ? 0 : static_cast<std::int64_t>(page + stream.below(3, 40)),
        .max_prefill_tokens = static_cast<std::int64_t>(8 + stream.below(4, 100)),
        .max_running_requests = static_cast<std::int64_t>(stream.below(5, 6)),
        .conservativeness = stream.below(6, 2) == 0 ? 1.0 : 0.05};
    ASSERT_NO_FATAL_FAILURE(
        check_workload(draw_prompts(stream, 40), options, 1 + stream.below(7, 5), retracted))
        << run;
  }
  EXPECT_GT(retracted, 20u) << "the workloads no longer reach what they are for";
}

TEST(SglangEngine, TheSameWorkloadTakesTheSameStepsTwice) {
  const auto requests = grow_prompts(draw_prompts(RandomStream(3, "sglang twice"), 60), 8);
  std::vector<std::vector<std::int64_t>> runs;
  for (int run = 0; run < 2; ++run) {
    SglangEngine engine({.pool_tokens = 160, .page_tokens = 4}, 8);
    for (std::size_t i = 0; i < requests.size(); ++i)
      (void)engine.submit(requests[i], RequestId(static_cast<std::int64_t>(i)));
    std::vector<std::int64_t> trail;
    while (!engine.idle()) {
      const SglangStep step = engine.step();
      trail.push_back(step.scheduled_tokens);
      for (const RequestId r : step.finished) trail.push_back(r.value());
      trail.push_back(engine.ledger().free);
    }
    runs.push_back(trail);
  }
  EXPECT_EQ(runs[0], runs[1]);
}

}  // namespace
}  // namespace assay
