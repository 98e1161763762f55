// Which decode steps of a replay are verified.
//
//   even            spread evenly over all decode steps, the first and the last among them
//   fragmentation   the largest share of table entries that begin a new run of consecutive ids
//   imbalance       the largest makespan / ideal of one planner
//   length          the longest context
//
// The worst steps lie side by side, one token apart. So that N steps see N situations, a step is passed over when
// one is already picked within a quarter of the even spacing; ties go to the earlier step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/engine/replay.h"

namespace assay::properties {

enum class StepPick { kEven, kFragmentation, kImbalance, kLength };
// Throws InputError(place, the names, name).
[[nodiscard]] StepPick step_pick_named(const std::string& name, const std::string& place);
[[nodiscard]] const char* name_of(StepPick pick);

// Watches a whole replay, then says which steps. 16 bytes per decode step.
class StepScores {
 public:
  // planner: whose balance scores `imbalance`.
  StepScores(StepPick pick, std::int32_t parts, const std::string& planner);
  void observe(const StepView& view);

  struct Scored {
    std::int64_t step = 0;
    double score = 0;
  };
  [[nodiscard]] const std::vector<Scored>& scored() const { return scored_; }
  // At most `count` steps, ascending.
  [[nodiscard]] std::vector<std::int64_t> pick(std::int64_t count) const;

 private:
  StepPick pick_;
  std::int32_t parts_;
  const Planner* planner_;
  BalanceScratch scratch_;
  std::vector<std::int64_t> lengths_;
  std::vector<Scored> scored_;
};

}  // namespace assay::properties
