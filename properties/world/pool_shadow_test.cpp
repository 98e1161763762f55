// Names, values and the shadow: what a verified pool is made of.
#include "properties/world/pool_shadow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "model/golden/cache_write.h"
#include "properties/world/token_values.h"

namespace assay::properties {
namespace {

TEST(TokenNames, RequestsShareNamesExactlyAsFarAsTheirHashIdsAgreeFromTheStart) {
  const RequestNames one(0, 10, {7, 8, 9}, 4), other(1, 10, {7, 8, 5}, 4), later(2, 10, {6, 8, 9}, 4);
  for (std::int64_t t = 0; t < 8; ++t) EXPECT_EQ(one.at(t), other.at(t)) << t;
  for (std::int64_t t = 8; t < 14; ++t) EXPECT_NE(one.at(t), other.at(t)) << t;
  // Equal ids behind another one are other tokens.
  for (std::int64_t t = 0; t < 14; ++t) EXPECT_NE(one.at(t), later.at(t)) << t;
}

TEST(TokenNames, TokensBeyondTheHashIdsAreTheRequestsOwnAndAllNamesOfARequestDiffer) {
  const RequestNames one(3, 12, {1, 2}, 4), twin(4, 12, {1, 2}, 4), none(5, 12, {}, 0);
  for (std::int64_t t = 0; t < 8; ++t) EXPECT_EQ(one.at(t), twin.at(t));
  for (std::int64_t t = 8; t < 40; ++t) EXPECT_NE(one.at(t), twin.at(t));
  std::set<TokenName> names;
  for (std::int64_t t = 0; t < 1000; ++t) {
    names.insert(one.at(t));
    names.insert(none.at(t));
  }
  EXPECT_EQ(names.size(), 2000u);
  EXPECT_EQ(names.count(kNoToken), 0u);
}

TEST(TokenValues, AQuantisedKeyIsByteForByteWhatTheCacheWriterWrites) {
  const TokenValues values(9, 8, 64);
  const FusedIndexLayout layout = make_fused_index_layout(4, 64);
  std::set<float> scales;
  for (TokenName name = 1; name < 200; ++name) {
    std::vector<float> row(64);
    values.key_row(name, row.data());
    std::vector<std::uint8_t> pool(static_cast<std::size_t>(layout.block_stride), 0xff), codes(64);
    const std::int64_t slot = static_cast<std::int64_t>(name % 4);
    (void)write_index_cache(compact_view<2>(row.data(), ElementType::kFp32, {1, 64}), {&slot, 1}, pool.data(),
                            layout, 1);
    const float scale = values.quantised_key(name, codes.data());
    EXPECT_EQ(std::memcmp(codes.data(), &pool[static_cast<std::size_t>(slot) * 64], 64), 0);
    float written = 0;
    std::memcpy(&written,
                &pool[static_cast<std::size_t>(layout.scale_offset(0, static_cast<std::int32_t>(slot)))], 4);
    EXPECT_EQ(scale, written);
    scales.insert(scale);
  }
  EXPECT_GT(scales.size(), 190u) << "tokens must differ in their scales, too";
}

TEST(TokenValues, QueriesHoldNoNanAndWeightsHaveBothSigns) {
  const TokenValues values(9, 64, 32);
  std::vector<std::uint8_t> codes(64 * 32);
  std::vector<float> weights(64);
  int negative = 0;
  for (TokenName name = 1; name < 20; ++name) {
    values.query(name, codes.data(), weights.data());
    for (const std::uint8_t code : codes) EXPECT_FALSE(E4M3::is_nan(code));
    for (const float weight : weights) negative += weight < 0;
  }
  EXPECT_GT(negative, 300);
  EXPECT_LT(negative, 900);
}

TEST(PoolShadow, HoldsWhatWasWrittenLastAndCountsSlotsWrittenTwiceInOneStep) {
  const RequestNames one(0, 6, {}, 0), other(1, 6, {}, 0);
  const NamesOf names = [&](std::int64_t request) -> const RequestNames& {
    return request == 0 ? one : other;
  };
  PoolShadow shadow(5, 4);
  EXPECT_EQ(shadow.at(2, 0).name, kNoToken);
  const std::vector<std::int32_t> first{2, 4}, second{4, 3};
  shadow.write({0, {{0, 0, 6, 6, false, first, first}}}, names);
  EXPECT_EQ(shadow.at(2, 3).name, one.at(3));
  EXPECT_EQ(shadow.at(4, 1).name, one.at(5));
  EXPECT_EQ(describe(shadow.at(4, 1)), "token 5 of request 0, written in step 0");
  EXPECT_EQ(describe(shadow.at(4, 2)), "nothing was ever written there");
  // Another request takes block 4 in the next step: written over, not twice in one step.
  shadow.write({1, {{1, 0, 2, 2, false, second, second}}}, names);
  EXPECT_EQ(shadow.at(4, 1).name, other.at(1));
  EXPECT_EQ(shadow.double_writes(), 0);
  shadow.write({2, {{0, 4, 1, 1, false, first, first}, {1, 0, 1, 1, false, second, second}}}, names);
  EXPECT_EQ(shadow.double_writes(), 1);
  ASSERT_TRUE(shadow.first_double_write().has_value());
  EXPECT_EQ(shadow.first_double_write()->block, 4);
  EXPECT_EQ(shadow.first_double_write()->first.request, 0);
  EXPECT_EQ(shadow.first_double_write()->second.request, 1);
  EXPECT_EQ(shadow.at(4, 0).name, other.at(0));
}

}  // namespace
}  // namespace assay::properties
