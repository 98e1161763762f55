// Schedules tile every unit exactly once, in ranges that differ by at most one, for 1 to 200 parts.
#include "model/core/schedule.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

namespace assay {
namespace {

std::vector<std::int64_t> unit_ends_of(const std::vector<int>& lengths, int unit_tokens) {
  std::vector<std::int64_t> ends;
  std::int64_t sum = 0;
  for (const int length : lengths) ends.push_back(sum += ceil_div(length, unit_tokens));
  return ends;
}

RC_GTEST_PROP(ScheduleProperty, TheRangesTileAllUnitsOnceAndDifferByAtMostOne, ()) {
  const auto lengths = *rc::gen::container<std::vector<int>>(rc::gen::weightedOneOf<int>(
      {{2, rc::gen::just(0)}, {3, rc::gen::inRange(0, 300)}, {1, rc::gen::inRange(0, 70'000)}}));
  const int parts = *rc::gen::inRange(1, 201);
  const auto ends = unit_ends_of(lengths, 64);
  const auto batch = static_cast<std::int32_t>(lengths.size());
  const std::int64_t total = ends.empty() ? 0 : ends.back();

  std::vector<std::vector<int>> seen(lengths.size());
  for (std::size_t s = 0; s < lengths.size(); ++s)
    seen[s].assign(static_cast<std::size_t>(ceil_div(lengths[s], 64)), 0);
  std::int64_t smallest = total, largest = 0;
  for (int part = 0; part < parts; ++part) {
    // Decoded with the consumer's rule: walk from this start point to the next one.
    UnitPoint at = part_start(ends.data(), batch, parts, part);
    const UnitPoint stop = part_start(ends.data(), batch, parts, part + 1);
    std::int64_t units = 0;
    while (!(at == stop)) {
      RC_ASSERT(at.sequence < batch);
      const auto length = static_cast<std::int32_t>(seen[at.sequence].size());
      if (length > 0) {
        ++seen[at.sequence][at.unit];
        ++units;
      }
      if (++at.unit >= length && !(at == stop)) at = {at.sequence + 1, 0};
      while (at.sequence < batch && seen[at.sequence].empty() && !(at == stop)) ++at.sequence;
    }
    smallest = std::min(smallest, units);
    largest = std::max(largest, units);
  }
  for (const auto& sequence : seen)
    for (const int count : sequence) RC_ASSERT(count == 1);
  RC_ASSERT(largest - smallest <= 1);
}

RC_GTEST_PROP(ScheduleProperty, EveryUnitLiesInTheRangeOfItsPart, ()) {
  const auto total = *rc::gen::inRange<std::int64_t>(1, 100'000);
  const auto unit = *rc::gen::inRange<std::int64_t>(0, total);
  const int parts = *rc::gen::inRange(1, 300);
  const int part = part_of(total, parts, unit);
  RC_ASSERT(part >= 0 && part < parts);
  RC_ASSERT(part_begin(total, parts, part) <= unit);
  RC_ASSERT(unit < part_begin(total, parts, part + 1));
}

TEST(Schedule, NoWorkIsLegal) {
  EXPECT_EQ(part_start(nullptr, 0, 132, 5), (UnitPoint{0, 0}));
  const std::vector<std::int64_t> all_zero{0, 0, 0};
  for (int part = 0; part <= 132; ++part)
    EXPECT_EQ(part_start(all_zero.data(), 3, 132, part), (UnitPoint{3, 0}));
}

TEST(Schedule, AStartPointPassesOverEmptySequences) {
  const std::vector<std::int64_t> ends{0, 2, 2, 3};  // lengths 0, 2, 0, 1 units
  EXPECT_EQ(locate_unit(ends.data(), 4, 0), (UnitPoint{1, 0}));
  EXPECT_EQ(locate_unit(ends.data(), 4, 2), (UnitPoint{3, 0}));
  EXPECT_EQ(locate_unit(ends.data(), 4, 3), (UnitPoint{4, 0}));
}

}  // namespace
}  // namespace assay
