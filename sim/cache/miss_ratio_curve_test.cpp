// The one-pass curve on a trace small enough for a pencil, and the stack depth under compaction.
#include "sim/cache/miss_ratio_curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "model/core/check.h"
#include "sim/cache/stack_depth.h"
#include "sim/cache/trace_in_memory.h"

namespace assay {
namespace {

// A B C twice, touched head to tail: depths at the second visit are 3 2 1, so A needs three blocks and
// the others, behind it, three as well; any of them alone needs its own depth.
TEST(MissRatioCurve, ABlockNeedsWhatTheBlocksBeforeItNeed) {
  TraceInMemory trace(4, {prompt_of(10, {1, 2, 3}), prompt_of(10, {1, 2, 3})});
  const MissRatioCurve curve = miss_ratio_curve(trace, {4, CachePolicy::kLruPromptOrder, nullptr});
  EXPECT_EQ(curve.at(1).block_hits, 0);
  EXPECT_EQ(curve.at(1).any_block_hits, 1);
  EXPECT_EQ(curve.at(2).block_hits, 0);
  EXPECT_EQ(curve.at(2).any_block_hits, 2);
  EXPECT_EQ(curve.at(3).block_hits, 3);
  EXPECT_EQ(curve.at(3).token_hits, 10);
  EXPECT_EQ(curve.at(3).full_block_hits, 2);
  EXPECT_EQ(curve.at(0).block_hits, 3);
  EXPECT_EQ(curve.at(1'000'000).block_hits, 3);
  EXPECT_EQ(curve.saturation_blocks(), 3);
}

// Touched tail to head the depths are 1 2 3: every capacity keeps a prefix.
TEST(MissRatioCurve, TailToHeadKeepsAPrefixAtEveryCapacity) {
  TraceInMemory trace(4, {prompt_of(12, {1, 2, 3}), prompt_of(12, {1, 2, 3})});
  const MissRatioCurve curve = miss_ratio_curve(trace, {4, CachePolicy::kLru, nullptr});
  for (std::int64_t capacity = 1; capacity <= 3; ++capacity)
    EXPECT_EQ(curve.at(capacity).block_hits, capacity);
}

TEST(MissRatioCurve, WithoutReuseTheCurveIsFlatZero) {
  TraceInMemory trace(4, {prompt_of(12, {1, 2, 3}), prompt_of(4, {4})});
  const MissRatioCurve curve = miss_ratio_curve(trace, {4, CachePolicy::kLru, nullptr});
  EXPECT_EQ(curve.at(0).block_hits, 0);
  EXPECT_EQ(curve.saturation_blocks(), 0);
  EXPECT_EQ(curve.block_references, 4);
}

TEST(MissRatioCurve, RefusesPoliciesThatAreNotStackAlgorithms) {
  TraceInMemory trace(4, {});
  EXPECT_THROW((void)miss_ratio_curve(trace, {4, CachePolicy::kFifo, nullptr}), InputError);
  const MissRatioCurve curve = miss_ratio_curve(trace, {4, CachePolicy::kLru, nullptr});
  EXPECT_THROW((void)curve.at(-1), InputError);
}

// Against a list that moves to the front, with so little time between compactions that they happen often.
TEST(StackDepth, CountsDifferentContentsSinceTheLastTouchAcrossCompactions) {
  for (const std::size_t moments : {1u, 2u, 7u, 64u}) {
    StackDepth stack(moments);
    std::list<std::int32_t> naive;
    const RandomStream stream(5, "stack depth");
    stack.grow(40);
    for (std::uint64_t i = 0; i < 3000; ++i) {
      const auto content = static_cast<std::int32_t>(stream.below(i, 1 + i / 80));
      const auto at = std::find(naive.begin(), naive.end(), content);
      ASSERT_EQ(stack.seen(ContentId(content)), at != naive.end());
      if (at != naive.end()) {
        ASSERT_EQ(stack.depth(ContentId(content)), std::distance(naive.begin(), at) + 1) << "touch " << i;
        naive.erase(at);
      }
      naive.push_front(content);
      stack.touch(ContentId(content));
    }
  }
}

}  // namespace
}  // namespace assay
