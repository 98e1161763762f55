// TensorRT-LLM's reuse pool by hand, and against its slow twin under drawn sequences.
#include "sim/engine_trtllm/reuse_pool.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <optional>
#include <string>

#include "model/core/check.h"
#include "model/core/philox.h"
#include "sim/cache/trace_in_memory.h"
#include "sim/engine_trtllm/naive_reuse_pool.h"

namespace assay {
namespace {

constexpr std::int64_t kHashTokens = 4;
using Ids = std::vector<std::int32_t>;

Ids ids(const std::vector<BlockId>& blocks) {
  Ids ids;
  for (const BlockId block : blocks) ids.push_back(block.value());
  return ids;
}
TrtllmTokens tokens_of(std::int64_t tokens, std::vector<std::int64_t> hash_ids, std::int64_t own = -1) {
  return {prompt_of(tokens, std::move(hash_ids)), kHashTokens, own};
}

TEST(TrtllmBlockKey, ComparesTokensAcrossHashBlocks) {
  const auto a = tokens_of(14, {5, 9, 7, 8}).keys(14, 6, true),
             b = tokens_of(12, {5, 9, 6}).keys(12, 6, true);
  ASSERT_EQ(a.size(), 3u);
  EXPECT_EQ(a[0], b[0]);            // 5 5 5 5 9 9
  EXPECT_EQ(a[1].common(b[1]), 2);  // 9 9 7 ... and 9 9 6 ...
  EXPECT_EQ(a[2].tokens(), 2);
  EXPECT_EQ(tokens_of(14, {5, 9, 7, 8}).keys(14, 6, false).size(), 2u);
  const auto own = tokens_of(10, {5}, -3).keys(10, 6, true);
  EXPECT_EQ(own[0].runs.back().name, -3);
  EXPECT_EQ(own[0].common(a[0]), 4);
}

struct Pool {
  explicit Pool(TrtllmReusePool::Options options) : pool(options), block_tokens(options.block_tokens) {}
  TrtllmReusePool::Added add(const TrtllmTokens& tokens, std::int64_t prompt,
                             std::optional<int> priority = {}) {
    const auto count = static_cast<std::size_t>((prompt + block_tokens - 1) / block_tokens);
    const auto added = pool.add_sequence(tokens.keys(prompt - 1, block_tokens, true), prompt,
                                         std::vector<std::optional<int>>(count, priority));
    pool.check_invariants();
    return added;
  }
  void finish(const TrtllmTokens& tokens, std::int64_t written, const std::vector<BlockId>& blocks) {
    pool.store(tokens.keys(written, block_tokens, true), blocks);
    pool.release(blocks);
    pool.check_invariants();
  }
  TrtllmReusePool pool;
  std::int64_t block_tokens;
};

TEST(TrtllmReusePool, FullBlocksAreClaimedBackAndTheLastTokenIsComputed) {
  Pool p({.blocks = 6, .block_tokens = 4});
  const auto tokens = tokens_of(8, {1, 2});
  const auto first = p.add(tokens, 8);
  EXPECT_EQ(ids(first.blocks), (Ids{0, 1}));
  p.finish(tokens, 8, first.blocks);
  EXPECT_EQ(ids(p.pool.free_queue()), (Ids{2, 3, 4, 5, 1, 0}));
  const auto again = p.add(tokens, 8);
  EXPECT_EQ(again.reused_tokens, 7);  // four, and three of the second block, taken over
  EXPECT_EQ(again.copied_tokens, 0);
  EXPECT_EQ(ids(again.blocks), (Ids{0, 1}));
}

TEST(TrtllmReusePool, APartialMatchIsCopiedWhileSomebodyUsesTheBlock) {
  Pool p({.blocks = 6, .block_tokens = 4});
  const auto a = tokens_of(6, {1, 2}), b = tokens_of(8, {1, 2});
  const auto first = p.add(a, 6);
  p.pool.store(a.keys(6, 4, true), first.blocks);  // still running
  const auto second = p.add(b, 8);
  EXPECT_EQ(second.reused_tokens, 6);
  EXPECT_EQ(second.copied_tokens, 2);
  EXPECT_EQ(ids(second.blocks), (Ids{0, 2}));
  Pool strict({.blocks = 6, .block_tokens = 4, .copy_on_partial_reuse = false});
  const auto alone = strict.add(a, 6);
  strict.pool.store(a.keys(6, 4, true), alone.blocks);
  EXPECT_EQ(strict.add(b, 8).reused_tokens, 4);
}

TEST(TrtllmReusePool, LowerPrioritiesGoFirst) {
  Pool p({.blocks = 4, .block_tokens = 4});
  const auto precious = tokens_of(4, {1}), cheap = tokens_of(4, {2});
  const auto a = p.add(precious, 4, 80), b = p.add(cheap, 4, 10);
  p.finish(precious, 4, a.blocks);
  p.finish(cheap, 4, b.blocks);
  EXPECT_EQ(ids(p.pool.free_queue()), (Ids{1, 2, 3, 0}));
  EXPECT_EQ(p.pool.cached_free_blocks(), 2);
}

// A duplicate of block 0 keeps its child below the stored one; when 0 is handed out, the child is lost.
TEST(TrtllmReusePool, HandingOutABlockTakesItsDescendantsOutOfTheTree) {
  Pool p({.blocks = 4, .block_tokens = 4, .partial_reuse = false});
  const auto a = tokens_of(4, {1}), b = tokens_of(8, {1, 2}, -2);
  const auto first = p.add(a, 4), second = p.add(b, 8);
  p.finish(a, 4, first.blocks);
  p.finish(b, 8, second.blocks);
  EXPECT_EQ(p.pool.cached_free_blocks(), 2);  // 0 and, below it, 2; the duplicate 1 is in no tree
  EXPECT_EQ(p.pool.stored_prefix(b.keys(8, 4, false)), 2u);
  (void)p.pool.allocate(35);  // 3
  (void)p.pool.allocate(35);  // 0, and 2 with it
  p.pool.check_invariants();
  EXPECT_EQ(p.pool.stored_prefix(b.keys(8, 4, false)), 0u);
  EXPECT_EQ(p.pool.cached_free_blocks(), 0);
}

TEST(TrtllmReusePool, WithoutReuseNothingIsKept) {
  Pool p({.blocks = 4, .block_tokens = 4, .reuse = false});
  const auto tokens = tokens_of(8, {1, 2});
  p.finish(tokens, 8, p.add(tokens, 8).blocks);
  EXPECT_EQ(p.pool.cached_free_blocks(), 0);
  EXPECT_EQ(p.add(tokens, 8).reused_tokens, 0);
  EXPECT_THROW(TrtllmReusePool({.blocks = 0}), InputError);
  EXPECT_THROW(TrtllmReusePool({.blocks = 1, .block_tokens = 0}), InputError);
}

TEST(TrtllmReusePoolDeathTest, ABlockIsReleasedOnce) {
  TrtllmReusePool pool({.blocks = 2, .block_tokens = 4});
  const BlockId block = pool.allocate(35);
  pool.release({block});
  EXPECT_DEATH(pool.release({block}), "owners >= 1");
}

// Sequences come, grow, store and go; the first difference from the twin.
std::optional<std::string> differs(const std::vector<std::uint32_t>& events, TrtllmReusePool::Options options,
                                   ReuseFault fault = ReuseFault::kNone) {
  struct Sequence {
    TrtllmTokens tokens;
    std::int64_t written = 0;
    std::vector<BlockId> blocks;
  };
  TrtllmReusePool pool(options);
  NaiveReusePool naive(options, fault);
  std::vector<Sequence> running;
  std::int64_t own = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto fail = [&](const char* what) { return "event " + std::to_string(i) + ": " + what; };
    const std::uint32_t event = events[i];
    if (event % 4 == 0 && !running.empty()) {
      const std::size_t gone = event / 4 % running.size();
      Sequence& sequence = running[gone];
      const auto keys = sequence.tokens.keys(sequence.written, options.block_tokens, true);
      pool.store(keys, sequence.blocks);
      naive.store(keys, sequence.blocks);
      pool.release(sequence.blocks);
      naive.release(sequence.blocks);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(gone));
    } else if (event % 4 == 1 && !running.empty()) {
      Sequence& sequence = running[event / 4 % running.size()];
      if (sequence.written % options.block_tokens == 0) {
        if (pool.free_blocks() == 0) continue;
        const int priority = static_cast<int>(event / 64 % 3) * 50;
        const BlockId block = pool.allocate(priority);
        if (block != naive.allocate(priority)) return fail("another block was handed out");
        sequence.blocks.push_back(block);
      }
      ++sequence.written;
    } else {
      std::vector<std::int64_t> hash_ids;
      for (std::uint32_t bits = event / 4, k = 0; k < 1 + event / 1024 % 5; ++k, bits /= 3)
        hash_ids.push_back((hash_ids.empty() ? 0 : hash_ids.back() * 3) + bits % 3 + 1);
      const std::int64_t most = static_cast<std::int64_t>(hash_ids.size()) * kHashTokens;
      const std::int64_t prompt = std::max<std::int64_t>(1, most - event / 65536 % 6);
      const auto count = static_cast<std::size_t>((prompt + options.block_tokens - 1) / options.block_tokens);
      if (static_cast<std::int32_t>(count) > pool.free_blocks()) continue;
      std::vector<std::optional<int>> priorities(count);
      if (event / 1048576 % 2 == 0) priorities[0] = static_cast<int>(event / 2097152 % 101);
      Sequence sequence{TrtllmTokens(prompt_of(prompt, hash_ids), kHashTokens, --own), prompt, {}};
      const auto keys = sequence.tokens.keys(prompt - 1, options.block_tokens, true);
      const auto fast = pool.add_sequence(keys, prompt, priorities);
      const auto slow = naive.add_sequence(fault == ReuseFault::kReusesTheLastToken
                                               ? sequence.tokens.keys(prompt, options.block_tokens, true)
                                               : keys,
                                           prompt, priorities);
      if (fast.blocks != slow.blocks) return fail("blocks");
      if (fast.reused_tokens != slow.reused_tokens) return fail("reused tokens");
      if (fast.copied_tokens != slow.copied_tokens) return fail("copied tokens");
      sequence.blocks = fast.blocks;
      if (event / 256 % 2 == 0) {
        const auto full = sequence.tokens.keys(prompt - 1, options.block_tokens, false);
        pool.store(full, sequence.blocks);
        naive.store(full, sequence.blocks);
      }
      running.push_back(std::move(sequence));
    }
    pool.check_invariants();
    if (pool.free_queue() != naive.free_queue()) return fail("free queues");
  }
  return std::nullopt;
}

