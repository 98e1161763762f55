#include "tools/timeline/schedule_timeline.h"

#include <string>
#include <vector>

#include "model/core/check.h"

namespace assay::tools {

void ScheduleTimeline::add(const Planner& planner, const Schedule& schedule, const DecodeBatch& batch) {
  pieces_ += static_cast<std::int64_t>(schedule.pieces.size());
  if (pieces_ > kMostPieces)
    throw InputError("--timeline", "at most " + std::to_string(kMostPieces) + " pieces of work",
                     std::to_string(pieces_) + " (fewer planners, sequences or heads)");
  const std::int64_t pid = ++processes_;
  trace_.name_process(pid, planner.name);
  std::vector<double> at(static_cast<std::size_t>(schedule.parts), 0);
  for (std::int32_t part = 0; part < schedule.parts; ++part)
    trace_.name_track(pid, part, "SM " + std::to_string(part));
  for (const Piece& piece : schedule.pieces) {
    if (piece.unit_count == 0) continue;
    const auto cost = static_cast<double>(cost_of(piece, schedule, batch));
    double& begin = at[static_cast<std::size_t>(piece.part)];
    trace_.slice(pid, piece.part, begin, cost, "sequence " + std::to_string(piece.sequence),
                 ChromeTrace::Args()
                     .add("head", std::int64_t{piece.head})
                     .add("unit_begin", piece.unit_begin)
                     .add("unit_count", piece.unit_count)
                     .add("unit_step", piece.unit_step)
                     .add("unit_tokens", std::int64_t{schedule.unit_tokens}));
    begin += cost;
  }
}

std::string ScheduleTimeline::json() const {
  ChromeTrace trace = trace_;
  trace.remark("time", "one token of context is shown as one microsecond; a plan, nothing measured");
  return trace.json();
}

}  // namespace assay::tools
