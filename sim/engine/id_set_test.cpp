#include "sim/engine/id_set.h"

#include <gtest/gtest.h>

#include <set>

namespace assay {
namespace {

TEST(IdSet, AgreesWithStdSetOnIdsOfEverySize) {
  IdSet fast;
  std::set<std::int64_t> slow;
  for (std::int64_t i = 0; i < 50'000; ++i) {
    const std::int64_t id = i % 3 == 0   ? i / 7
                            : i % 3 == 1 ? (i % 977) << 40
                                         : -static_cast<std::int64_t>((i * 0x9E3779B97F4Aull) % 12345);
    ASSERT_EQ(fast.contains(id), slow.count(id) == 1);
    ASSERT_EQ(fast.insert(id), slow.insert(id).second);
  }
  EXPECT_EQ(fast.size(), slow.size());
  for (const std::int64_t id : {INT64_MIN, INT64_MAX}) {
    EXPECT_FALSE(fast.contains(id));
    EXPECT_TRUE(fast.insert(id));
    EXPECT_FALSE(fast.insert(id));
    EXPECT_TRUE(fast.contains(id));
  }
  EXPECT_EQ(fast.size(), slow.size() + 2);
}

}  // namespace
}  // namespace assay
