// Cache mode on the public Mooncake traces (FAST'25): integers that independent programs computed.
// The files are not part of the project: ASSAY_TRACES names a directory that has them, otherwise these
// tests are skipped. The same rules are tested on traces of our own in cache_replay_test.cpp.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "sim/cache/cache_replay.h"
#include "sim/cache/miss_ratio_curve.h"
#include "traces/open.h"

namespace assay {
namespace {

class CacheGolden : public testing::Test {
 protected:
  // Empty when the file is not there.
  static std::string trace_path(const std::string& file) {
    const char* directory = std::getenv("ASSAY_TRACES");
    if (directory == nullptr) return {};
    const std::filesystem::path path = std::filesystem::path(directory) / file;
    return std::filesystem::exists(path) ? path.string() : std::string();
  }
  void SetUp() override {
    conversation_ = trace_path("mooncake_conversation.jsonl");
    synthetic_ = trace_path("mooncake_synthetic.jsonl");
    if (conversation_.empty() || synthetic_.empty())
      GTEST_SKIP()
          << "ASSAY_TRACES names no directory with mooncake_conversation.jsonl and mooncake_synthetic.jsonl";
  }
  static CacheReplayResult replay(const std::string& path, const char* policy, std::int64_t capacity,
                                  std::int64_t block_tokens = 512) {
    const auto trace = open_trace(path);
    return replay_cache(*trace, {block_tokens, capacity, cache_policy_of(policy), nullptr});
  }
  std::string conversation_, synthetic_;
};

struct Golden {
  const char* policy;
  std::int64_t capacity, hits;
};

TEST_F(CacheGolden, PrefixHitsOfBothOrdersOfLruAreExact) {
  for (const Golden& golden :
       {Golden{"lru", 1000, 12847}, Golden{"lru", 10000, 61046}, Golden{"lru", 50000, 102290},
        Golden{"lru", 0, 105710}, Golden{"lru-prompt-order", 1000, 12831},
        Golden{"lru-prompt-order", 10000, 60921}, Golden{"lru-prompt-order", 50000, 102290},
        Golden{"lru-prompt-order", 0, 105710}}) {
    const CacheReplayResult result = replay(conversation_, golden.policy, golden.capacity);
    EXPECT_EQ(result.block_hits, golden.hits) << golden.policy << " " << golden.capacity;
    EXPECT_EQ(result.block_references, 288500);
    EXPECT_EQ(result.unique_blocks, 182790);
  }
}

TEST_F(CacheGolden, AnyHitsOfFifoLfuAndBeladyAreExact) {
  for (const Golden& golden :
       {Golden{"fifo", 1000, 12559}, Golden{"fifo", 10000, 53812}, Golden{"fifo", 50000, 98096},
        Golden{"fifo", 0, 105710}, Golden{"lfu", 1000, 13871}, Golden{"lfu", 10000, 38013},
        Golden{"lfu", 50000, 99189}, Golden{"belady", 1000, 54994}, Golden{"belady", 10000, 105710}})
    EXPECT_EQ(replay(conversation_, golden.policy, golden.capacity).any_block_hits, golden.hits)
        << golden.policy << " " << golden.capacity;
}

// An unlimited cache under every definition of a hit.
TEST_F(CacheGolden, TheFiveDefinitionsOfAHitRatioDiffer) {
  const CacheReplayResult conversation = replay(conversation_, "lru", 0);
  EXPECT_EQ(conversation.requests, 12031);
  EXPECT_EQ(conversation.token_references, 144793823);
  const auto percent = [](std::int64_t part, std::int64_t whole) {
    return 100 * static_cast<double>(part) / static_cast<double>(whole);
  };
  EXPECT_NEAR(percent(conversation.block_hits, conversation.block_references), 36.6412, 5e-5);
  EXPECT_NEAR(percent(conversation.token_hits, conversation.token_references), 37.3624, 5e-5);
  EXPECT_NEAR(percent(conversation.full_block_hits, conversation.full_block_references), 38.19, 5e-3);
  EXPECT_NEAR(100 * conversation.mean_request_ratio, 40.94, 5e-3);
  const CacheReplayResult synthetic = replay(synthetic_, "lru", 0);
  EXPECT_EQ(synthetic.requests, 3993);
  EXPECT_EQ(synthetic.block_references, 121877);
  EXPECT_EQ(synthetic.unique_blocks, 43924);
  EXPECT_EQ(synthetic.block_hits, 77953);
  EXPECT_NEAR(percent(synthetic.token_hits, synthetic.token_references), 65.1244, 5e-5);
  EXPECT_NEAR(percent(synthetic.full_block_hits, synthetic.full_block_references), 65.94, 5e-3);
  EXPECT_NEAR(100 * synthetic.mean_request_ratio, 43.15, 5e-3);
}

TEST_F(CacheGolden, TheOnePassCurveEqualsReplaysAtEveryCapacityTried) {
  for (const std::string& path : {conversation_, synthetic_})
    for (const char* policy : {"lru", "lru-prompt-order"}) {
      const auto trace = open_trace(path);
      const MissRatioCurve curve = miss_ratio_curve(*trace, {512, cache_policy_of(policy), nullptr});
      for (const std::int64_t capacity : {1, 10, 100, 1000, 3000, 10000, 30000, 50000, 100000, 0}) {
        const CacheReplayResult replayed = replay(path, policy, capacity);
        const CurvePoint point = curve.at(capacity);
        EXPECT_EQ(point.block_hits, replayed.block_hits) << path << " " << policy << " " << capacity;
        EXPECT_EQ(point.any_block_hits, replayed.any_block_hits) << path << " " << policy << " " << capacity;
        EXPECT_EQ(point.token_hits, replayed.token_hits) << path << " " << policy << " " << capacity;
        EXPECT_EQ(point.full_block_hits, replayed.full_block_hits)
            << path << " " << policy << " " << capacity;
      }
    }
}

// 512-token hashes cut into smaller blocks share the same tokens, except that a shared partial tail
// of a 512-token block is now many blocks, of which two prompts may both have only the first.
TEST_F(CacheGolden, SmallerBlocksOfTheSameTraceShareAtLeastTheSameFullTokens) {
  const CacheReplayResult coarse = replay(conversation_, "lru", 0, 512);
  const CacheReplayResult fine = replay(conversation_, "lru", 0, 64);
  EXPECT_EQ(fine.token_references, coarse.token_references);
  EXPECT_GE(fine.full_block_hits * 64, coarse.full_block_hits * 512);
}

}  // namespace
}  // namespace assay
