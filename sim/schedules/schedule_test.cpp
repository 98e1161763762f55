// Every planner covers every unit of every (sequence, head) exactly once, for any batch and 1 to 200
// parts; and two broken planners are caught.
#include "sim/schedules/schedule.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

// The oracle: empty when the schedule covers everything once, else what is wrong with it.
std::string fault_of(const Schedule& schedule, const DecodeBatch& batch) {
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<int>> seen;
  for (const Piece& piece : schedule.pieces) {
    if (piece.part < 0 || piece.part >= schedule.parts)
      return "part " + std::to_string(piece.part) + " out of range";
    if (piece.unit_count <= 0) return "an empty piece";
    auto& units = seen[{piece.sequence, piece.head}];
    units.resize(static_cast<std::size_t>(ceil_div(batch.lengths[piece.sequence], schedule.unit_tokens)));
    for (std::int64_t i = 0; i < piece.unit_count; ++i) {
      const std::int64_t unit = piece.unit_begin + i * piece.unit_step;
      if (unit < 0 || unit >= static_cast<std::int64_t>(units.size()))
        return "sequence " + std::to_string(piece.sequence) + " unit " + std::to_string(unit) +
               " does not exist";
      if (++units[static_cast<std::size_t>(unit)] > 1)
        return "sequence " + std::to_string(piece.sequence) + " unit " + std::to_string(unit) + " twice";
    }
  }
  for (std::size_t s = 0; s < batch.lengths.size(); ++s)
    for (std::int32_t head = 0; head < batch.kv_heads; ++head) {
      const auto units = static_cast<std::size_t>(ceil_div(batch.lengths[s], schedule.unit_tokens));
      const auto found = seen.find({static_cast<std::int32_t>(s), head});
      if (units == 0) continue;
      if (found == seen.end() ||
          std::count(found->second.begin(), found->second.end(), 1) != static_cast<long>(units))
        return "sequence " + std::to_string(s) + " head " + std::to_string(head) + " is not covered";
    }
  return "";
}

std::vector<std::int64_t> any_lengths() {
  return *rc::gen::container<std::vector<std::int64_t>>(rc::gen::weightedOneOf<std::int64_t>({
      {2, rc::gen::just<std::int64_t>(0)},
      {4, rc::gen::inRange<std::int64_t>(0, 700)},
      {2, rc::gen::element<std::int64_t>(63, 64, 65, 127, 128, 129, 255, 256, 257, 8192)},
      {1, rc::gen::inRange<std::int64_t>(0, 140'000)},
  }));
}

RC_GTEST_PROP(SchedulePlanners, EveryPlannerCoversEveryUnitExactlyOnce, ()) {
  const auto lengths = any_lengths();
  DecodeBatch batch{lengths, *rc::gen::inRange(1, 201), *rc::gen::element(1, 2, 8),
                    *rc::gen::element(1, 8, 128)};
  for (const Planner& planner : planners()) {
    if (planner.multi_query_only) batch.kv_heads = 1;
    Schedule schedule;
    planner.plan(batch, schedule);
    const std::string fault = fault_of(schedule, batch);
    if (!fault.empty()) RC_FAIL(std::string(planner.name) + ": " + fault);
  }
}

RC_GTEST_PROP(SchedulePlanners, LinePlansDifferByAtMostOneUnitBetweenParts, ()) {
  const auto lengths = any_lengths();
  const DecodeBatch batch{lengths, *rc::gen::inRange(1, 201)};
  for (const char* name : {"assay", "deepgemm", "stream-k"}) {
    Schedule schedule;
    planner_named(name).plan(batch, schedule);
    std::vector<std::int64_t> loads;
    loads_of(schedule, batch, loads);
    const auto [low, high] = std::minmax_element(loads.begin(), loads.end());
    RC_ASSERT(*high - *low <= schedule.unit_tokens);
  }
}

// What the kernels compute for themselves and what the simulator says are the same plan.
RC_GTEST_PROP(SchedulePlanners, OurPlanIsTheKernelsMetadata, ()) {
  const auto lengths = any_lengths();
  const DecodeBatch batch{lengths, *rc::gen::inRange(1, 201)};
  std::vector<std::int64_t> ends;
  std::int64_t sum = 0;
  for (const std::int64_t length : lengths) ends.push_back(sum += ceil_div(length, 64));
  Schedule schedule;
  plan_assay(batch, schedule);
  std::vector<bool> started(static_cast<std::size_t>(batch.parts), false);
  for (const Piece& piece : schedule.pieces) {
    if (started[static_cast<std::size_t>(piece.part)]) continue;
    started[static_cast<std::size_t>(piece.part)] = true;
    const UnitPoint start =
        part_start(ends.data(), static_cast<std::int32_t>(lengths.size()), batch.parts, piece.part);
    RC_ASSERT(start.sequence == piece.sequence);
    RC_ASSERT(start.unit == piece.unit_begin);
  }
}

TEST(SchedulePlannersCanary, APlanThatLosesItsLastUnitIsCaught) {
  const std::vector<std::int64_t> lengths{1000, 0, 65};
  const DecodeBatch batch{lengths};
  Schedule schedule;
  plan_assay(batch, schedule);
  ASSERT_EQ(fault_of(schedule, batch), "");
  schedule.pieces.pop_back();
  EXPECT_EQ(fault_of(schedule, batch), "sequence 2 head 0 is not covered");
}

TEST(SchedulePlannersCanary, APlanThatReadsAUnitTwiceIsCaught) {
  const std::vector<std::int64_t> lengths{1000};
  const DecodeBatch batch{lengths, 4};
  Schedule schedule;
  plan_deepgemm(batch, schedule);
  schedule.pieces.front().unit_count += 1;
  EXPECT_EQ(fault_of(schedule, batch), "sequence 0 unit 1 twice");
}

TEST(SchedulePlanners, NoWorkGivesNoPieces) {
  for (const std::vector<std::int64_t>& lengths :
       {std::vector<std::int64_t>{}, std::vector<std::int64_t>(64, 0)})
    for (const Planner& planner : planners()) {
      Schedule schedule;
      planner.plan(DecodeBatch{lengths}, schedule);
      EXPECT_TRUE(schedule.pieces.empty()) << planner.name;
    }
}

TEST(SchedulePlanners, AnUnknownPlannerIsRefusedWithTheListOfPlanners) {
  try {
    (void)planner_named("best");
    FAIL() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_NE(error.expected().find("fa3-dynamic"), std::string::npos);
    EXPECT_EQ(error.got(), "'best'");
  }
}

}  // namespace
}  // namespace assay
