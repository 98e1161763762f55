#include "properties/world/step_pick.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>

#include "model/core/check.h"

namespace assay::properties {
namespace {

constexpr const char* kNames[] = {"even", "fragmentation", "imbalance", "length"};

}  // namespace

StepPick step_pick_named(const std::string& name, const std::string& place) {
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) return static_cast<StepPick>(i);
  throw InputError(place, "even, fragmentation, imbalance or length", "'" + name + "'");
}

const char* name_of(StepPick pick) { return kNames[static_cast<int>(pick)]; }

StepScores::StepScores(StepPick pick, std::int32_t parts, const std::string& planner)
    : pick_(pick), parts_(parts), planner_(&planner_named(planner)) {}

void StepScores::observe(const StepView& view) {
  lengths_.clear();
  for (const ScheduledSequence& s : view.record.scheduled)
    if (s.decode) lengths_.push_back(s.computed_before + 1);
  if (lengths_.empty()) return;
  double score = 0;
  switch (pick_) {
    case StepPick::kEven: break;
    case StepPick::kFragmentation:
      score = static_cast<double>(view.scheduler.table_runs()) /
              static_cast<double>(std::max<std::int64_t>(1, view.scheduler.table_blocks()));
      break;
    case StepPick::kImbalance:
      score = balance_of(*planner_, {lengths_, parts_}, scratch_).compute_over_ideal;
      break;
    case StepPick::kLength:
      score = static_cast<double>(*std::max_element(lengths_.begin(), lengths_.end()));
      break;
  }
  scored_.push_back({view.step, score});
}

std::vector<std::int64_t> StepScores::pick(std::int64_t count) const {
  const auto all = static_cast<std::int64_t>(scored_.size());
  count = std::min(count, all);
  std::vector<std::int64_t> picked;
  if (count <= 0) return picked;
  if (pick_ == StepPick::kEven) {
    for (std::int64_t i = 0; i < count; ++i)
      picked.push_back(
          scored_[static_cast<std::size_t>(count == 1 ? all - 1 : i * (all - 1) / (count - 1))].step);
    return picked;
  }
  std::vector<Scored> worst = scored_;
  std::stable_sort(worst.begin(), worst.end(),
                   [](const Scored& a, const Scored& b) { return a.score > b.score; });
  std::set<std::int64_t> taken;
  // Spread first; when that does not give enough, whatever is worst.
  for (const std::int64_t apart : {all / count / 4, std::int64_t{0}})
    for (const Scored& s : worst) {
      if (static_cast<std::int64_t>(taken.size()) == count) break;
      const auto after = taken.lower_bound(s.step - apart);
      if (after == taken.end() || *after > s.step + apart) taken.insert(s.step);
    }
  picked.assign(taken.begin(), taken.end());
  return picked;
}

}  // namespace assay::properties
