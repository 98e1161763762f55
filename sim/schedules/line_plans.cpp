// Planners that lay all units end to end and cut the line: ours, DeepGEMM's, stream-K.
//
// Each part's range follows from its own index alone (a prefix sum over the batch apart), so these are
// data-parallel: a CTA can compute its own start without a second launch.
#include <algorithm>

#include "model/core/check.h"
#include "model/core/schedule.h"
#include "sim/schedules/schedule.h"

namespace assay {
namespace {

// Hands the line of units to parts; cut(p) is where part p begins, cut(parts) the end of the line.
// The line runs over sequences, and over heads inside a sequence.
template <typename Cut>
void cut_line(const DecodeBatch& batch, Schedule& schedule, const Cut& cut) {
  std::int32_t part = 0;
  std::int64_t at = 0, part_end = cut(1);
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::int64_t units = ceil_div(batch.lengths[s], schedule.unit_tokens);
    for (std::int32_t head = 0; head < batch.kv_heads; ++head) {
      std::int64_t unit = 0;
      while (unit < units) {
        while (at >= part_end) part_end = cut(++part + 1);
        const std::int64_t count = std::min(units - unit, part_end - at);
        schedule.pieces.push_back({part, static_cast<std::int32_t>(s), head, unit, count, 1});
        unit += count;
        at += count;
      }
    }
  }
}

std::int64_t total_units(const DecodeBatch& batch, std::int32_t unit_tokens) {
  std::int64_t total = 0;
  for (const std::int64_t length : batch.lengths) total += ceil_div(length, unit_tokens);
  return total * batch.kv_heads;
}

}  // namespace

// Part p begins at total * p / parts, exactly as model/core/schedule.h tells the kernels.
void plan_assay(const DecodeBatch& batch, Schedule& schedule) {
  schedule.reset(batch.parts, 64, true);
  const std::int64_t total = total_units(batch, 64);
  cut_line(batch, schedule, [&](std::int32_t part) { return part_begin(total, batch.parts, part); });
}

// q, r = divmod(total, parts): the first parts get q segments, the last r get q + 1.
void plan_deepgemm(const DecodeBatch& batch, Schedule& schedule) {
  constexpr std::int32_t kSegmentTokens = 256;
  schedule.reset(batch.parts, kSegmentTokens, true);
  const std::int64_t total = total_units(batch, kSegmentTokens);
  const std::int64_t quotient = total / batch.parts, pivot = batch.parts - total % batch.parts;
  cut_line(batch, schedule,
           [&](std::int64_t part) { return part * quotient + std::max<std::int64_t>(0, part - pivot); });
}

// The first r parts get q + 1 units.
void plan_stream_k(const DecodeBatch& batch, Schedule& schedule, std::int32_t unit_tokens) {
  if (unit_tokens <= 0)
    throw InputError("stream-k unit", "a positive number of tokens", std::to_string(unit_tokens));
  schedule.reset(batch.parts, unit_tokens, true);
  const std::int64_t total = total_units(batch, unit_tokens);
  const std::int64_t quotient = total / batch.parts, remainder = total % batch.parts;
  cut_line(batch, schedule,
           [&](std::int64_t part) { return part * quotient + std::min<std::int64_t>(part, remainder); });
}

}  // namespace assay
