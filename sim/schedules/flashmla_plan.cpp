// FlashMLA's decode schedule: 64-token blocks, filled part by part with a fixed payload; a request that
// begins on a part costs 5 blocks more. With several KV heads the parts are shared out among the heads,
// and every head repeats the plan.
//
//   blocks_i = max(1, ceil(length_i / 64));  payload = ceil(sum(blocks_i + 5) / parts) + 5
#include <algorithm>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "sim/schedules/schedule.h"

namespace assay {

void plan_flashmla(const DecodeBatch& batch, Schedule& schedule) {
  constexpr std::int64_t kBlockTokens = 64, kSwitchBlocks = 5;
  const std::int32_t query_tiles = static_cast<std::int32_t>(ceil_div(batch.group, 64));
  // A part is a group of query_tiles SMs that walk the same blocks, one tile of query rows each.
  const std::int32_t parts = std::max(1, batch.parts / (batch.kv_heads * query_tiles));
  schedule.reset(parts * batch.kv_heads, kBlockTokens, true);
  std::int64_t total = 0;
  const auto blocks_of = [&](std::size_t s) {
    return std::max<std::int64_t>(1, ceil_div(batch.lengths[s], kBlockTokens));
  };
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) total += blocks_of(s) + kSwitchBlocks;
  const std::int64_t payload = ceil_div(total, parts) + kSwitchBlocks;

  std::size_t request = 0;
  std::int64_t done_blocks = 0;
  for (std::int32_t part = 0; part < parts; ++part) {
    std::int64_t room = payload;
    while (request < batch.lengths.size()) {
      const std::int64_t left = blocks_of(request) - done_blocks;
      const bool finishes = room >= left + kSwitchBlocks;
      const std::int64_t taken = finishes ? left : std::max<std::int64_t>(0, room - kSwitchBlocks);
      // A request of length zero takes a block of room but has no unit to cover.
      const std::int64_t units = ceil_div(batch.lengths[request], kBlockTokens);
      const std::int64_t count = std::min(taken, units - std::min(units, done_blocks));
      if (count > 0)
        for (std::int32_t head = 0; head < batch.kv_heads; ++head)
          schedule.pieces.push_back(
              {head * parts + part, static_cast<std::int32_t>(request), head, done_blocks, count, 1});
      if (!finishes) {
        done_blocks += taken;
        break;
      }
      room -= left + kSwitchBlocks;
      ++request;
      done_blocks = 0;
    }
  }
  ASSAY_CHECK_EQ(request, batch.lengths.size());
}

}  // namespace assay
