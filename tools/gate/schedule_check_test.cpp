#include "tools/gate/schedule_check.h"

#include <gtest/gtest.h>

namespace assay::tools::gate {
namespace {

TEST(GateSchedules, EveryPlannerDoesEveryUnitOnce) {
  for (const Planner& planner : planners()) {
    const ScheduleVerdict verdict = check_planner(planner, 60, 1);
    EXPECT_EQ(verdict.fault, "") << planner.name;
    EXPECT_GE(verdict.balance, 1) << planner.name;
    EXPECT_GT(verdict.pieces, 60);
  }
}

TEST(GateSchedules, TheSameSeedGivesTheSameBalance) {
  const Planner& planner = planner_named("assay");
  EXPECT_EQ(check_planner(planner, 50, 3).balance, check_planner(planner, 50, 3).balance);
  EXPECT_NE(check_planner(planner, 50, 3).balance, check_planner(planner, 50, 4).balance);
}

// Canaries: schedules with one piece lost, one done twice, and all of it on one part.
void lose_one(const DecodeBatch& batch, Schedule& schedule) {
  planner_named("assay").plan(batch, schedule);
  if (schedule.pieces.size() > 2) schedule.pieces.pop_back();
}
void repeat_one(const DecodeBatch& batch, Schedule& schedule) {
  planner_named("assay").plan(batch, schedule);
  if (schedule.pieces.size() > 2) schedule.pieces.push_back(schedule.pieces.front());
}
void all_on_one(const DecodeBatch& batch, Schedule& schedule) {
  planner_named("assay").plan(batch, schedule);
  for (Piece& piece : schedule.pieces) piece.part = 0;
}

TEST(GateSchedules, APlantedFaultIsNamed) {
  EXPECT_NE(check_planner({"lose", "", true, lose_one}, 20, 1).fault.find("is never done"),
            std::string::npos);
  EXPECT_NE(check_planner({"twice", "", true, repeat_one}, 20, 1).fault.find("is done twice"),
            std::string::npos);
  const ScheduleVerdict heaped = check_planner({"heap", "", true, all_on_one}, 20, 1);
  EXPECT_EQ(heaped.fault, "");
  EXPECT_GT(heaped.balance, 2 * check_planner(planner_named("assay"), 20, 1).balance);
}

}  // namespace
}  // namespace assay::tools::gate
