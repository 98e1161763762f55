#include "tools/gate/schedule_check.h"

#include <fmt/format.h>

#include <vector>

#include "model/core/paged_layout.h"
#include "model/core/philox.h"
#include "sim/schedules/balance.h"

namespace assay::tools::gate {
namespace {

struct DrawnBatch {
  std::vector<std::int64_t> lengths;
  std::int32_t parts = 1, kv_heads = 1;
};

DrawnBatch draw_batch(const RandomStream& stream, bool one_head) {
  std::uint64_t next = 0;
  const auto in = [&](std::int64_t begin, std::int64_t end) {
    return begin + static_cast<std::int64_t>(stream.below(next++, static_cast<std::uint64_t>(end - begin)));
  };
  DrawnBatch batch;
  batch.parts = in(0, 3) == 0 ? kH200SmCount : static_cast<std::int32_t>(in(1, 160));
  batch.kv_heads = one_head ? 1 : static_cast<std::int32_t>(in(1, 9));
  const std::int64_t kind = in(0, 5), sequences = in(0, 3) == 0 ? in(0, 3) : in(1, 97);
  for (std::int64_t i = 0; i < sequences; ++i) {
    std::int64_t length = 0;
    if (kind == 0) length = in(0, 2) * in(0, 3000);                // empty ones between
    if (kind == 1) length = i == 0 ? in(1, 200'000) : in(1, 500);  // one giant
    if (kind == 2) length = in(1, 64);                             // many short
    if (kind == 3) length = (std::int64_t{1} << in(0, 15)) + in(-1, 2);
    if (kind == 4) length = in(1, 16'000);
    batch.lengths.push_back(length);
  }
  return batch;
}

// The first unit that is done twice, never, or that does not exist; "" when there is none.
std::string coverage_fault(const Schedule& schedule, const DecodeBatch& batch) {
  std::vector<std::vector<bool>> done(batch.lengths.size() * static_cast<std::size_t>(batch.kv_heads));
  for (std::size_t i = 0; i < done.size(); ++i)
    done[i].assign(static_cast<std::size_t>(ceil_div(
                       batch.lengths[i / static_cast<std::size_t>(batch.kv_heads)], schedule.unit_tokens)),
                   false);
  for (const Piece& piece : schedule.pieces) {
    const std::int64_t row = std::int64_t{piece.sequence} * batch.kv_heads + piece.head;
    if (piece.part < 0 || piece.part >= schedule.parts || row < 0 ||
        row >= static_cast<std::int64_t>(done.size()))
      return fmt::format("a piece of sequence {} on part {} of {}", piece.sequence, piece.part,
                         schedule.parts);
    std::vector<bool>& units = done[static_cast<std::size_t>(row)];
    for (std::int64_t i = 0; i < piece.unit_count; ++i) {
      const std::int64_t unit = piece.unit_begin + i * piece.unit_step;
      if (unit < 0 || unit >= static_cast<std::int64_t>(units.size()))
        return fmt::format("unit {} of sequence {}, which has {}", unit, piece.sequence, units.size());
      if (units[static_cast<std::size_t>(unit)])
        return fmt::format("unit {} of sequence {} is done twice", unit, piece.sequence);
      units[static_cast<std::size_t>(unit)] = true;
    }
  }
  for (std::size_t i = 0; i < done.size(); ++i)
    for (std::size_t unit = 0; unit < done[i].size(); ++unit)
      if (!done[i][unit])
        return fmt::format("unit {} of sequence {} is never done", unit,
                           i / static_cast<std::size_t>(batch.kv_heads));
  return "";
}

}  // namespace

ScheduleVerdict check_planner(const Planner& planner, std::int64_t batches, std::uint64_t seed) {
  const RandomStream stream(seed, "gate schedules");
  ScheduleVerdict verdict;
  BalanceScratch scratch;
  double makespans = 0, ideals = 0;  // tokens
  for (std::int64_t index = 0; index < batches; ++index) {
    const DrawnBatch drawn =
        draw_batch(stream.child(static_cast<std::uint64_t>(index)), planner.multi_query_only);
    const DecodeBatch batch{drawn.lengths, drawn.parts, drawn.kv_heads, 1};
    planner.plan(batch, scratch.schedule);
    ++verdict.batches;
    verdict.pieces += static_cast<std::int64_t>(scratch.schedule.pieces.size());
    verdict.fault = coverage_fault(scratch.schedule, batch);
    if (!verdict.fault.empty()) {
      verdict.fault = fmt::format("batch {}: {}", index, verdict.fault);
      return verdict;
    }
    if (batch.useful_tokens() == 0) continue;
    const double ideal = static_cast<double>(batch.useful_tokens()) / batch.parts;
    makespans += balance_of(planner, batch, scratch).compute_over_ideal * ideal;
    ideals += ideal;
  }
  if (ideals > 0) verdict.balance = makespans / ideals;
  return verdict;
}

}  // namespace assay::tools::gate
