// Random numbers: the published vectors, streams that do not meet, draws that do not depend on order.
#include "model/core/philox.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace assay {
namespace {

__extension__ using Wide = unsigned __int128;

// Known answers of Philox4x32-10 as published with Random123.
TEST(Philox, ReproducesThePublishedVectors) {
  const auto zero = philox4x32({{0, 0, 0, 0}}, 0, 0);
  EXPECT_EQ(zero.word[0], 0x6627e8d5u);
  EXPECT_EQ(zero.word[1], 0xe169c58du);
  EXPECT_EQ(zero.word[2], 0xbc57ac4cu);
  EXPECT_EQ(zero.word[3], 0x9b00dbd8u);
  const auto ones = philox4x32({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u);
  EXPECT_EQ(ones.word[0], 0x408f276du);
  EXPECT_EQ(ones.word[1], 0x41c83b0eu);
  EXPECT_EQ(ones.word[2], 0xa20bc7c6u);
  EXPECT_EQ(ones.word[3], 0x6d5451fdu);
}

TEST(RandomStream, StreamsOfDifferentPurposeOrSeedDoNotMeet) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t seed : {0ull, 1ull, 2ull})
    for (const char* purpose : {"q", "keys", "key", "weights", ""})
      for (std::uint64_t index = 0; index < 64; ++index) seen.insert(RandomStream(seed, purpose).u64(index));
  EXPECT_EQ(seen.size(), 3u * 5 * 64);
}

TEST(RandomStream, ALiteralAndAStringViewNameTheSameStream) {
  for (const char* purpose : {"q", "context_tokens", ""})
    EXPECT_EQ(RandomStream(5, purpose).u64(3), RandomStream(5, std::string_view(purpose)).u64(3));
}

TEST(RandomStream, AChildIsItsOwnStream) {
  const RandomStream parent(7, "cases");
  EXPECT_NE(parent.child(0).u64(0), parent.child(1).u64(0));
  EXPECT_NE(parent.child(0).u64(0), parent.u64(0));
  EXPECT_EQ(parent.child(5).u64(9), RandomStream(7, "cases").child(5).u64(9));
}

TEST(RandomStream, BelowStaysBelowAndReachesBothEnds) {
  const RandomStream stream(3, "below");
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto drawn = stream.below(i, 7);
    ASSERT_LT(drawn, 7u);
    seen.insert(drawn);
  }
  EXPECT_EQ(seen.size(), 7u);
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto wide = static_cast<Wide>(stream.u64(i)) * 0xfedcba9876543210ull >> 64;
    EXPECT_EQ(stream.below(i, 0xfedcba9876543210ull), static_cast<std::uint64_t>(wide));
  }
}

TEST(RandomStream, NormalsHaveMeanZeroAndVarianceOne) {
  const RandomStream stream(11, "normal");
  double sum = 0, squares = 0;
  const int count = 200'000;
  for (int i = 0; i < count; ++i) {
    const double x = static_cast<double>(stream.normal(static_cast<std::uint64_t>(i)));
    ASSERT_LT(x * x, 36.0);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / count, 0, 0.01);
  EXPECT_NEAR(squares / count, 1, 0.02);
}

TEST(RandomStream, UniformsFillTheUnitInterval) {
  const RandomStream stream(11, "uniform");
  double sum = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const float x = stream.uniform(i);
    ASSERT_GE(x, 0.0f);
    ASSERT_LT(x, 1.0f);
    sum += static_cast<double>(x);
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
}

}  // namespace
}  // namespace assay
