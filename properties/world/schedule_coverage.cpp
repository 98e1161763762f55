#include "properties/world/schedule_coverage.h"

#include <fmt/format.h>

#include "model/core/paged_layout.h"

namespace assay::properties {

void ScheduleCoverage::check(const StepView& view) {
  lengths_.clear();
  for (const ScheduledSequence& s : view.record.scheduled)
    if (s.decode) lengths_.push_back(s.computed_before + 1);
  planner_.plan({lengths_, parts_, kv_heads_, 1}, schedule_);
  pieces_ += static_cast<std::int64_t>(schedule_.pieces.size());
  if (!fault_.empty()) return;
  const auto place = [&] { return fmt::format("step {}, planner {}", view.step, planner_.name); };
  done_.assign(lengths_.size() * static_cast<std::size_t>(kv_heads_), {});
  for (std::size_t i = 0; i < done_.size(); ++i)
    done_[i].assign(static_cast<std::size_t>(
                        ceil_div(lengths_[i / static_cast<std::size_t>(kv_heads_)], schedule_.unit_tokens)),
                    0);
  for (const Piece& piece : schedule_.pieces) {
    if (piece.part < 0 || piece.part >= schedule_.parts) {
      fault_ = fmt::format("{}: part {} of {}", place(), piece.part, schedule_.parts);
      return;
    }
    auto& units = done_[static_cast<std::size_t>(std::int64_t{piece.sequence} * kv_heads_ + piece.head)];
    for (std::int64_t i = 0; i < piece.unit_count; ++i) {
      const std::int64_t unit = piece.unit_begin + i * piece.unit_step;
      if (unit >= static_cast<std::int64_t>(units.size()) || units[static_cast<std::size_t>(unit)]++ != 0) {
        fault_ =
            fmt::format("{}: unit {} of sequence {}, head {} of {} units is done twice or does not exist",
                        place(), unit, piece.sequence, piece.head, units.size());
        return;
      }
    }
  }
  for (std::size_t i = 0; i < done_.size(); ++i)
    for (std::size_t unit = 0; unit < done_[i].size(); ++unit)
      if (done_[i][unit] == 0) {
        fault_ = fmt::format("{}: unit {} of sequence {} is never done", place(), unit,
                             i / static_cast<std::size_t>(kv_heads_));
        return;
      }
}

}  // namespace assay::properties
