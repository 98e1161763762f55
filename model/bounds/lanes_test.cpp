#include "model/bounds/lanes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace assay {
namespace {

class Digest {  // FNV-1a
 public:
  template <typename T>
  void add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) hash_ = (hash_ ^ bytes[i]) * 0x100000001b3ull;
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ull;
};

std::uint64_t digest_of(MqaLane lane, std::uint64_t seed) {
  MqaShape shape;
  shape.contexts = {130, 0, 64};
  const MqaLaneCase made = make_mqa_lane(lane, shape, seed);
  Digest digest;
  digest.add(made.q);
  digest.add(made.weights);
  digest.add(made.cache);
  digest.add(made.table);
  digest.add(made.lengths);
  return digest.value();
}

std::uint64_t digest_of(AttentionLane lane, std::uint64_t seed) {
  AttentionShape shape;
  shape.contexts = {130, 0, 64};
  shape.query_heads = 4;
  shape.kv_heads = 2;
  shape.dims = 64;
  const AttentionLaneCase made = make_attention_lane(lane, shape, seed);
  Digest digest;
  digest.add(made.q);
  digest.add(made.keys);
  digest.add(made.values);
  digest.add(made.key_table);
  digest.add(made.value_table);
  return digest.value();
}

// A repro file names a lane and a seed: the bits behind them must not change between machines, builds
// or versions without anybody noticing.
TEST(Lanes, EveryLaneHasTheBitsItHadWhenThisTestWasWritten) {
  Digest logits, attention;
  std::vector<std::uint64_t> all;
  for (const MqaLane lane : kMqaLanes) all.push_back(digest_of(lane, 1));
  logits.add(all);
  EXPECT_EQ(logits.value(), 0x2bf23e8c77be4d89ull);
  all.clear();
  for (const AttentionLane lane : kAttentionLanes) all.push_back(digest_of(lane, 1));
  attention.add(all);
  EXPECT_EQ(attention.value(), 0xe36a32a41a8d47e7ull);
}

TEST(Lanes, DifferentLanesAndSeedsAreDifferentCases) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const MqaLane lane : kMqaLanes) seen.insert(digest_of(lane, seed));
    for (const AttentionLane lane : kAttentionLanes) seen.insert(digest_of(lane, seed));
  }
  EXPECT_EQ(seen.size(), 3 * (std::size(kMqaLanes) + std::size(kAttentionLanes)));
}

// The bit budget: |dot| < 2^13 for E8M13 accumulators, |sum over heads| <= 2^24 for fp32.
TEST(Lanes, ExactLanesStayInsideTheirBitBudget) {
  for (const MqaLane lane : {MqaLane::kExactQk, MqaLane::kExactW})
    for (const std::int32_t dims : {32, 128, 256}) {
      MqaShape shape;
      shape.dims = dims;
      shape.contexts = {100};
      const MqaLaneCase made = make_mqa_lane(lane, shape, 5);
      double largest_q = 0, weights = 0;
      for (const std::uint8_t code : made.q) largest_q = std::max(largest_q, std::fabs(E4M3::decode(code)));
      for (const float w : made.weights) weights += std::fabs(static_cast<double>(w));
      EXPECT_GE(largest_q, 1);
      EXPECT_LT(largest_q * largest_q * dims, 8192);
      EXPECT_LE(largest_q * largest_q * dims * weights, 0x1p24);
    }
}

TEST(Lanes, EverythingThatTheContractCallsDeadIsPoison) {
  MqaShape shape;
  shape.contexts = {70};
  shape.block_stride = 64 * 132 + 256;
  const MqaLaneCase made = make_mqa_lane(MqaLane::kGaussian, shape, 1);
  const FusedIndexLayout layout = make_fused_index_layout(64, 128, shape.block_stride);
  std::int64_t live = 0;
  for (std::int64_t byte = 0; byte < static_cast<std::int64_t>(made.cache.size()); ++byte) {
    const FusedIndexLayout::Inverse at = layout.inverse(byte);
    const bool lives = at.part != FusedIndexLayout::Inverse::Part::kGap &&
                       ((at.block == made.table[0]) || (at.block == made.table[1] && at.slot < 6));
    live += lives;
    if (!lives) {
      ASSERT_EQ(made.cache[byte], 0xff) << byte;
    }
  }
  EXPECT_EQ(live, 70 * 132);
  std::set<std::int32_t> dead;
  for (std::size_t i = 2; i < made.table.size(); ++i) dead.insert(made.table[i]);
  EXPECT_GE(dead.size(), 2u);
}

TEST(Lanes, RefuseWhatTheyCannotExpress) {
  MqaShape few_heads;
  few_heads.heads = 4;
  few_heads.contexts = {1000};
  EXPECT_THROW((void)make_mqa_lane(MqaLane::kAddress, few_heads, 1), InputError);
  AttentionShape odd;
  odd.query_heads = 5;
  odd.kv_heads = 2;
  EXPECT_THROW((void)make_attention_lane(AttentionLane::kGaussian, odd, 1), InputError);
}

}  // namespace
}  // namespace assay
