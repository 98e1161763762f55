// TensorRT-LLM's no-evict batching by hand, and its invariants after every step of drawn workloads.
#include "sim/engine_trtllm/trtllm_engine.h"

#include <gtest/gtest.h>

#include <map>

#include "model/core/check.h"
#include "model/core/philox.h"
#include "sim/cache/trace_in_memory.h"

namespace assay {
namespace {

using Ids = std::vector<RequestId>;
RequestId id(std::int64_t value) { return RequestId(value); }

// Blocks of 4, ten of them. A promises 8 + 12: five blocks. B promises 8 + 16: six, and waits although
// eight are free, because three of them are A's future.
TEST(TrtllmEngine, ARequestWaitsUntilEverybodysFutureFits) {
  TrtllmEngine engine({.pool = {.blocks = 10, .block_tokens = 4}}, 0);
  ASSERT_TRUE(engine.submit(prompt_of(8, {}, 12), id(0)));
  ASSERT_TRUE(engine.submit(prompt_of(8, {}, 16), id(1)));
  const TrtllmStep first = engine.step();
  EXPECT_EQ(first.admitted.size(), 1u);
  EXPECT_EQ(engine.pool().free_blocks(), 8);
  EXPECT_EQ(engine.ledger().reserved, 3 * 4);
  EXPECT_EQ(engine.ledger().live, 8);
  EXPECT_EQ(engine.ledger().free, 5 * 4);
  int steps = 1;
  while (engine.running() == 1 && engine.waiting() == 1) {
    (void)engine.step();
    engine.check_invariants();
    ++steps;
  }
  EXPECT_EQ(steps, 12);  // A ends, and only then B starts
  EXPECT_EQ(engine.step().admitted.size(), 1u);
}

TEST(TrtllmEngine, DecodersAndNewcomersShareAStep) {
  TrtllmEngine engine({.pool = {.blocks = 32, .block_tokens = 4}}, 0);
  ASSERT_TRUE(engine.submit(prompt_of(8, {}, 3), id(0)));
  EXPECT_EQ(engine.step().scheduled_tokens, 8);
  ASSERT_TRUE(engine.submit(prompt_of(5, {}, 2), id(1)));
  const TrtllmStep step = engine.step();
  EXPECT_EQ(step.scheduled_tokens, 6);
  EXPECT_EQ(step.decoded, (Ids{id(0)}));
  EXPECT_EQ(engine.step().finished, (Ids{id(0), id(1)}));
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.step().scheduled_tokens, 0);
}

// Two prompts that begin alike: the second is passed over while the first computes their common block.
TEST(TrtllmEngine, ARequestWaitsForTheBlockThatAnEarlierOneComputes) {
  TrtllmEngine engine({.pool = {.blocks = 32, .block_tokens = 4}}, 4);
  ASSERT_TRUE(engine.submit(prompt_of(9, {1, 2, 3}, 4), id(0)));
  ASSERT_TRUE(engine.submit(prompt_of(9, {1, 2, 4}, 4), id(1)));
  ASSERT_TRUE(engine.submit(prompt_of(9, {7, 8, 9}, 4), id(2)));
  const TrtllmStep first = engine.step();
  EXPECT_EQ(first.passed_over, (Ids{id(1)}));
  EXPECT_EQ(first.admitted.size(), 2u);  // the third overtakes
  const TrtllmStep second = engine.step();
  ASSERT_EQ(second.admitted.size(), 1u);
  EXPECT_EQ(second.admitted[0].reused_tokens, 8);
  EXPECT_EQ(second.scheduled_tokens, 1 + 2);
  EXPECT_EQ(engine.table(id(1))[0], engine.table(id(0))[0]);
}

// A budget of 8: one decoder takes one token, seven are left: one whole block of the prompt of 10.
TEST(TrtllmEngine, PromptsAreCutToWholeBlocks) {
  TrtllmEngine engine({.pool = {.blocks = 32, .block_tokens = 4}, .max_num_tokens = 8}, 0);
  ASSERT_TRUE(engine.submit(prompt_of(4, {}, 9), id(0)));
  (void)engine.step();
  ASSERT_TRUE(engine.submit(prompt_of(10, {}, 2), id(1)));
  EXPECT_EQ(engine.step().scheduled_tokens, 1 + 4);
  EXPECT_EQ(engine.step().scheduled_tokens, 1 + 6);
  TrtllmEngine whole(
      {.pool = {.blocks = 32, .block_tokens = 4}, .max_num_tokens = 8, .chunked_context = false}, 0);
  EXPECT_FALSE(whole.submit(prompt_of(10, {}, 2), id(0)));
}

// The head of a prompt at priority 90 outlives a pool full of other traffic.
TEST(TrtllmEngine, ARetainedHeadSurvivesWhatEvictsEverythingElse) {
  for (const int priority : {TrtllmReusePool::kDefaultPriority, 90}) {
    TrtllmEngine engine(
        {.pool = {.blocks = 8, .block_tokens = 4}, .head_tokens = 4, .head_priority = priority}, 4);
    ASSERT_TRUE(engine.submit(prompt_of(8, {1, 2}, 1), id(0)));
    while (!engine.idle()) (void)engine.step();
    for (int i = 0; i < 3; ++i) {
      // No hash ids: blocks of its own, whose heads are retained too, one a request.
      ASSERT_TRUE(engine.submit(prompt_of(20, {}, 1), id(1 + i)));
      while (!engine.idle()) (void)engine.step();
    }
    ASSERT_TRUE(engine.submit(prompt_of(8, {1, 9}, 1), id(9)));
    EXPECT_EQ(engine.step().admitted[0].reused_tokens, priority == 90 ? 4 : 0) << priority;
  }
}

TEST(TrtllmEngine, WhatCanNeverBeServedIsRefused) {
  TrtllmEngine engine({.pool = {.blocks = 4, .block_tokens = 4}}, 0);
  EXPECT_FALSE(engine.submit(prompt_of(0, {}, 4), id(0)));
  EXPECT_FALSE(engine.submit(prompt_of(10, {}, 7), id(1)));
  EXPECT_TRUE(engine.submit(prompt_of(10, {}, 6), id(2)));
  EXPECT_TRUE(engine.submit(prompt_of(1, {}, 0), id(3)));
  while (!engine.idle()) (void)engine.step();
  EXPECT_EQ(engine.pool().free_blocks(), 4);
  EXPECT_THROW(TrtllmEngine({.pool = {.blocks = 4, .block_tokens = 4}, .max_num_tokens = 3}, 0), InputError);
  EXPECT_THROW(TrtllmEngine({.pool = {.blocks = 4, .block_tokens = 4}, .prompt_priority = 101}, 0),
               InputError);
}

// Whatever the workload: everybody ends with exactly the promised outputs, nobody is paused, nothing leaks.
TEST(TrtllmEngine, DrawnWorkloadsEndAndLeakNothing) {
  std::int64_t reused = 0, copied = 0, passed_over = 0;
  for (std::uint64_t run = 0; run < 150; ++run) {
    const RandomStream stream = RandomStream(1, "trtllm workload").child(run);
    const auto block_tokens = static_cast<std::int32_t>(1 + stream.below(0, 12));
    TrtllmOptions options{.pool = {.blocks = static_cast<std::int32_t>(10 + stream.below(1, 60)),
                                   .block_tokens = block_tokens,
                                   .reuse = stream.below(2, 5) != 0,
                                   .partial_reuse = stream.below(3, 3) != 0,
                                   .copy_on_partial_reuse = stream.below(4, 3) != 0},
                          .max_batch_size = static_cast<std::int64_t>(1 + stream.below(5, 8)),
                          .max_num_tokens = static_cast<std::int64_t>(block_tokens + stream.below(6, 60)),
                          .chunked_context = stream.below(7, 3) != 0,
                          .head_tokens = static_cast<std::int64_t>(stream.below(8, 3) * 8),
                          .head_priority = 70,
                          .decode_priority = static_cast<int>(stream.below(9, 101))};
    const auto requests = grow_prompts(draw_prompts(stream, 50), 8);
    TrtllmEngine engine(options, 8);
    std::map<std::int64_t, std::int64_t> outputs, promised;
    std::size_t next = 0, finished = 0, steps = 0;
    while (next < requests.size() || !engine.idle()) {
      for (std::uint64_t k = 0; k < 1 + stream.below(10, 4) && next < requests.size(); ++k, ++next) {
        Request request = requests[next];
        request.output_tokens = static_cast<std::int64_t>(stream.below(100 + next, 30));
        if (engine.submit(request, RequestId(static_cast<std::int64_t>(next))))
          promised[static_cast<std::int64_t>(next)] = std::max<std::int64_t>(1, request.output_tokens);
      }
      const TrtllmStep step = engine.step();
      engine.check_invariants();
      for (const TrtllmAdmission& admission : step.admitted) {
        ASSERT_LT(admission.reused_tokens, admission.prompt_tokens);
        reused += admission.reused_tokens;
        copied += admission.copied_tokens;
        outputs[admission.request.value()] = 1;  // its prompt yields the first
      }
      passed_over += static_cast<std::int64_t>(step.passed_over.size());
      for (const RequestId r : step.decoded) ++outputs[r.value()];
      for (const RequestId r : step.finished) {
        ++finished;
        ASSERT_EQ(outputs[r.value()], promised[r.value()]) << r << " in run " << run;
      }
      ASSERT_LT(++steps, 100'000u) << "it never ends";
    }
    ASSERT_EQ(finished, promised.size());
    ASSERT_EQ(engine.pool().free_blocks(), engine.pool().blocks());
    if (!options.pool.reuse) {
      ASSERT_EQ(engine.pool().cached_free_blocks(), 0);
    }
  }
  EXPECT_GT(reused, 1000);
  EXPECT_GT(copied, 100);
  EXPECT_GT(passed_over, 20);
}

}  // namespace
}  // namespace assay
