// Cache mode on traces small enough to replay with a pencil.
#include "sim/cache/cache_replay.h"

#include <gtest/gtest.h>

#include "model/core/check.h"
#include "sim/cache/trace_in_memory.h"

namespace assay {
namespace {

CacheReplayResult replay(const std::vector<Request>& requests, const char* policy, std::int64_t capacity,
                         std::int64_t block_tokens = 4, std::int32_t hash_tokens = 4) {
  TraceInMemory trace(hash_tokens, requests);
  return replay_cache(trace, {block_tokens, capacity, cache_policy_of(policy)});
}

// A B C | A B D | A B C with room for three blocks.
//   lru:          first prompt leaves (oldest to newest) C B A. Second: A B hit, D missed; touching D
//                 evicts C: B A D -> B -> A: D B A. Third: A B hit, C missed, evicts D.       4 hits
//   prompt order: A B C; second: A B hit; touch A, B, insert D evicts C; third: A B hit.       4 hits
const std::vector<Request> kTwoOfThree = {prompt_of(12, {1, 2, 3}), prompt_of(12, {1, 2, 4}),
                                          prompt_of(12, {1, 2, 3})};

TEST(CacheReplay, CountsHitsUpToTheFirstMiss) {
  for (const char* policy : {"lru", "lru-prompt-order"}) {
    const CacheReplayResult result = replay(kTwoOfThree, policy, 3);
    EXPECT_EQ(result.block_hits, 4) << policy;
    EXPECT_EQ(result.any_block_hits, 4) << policy;
    EXPECT_EQ(result.miss_cold, 4) << policy;
    EXPECT_EQ(result.miss_evicted, 1) << policy;
    EXPECT_EQ(result.evictions, 2) << policy;
    EXPECT_EQ(result.unique_blocks, 4) << policy;
    EXPECT_EQ(result.block_references, 9) << policy;
    EXPECT_EQ(result.peak_blocks, 3) << policy;
  }
}

// A B C with room for two, said twice. Tail to head leaves B A behind: both heads hit the second time.
// Head to tail leaves B C behind: the head is gone, and what is there cannot be reached.
TEST(CacheReplay, TheOrderOfTouchingDecidesWhichEndOfAPromptSurvives) {
  const std::vector<Request> twice = {prompt_of(12, {1, 2, 3}), prompt_of(12, {1, 2, 3})};
  const CacheReplayResult tail_first = replay(twice, "lru", 2);
  EXPECT_EQ(tail_first.block_hits, 2);
  EXPECT_EQ(tail_first.any_block_hits, 2);
  EXPECT_EQ(tail_first.miss_behind, 0);
  const CacheReplayResult head_first = replay(twice, "lru-prompt-order", 2);
  EXPECT_EQ(head_first.block_hits, 0);
  EXPECT_EQ(head_first.any_block_hits, 2);
  EXPECT_EQ(head_first.miss_behind, 2);
  EXPECT_EQ(head_first.miss_evicted, 1);
}

// Looking up and inserting alternate: A's insertion pushes out B before B is looked up, and so on.
TEST(CacheReplay, FifoCascadesThroughAPromptThatJustDoesNotFit) {
  const std::vector<Request> twice = {prompt_of(12, {1, 2, 3}), prompt_of(12, {1, 2, 3})};
  EXPECT_EQ(replay(twice, "fifo", 2).any_block_hits, 0);
  EXPECT_EQ(replay(twice, "fifo", 3).any_block_hits, 3);
}

// One-block prompts a a b c a: room for two. FIFO drops a (first in) for c, LRU too, LFU drops b.
TEST(CacheReplay, LfuKeepsWhatWasAskedForTwice) {
  const std::vector<Request> requests = {prompt_of(4, {1}), prompt_of(4, {1}), prompt_of(4, {2}),
                                         prompt_of(4, {3}), prompt_of(4, {1})};
  EXPECT_EQ(replay(requests, "fifo", 2).any_block_hits, 1);
  EXPECT_EQ(replay(requests, "lru", 2).any_block_hits, 1);
  EXPECT_EQ(replay(requests, "lfu", 2).any_block_hits, 2);
  EXPECT_EQ(replay(requests, "belady", 2).any_block_hits, 2);
}

// a a a b b | c evicts b (2 < 3) | b evicts c: had b kept its old count, 1 + 2 would tie with a's 3 and
// d would evict a (older touch); forgotten, b has 1 and goes.   hits: a a b, then a
TEST(CacheReplay, LfuForgetsACountAtEviction) {
  const std::vector<Request> requests = {prompt_of(4, {1}), prompt_of(4, {1}), prompt_of(4, {1}),
                                         prompt_of(4, {2}), prompt_of(4, {2}), prompt_of(4, {3}),
                                         prompt_of(4, {2}), prompt_of(4, {4}), prompt_of(4, {1})};
  EXPECT_EQ(replay(requests, "lfu", 2).any_block_hits, 4);
}

// a b c a b with room for two. Belady at c: a is used before b, so b goes; a hits; b then misses.
TEST(CacheReplay, BeladyEvictsTheFarthestNextUse) {
  const std::vector<Request> requests = {prompt_of(4, {1}), prompt_of(4, {2}), prompt_of(4, {3}),
                                         prompt_of(4, {1}), prompt_of(4, {2})};
  EXPECT_EQ(replay(requests, "belady", 2).any_block_hits, 1);
  EXPECT_EQ(replay(requests, "lru", 2).any_block_hits, 0);
}

// A B with room for one: Belady always inserts, so B pushes out A; pinned, A stays and B is not kept.
TEST(CacheReplay, APinnedChainDoesNotCutOffItsOwnHead) {
  const std::vector<Request> twice = {prompt_of(8, {1, 2}), prompt_of(8, {1, 2})};
  EXPECT_EQ(replay(twice, "belady", 1).block_hits, 0);
  const CacheReplayResult pinned = replay(twice, "belady-pinned", 1);
  EXPECT_EQ(pinned.block_hits, 1);
  EXPECT_EQ(pinned.evictions, 0);
}

TEST(CacheReplay, LengthAwareEvictsTheDeepestBlock) {
  // A B C fill the room of three; D (another prompt's first block) pushes out C, not A.
  const std::vector<Request> requests = {prompt_of(12, {1, 2, 3}), prompt_of(4, {4}),
                                         prompt_of(12, {1, 2, 3})};
  EXPECT_EQ(replay(requests, "length-aware", 3).block_hits, 2);
  EXPECT_EQ(replay(requests, "fifo", 3).any_block_hits, 0);
}

// Room for ten: small has one place, main nine. a is asked for three times in small, the others once.
// The tenth newcomer finds small over its share: a is promoted, then b goes to the ghosts.
TEST(CacheReplay, S3FifoPromotesWhatWasUsedTwiceAndRemembersWhatWasNot) {
  std::vector<Request> requests;
  for (const int id : {1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) requests.push_back(prompt_of(4, {id}));
  requests.push_back(prompt_of(4, {1}));  // promoted: hit
  requests.push_back(prompt_of(4, {2}));  // a ghost: miss, goes to main; 3 is evicted
  for (const int id : {12, 13, 14, 15, 16, 17, 18, 19}) requests.push_back(prompt_of(4, {id}));
  requests.push_back(prompt_of(4, {2}));  // still there
  requests.push_back(prompt_of(4, {4}));  // long gone
  EXPECT_EQ(replay(requests, "s3-fifo", 10).any_block_hits, 4);
}

TEST(CacheReplay, APartialLastBlockIsABlockWithFewerTokens) {
  const CacheReplayResult result = replay({prompt_of(10, {1, 2, 3}), prompt_of(10, {1, 2, 3})}, "lru", 0);
  EXPECT_EQ(result.block_references, 6);
  EXPECT_EQ(result.block_hits, 3);
  EXPECT_EQ(result.token_hits, 10);
  EXPECT_EQ(result.full_block_references, 4);
  EXPECT_EQ(result.full_block_hits, 2);
  EXPECT_DOUBLE_EQ(result.mean_request_ratio, 0.5);
}

// Hash ids of 4 tokens, blocks of 2, 6 and 8: equality follows the tokens.
TEST(CacheReplay, BlocksOfAnotherSizeAreDerivedByTokenIdentity) {
  const std::vector<Request> requests = {prompt_of(12, {1, 2, 3}), prompt_of(12, {1, 2, 4})};
  EXPECT_EQ(replay(requests, "lru", 0, 2).block_hits, 4);  // 8 shared tokens in blocks of 2
  EXPECT_EQ(replay(requests, "lru", 0, 6).block_hits, 1);  // [0, 6) yes, [6, 12) no
  EXPECT_EQ(replay(requests, "lru", 0, 8).block_hits, 1);
  EXPECT_EQ(replay(requests, "lru", 0, 16).block_hits, 0);
  EXPECT_EQ(replay(requests, "lru", 0, 6).token_hits, 6);
}

TEST(CacheReplay, AnIdUnderAnotherParentIsAnotherBlock) {
  EXPECT_EQ(replay({prompt_of(8, {1, 7}), prompt_of(8, {2, 7})}, "fifo", 0).any_block_hits, 0);
}

TEST(CacheReplay, WithoutHashIdsNothingIsShared) {
  const CacheReplayResult result = replay({prompt_of(9, {}), prompt_of(9, {})}, "lru", 0, 4, 0);
  EXPECT_EQ(result.block_references, 6);
  EXPECT_EQ(result.any_block_hits, 0);
  EXPECT_EQ(result.unique_blocks, 6);
}

TEST(CacheReplay, TokensPastTheHashIdsAreTheRequestsOwn) {
  // Ten tokens, ids for eight: the third block is private, twice.
  const CacheReplayResult result = replay({prompt_of(10, {1, 2}), prompt_of(10, {1, 2})}, "lru", 0);
  EXPECT_EQ(result.block_hits, 2);
  EXPECT_EQ(result.miss_cold, 4);
}

TEST(CacheReplay, EmptyPromptsAndEmptyTracesAreFine) {
  const CacheReplayResult nothing = replay({}, "belady", 3);
  EXPECT_EQ(nothing.requests, 0);
  EXPECT_EQ(nothing.mean_request_ratio, 0);
  const CacheReplayResult result = replay({prompt_of(0, {}), prompt_of(4, {1}), prompt_of(4, {1})}, "lru", 1);
  EXPECT_EQ(result.requests, 3);
  EXPECT_EQ(result.block_hits, 1);
  EXPECT_DOUBLE_EQ(result.mean_request_ratio, 0.5);  // over the two that have a prompt
}

TEST(CacheReplay, AnInterruptedReplayCountsWhatItSawAndSaysSo) {
  TraceInMemory trace(4, kTwoOfThree);
  const std::atomic<bool> interrupted{true};
  for (const std::string& name : cache_policy_names()) {
    const CacheReplayResult result = replay_cache(trace, {4, 3, cache_policy_of(name), &interrupted});
    EXPECT_TRUE(result.partial) << name;
    EXPECT_EQ(result.requests, 0) << name;
  }
}

TEST(CacheReplay, ImpossibleOptionsAreRefusedByName) {
  TraceInMemory trace(4, kTwoOfThree);
  EXPECT_THROW((void)replay_cache(trace, {0, 3, CachePolicy::kLru}), InputError);
  EXPECT_THROW((void)replay_cache(trace, {4, -1, CachePolicy::kLru}), InputError);
  try {
    (void)cache_policy_of("mru");
    FAIL() << "an unknown policy was accepted";
  } catch (const InputError& error) {
    for (const std::string& name : cache_policy_names())
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << name;
  }
  for (const std::string& name : cache_policy_names())
    EXPECT_EQ(cache_policy_name(cache_policy_of(name)), name);
}

}  // namespace
}  // namespace assay
