#include "sim/schedules/schedule.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>

#include "model/core/check.h"

namespace assay {
namespace {

void plan_stream_k_64(const DecodeBatch& batch, Schedule& schedule) { plan_stream_k(batch, schedule, 64); }

constexpr std::array kPlanners{
    Planner{"assay", "64-token units laid end to end, equal ranges (what our kernels run)", true, plan_assay},
    Planner{"deepgemm", "256-token segments laid end to end, equal counts", true, plan_deepgemm},
    Planner{"stream-k", "64-token units over all heads, equal ranges", false, plan_stream_k_64},
    Planner{"one-cta-per-sequence", "one CTA per sequence and head, in order", false,
            plan_one_cta_per_sequence},
    Planner{"longest-first", "one CTA per sequence and head, longest first", false, plan_longest_first},
    Planner{"flashmla", "64-token blocks, greedy with a switch priced at 5 blocks", false, plan_flashmla},
    Planner{"flashinfer-decode", "one chunk size for all, by binary search", false, plan_flashinfer_decode},
    Planner{"flashinfer-mla", "chunks to the least loaded cluster, in request order", false,
            plan_flashinfer_mla},
    Planner{"flashinfer-holistic", "chunks to the least loaded of two CTAs per SM", false,
            plan_flashinfer_holistic},
    Planner{"fa3-static", "one split count for all sequences", false, plan_fa3_static},
    Planner{"fa3-dynamic", "splits per sequence, longest tiles first, atomic queue", false, plan_fa3_dynamic},
    Planner{"xqa", "interleaved 64-token tiles, one split count", false, plan_xqa},
};

}  // namespace

std::span<const Planner> planners() { return kPlanners; }

const Planner& planner_named(std::string_view name) {
  for (const Planner& planner : kPlanners)
    if (planner.name == name) return planner;
  std::string names;
  for (const Planner& planner : kPlanners) names += (names.empty() ? "" : ", ") + std::string(planner.name);
  throw InputError("--planner", "one of " + names, "'" + std::string(name) + "'");
}

std::int64_t cost_of(const Piece& piece, const Schedule& schedule, const DecodeBatch& batch) {
  const std::int64_t full = piece.unit_count * schedule.unit_tokens;
  if (schedule.charges_full_units || piece.unit_count == 0) return full;
  // Only the sequence's last unit can be partly dead, and it is the last of its piece.
  const std::int64_t last_unit = piece.unit_begin + (piece.unit_count - 1) * piece.unit_step;
  const std::int64_t length = batch.lengths[static_cast<std::size_t>(piece.sequence)];
  const std::int64_t dead = std::max<std::int64_t>(0, (last_unit + 1) * schedule.unit_tokens - length);
  return full - dead;
}

void loads_of(const Schedule& schedule, const DecodeBatch& batch, std::vector<std::int64_t>& loads) {
  loads.assign(static_cast<std::size_t>(schedule.parts), 0);
  for (const Piece& piece : schedule.pieces)
    loads[static_cast<std::size_t>(piece.part)] += cost_of(piece, schedule, batch);
}

std::int32_t SlotQueue::take(std::int64_t cost) {
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  Entry& entry = heap_.back();
  const std::int32_t slot = entry.slot;
  entry.load += cost;
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return slot;
}

}  // namespace assay