TrtllmReusePool::Options draw_options(const RandomStream& stream) {
  return {.blocks = static_cast<std::int32_t>(3 + stream.below(0, 20)),
          .block_tokens = static_cast<std::int32_t>(1 + stream.below(1, 8)),
          .reuse = true,
          .partial_reuse = stream.below(2, 4) != 0,
          .copy_on_partial_reuse = stream.below(3, 3) != 0};
}
std::vector<std::uint32_t> draw_events(const RandomStream& stream) {
  std::vector<std::uint32_t> events(80);
  for (std::size_t i = 0; i < events.size(); ++i) events[i] = stream.u32(100 + i);
  return events;
}

RC_GTEST_PROP(ReusePoolProperty, GivesTheBlocksThatItsSlowTwinGives,
              (const std::vector<std::uint32_t>& events)) {
  const auto options = draw_options(RandomStream(*rc::gen::arbitrary<std::uint64_t>(), "options"));
  if (const auto wrong = differs(events, options)) RC_FAIL(*wrong);
}

TEST(ReusePoolProperty, HoldsOnTwoThousandLongerRuns) {
  for (std::uint64_t run = 0; run < 2000; ++run) {
    const RandomStream stream = RandomStream(1, "reuse runs").child(run);
    ASSERT_EQ(differs(draw_events(stream), draw_options(stream)), std::nullopt) << run;
  }
}

class ReuseCanary : public testing::TestWithParam<ReuseFault> {};

TEST_P(ReuseCanary, IsCaught) {
  for (std::uint64_t run = 0; run < 300; ++run) {
    const RandomStream stream = RandomStream(1, "reuse runs").child(run);
    if (differs(draw_events(stream), draw_options(stream), GetParam())) return;
  }
  FAIL() << "a broken copy survived 300 runs";
}

INSTANTIATE_TEST_SUITE_P(Faults, ReuseCanary,
                         testing::Values(ReuseFault::kIgnoresPriority, ReuseFault::kFreesHeadFirst,
                                         ReuseFault::kKeepsOrphans, ReuseFault::kTakesOverUsedBlocks,
                                         ReuseFault::kNeverCopies, ReuseFault::kReplacesStored,
                                         ReuseFault::kReusesTheLastToken, ReuseFault::kPriorityIsForEver));

}  // namespace
}  // namespace assay
