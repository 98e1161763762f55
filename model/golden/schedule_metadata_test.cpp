#include "model/golden/schedule_metadata.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "model/core/paged_layout.h"
#include "model/core/philox.h"

namespace assay {
namespace {

ContextView view_of(const std::vector<std::int32_t>& lengths) {
  return {lengths.data(), static_cast<std::int64_t>(lengths.size()), 0, 1, 1};
}

// Which units each part gets, by walking from its start point to the next; exact cover is checked.
std::vector<std::int64_t> part_sizes(const std::vector<std::int32_t>& lengths, std::int32_t unit_tokens,
                                     const std::vector<UnitPoint>& starts) {
  std::vector<std::int64_t> sizes;
  UnitPoint at = starts.front();
  for (std::size_t part = 0; part + 1 < starts.size(); ++part) {
    std::int64_t size = 0;
    while (!(at == starts[part + 1])) {
      if (at.sequence >= static_cast<std::int32_t>(lengths.size())) return {};
      const std::int64_t units = ceil_div(lengths[at.sequence], unit_tokens);
      if (at.unit >= units) return {};
      ++size;
      if (++at.unit == units) {
        at = {at.sequence + 1, 0};
        while (at.sequence < static_cast<std::int32_t>(lengths.size()) && lengths[at.sequence] == 0)
          ++at.sequence;
      }
    }
    sizes.push_back(size);
  }
  return sizes;
}

TEST(ScheduleMetadata, CoversEveryUnitOnceInNearlyEqualParts) {
  const RandomStream random(1, "lengths");
  for (int round = 0; round < 60; ++round) {
    std::vector<std::int32_t> lengths;
    for (int b = 0; b < round % 9; ++b)
      lengths.push_back(static_cast<std::int32_t>(
          random.child(round).below(b, 3) == 0 ? 0 : random.child(round).below(b + 50, 2000)));
    for (const std::int32_t parts : {1, 2, 7, 132, 1000}) {
      const std::vector<UnitPoint> starts = schedule_metadata(view_of(lengths), 64, parts);
      ASSERT_EQ(starts.size(), static_cast<std::size_t>(parts) + 1);
      std::int64_t total = 0;
      for (const std::int32_t length : lengths) total += ceil_div(length, 64);
      const std::vector<std::int64_t> sizes = part_sizes(lengths, 64, starts);
      ASSERT_EQ(sizes.size(), static_cast<std::size_t>(parts));
      std::int64_t sum = 0;
      for (const std::int64_t size : sizes) {
        sum += size;
        ASSERT_GE(size, total / parts);
        ASSERT_LE(size, total / parts + 1);
      }
      ASSERT_EQ(sum, total);
    }
  }
}

// The canaries: schedules that skip, repeat or overrun a unit must not look like a cover.
TEST(ScheduleMetadata, ABrokenScheduleIsCaught) {
  const std::vector<std::int32_t> lengths{200, 0, 64, 500};
  const std::vector<UnitPoint> right = schedule_metadata(view_of(lengths), 64, 5);
  const auto total_of = [&](const std::vector<UnitPoint>& starts) {
    const std::vector<std::int64_t> sizes = part_sizes(lengths, 64, starts);
    return sizes.size() == 5 ? std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) : -1;
  };
  EXPECT_EQ(total_of(right), 13);
  std::vector<UnitPoint> skips = right, backwards = right, overruns = right;
  skips.front() = {0, 1};
  std::swap(backwards[1], backwards[2]);
  overruns[2] = {0, 4};  // sequence 0 has four units: 0 to 3
  EXPECT_EQ(total_of(skips), 12);
  EXPECT_EQ(total_of(backwards), -1);
  EXPECT_EQ(total_of(overruns), -1);
}

TEST(ScheduleMetadata, EqualsTheVocabularysBinarySearchPointByPoint) {
  const RandomStream random(2, "lengths");
  for (int round = 0; round < 60; ++round) {
    std::vector<std::int32_t> lengths;
    std::vector<std::int64_t> ends;
    for (int b = 0; b < round % 11; ++b) {
      lengths.push_back(static_cast<std::int32_t>(random.child(round).below(b, 1500)) * (b % 3 != 1));
      ends.push_back((ends.empty() ? 0 : ends.back()) + ceil_div(lengths.back(), 32));
    }
    for (const std::int32_t parts : {1, 3, 132}) {
      const std::vector<UnitPoint> starts = schedule_metadata(view_of(lengths), 32, parts);
      for (std::int32_t part = 0; part <= parts; ++part)
        ASSERT_EQ(starts[part],
                  part_start(ends.data(), static_cast<std::int32_t>(lengths.size()), parts, part))
            << round << " " << parts << " " << part;
    }
  }
}

TEST(ScheduleMetadata, ZeroWorkGivesEveryPartTheEnd) {
  for (const std::vector<std::int32_t>& lengths :
       {std::vector<std::int32_t>{}, std::vector<std::int32_t>(32, 0)})
    for (const UnitPoint& point : schedule_metadata(view_of(lengths), 64, 132))
      EXPECT_EQ(point, (UnitPoint{static_cast<std::int32_t>(lengths.size()), 0}));
  EXPECT_THROW((void)schedule_metadata(view_of({}), 64, 0), InputError);
  EXPECT_THROW((void)schedule_metadata(view_of({5, -1}), 64, 3), InputError);
}

}  // namespace
}  // namespace assay
