// XQA's decode grid: 64-token tiles, one sub-sequence count for all, interleaved: sub-sequence j of S takes
// tiles j, j + S, j + 2S ... Three CTAs per SM.
//
//   S = max(1, round(floor(3 * SMs / (batch * heads)) / 4)), at most the tiles of the longest sequence
#include <algorithm>

#include "model/core/paged_layout.h"
#include "sim/schedules/schedule.h"

namespace assay {

void plan_xqa(const DecodeBatch& batch, Schedule& schedule) {
  constexpr std::int32_t kTileTokens = 64, kCtasPerSm = 3;
  schedule.reset(batch.parts, kTileTokens, true);
  if (batch.lengths.empty()) return;
  std::int64_t longest = 0;
  for (const std::int64_t length : batch.lengths) longest = std::max(longest, ceil_div(length, kTileTokens));
  const std::int64_t slots = static_cast<std::int64_t>(kCtasPerSm) * batch.parts;
  const std::int64_t quarters = slots / (static_cast<std::int64_t>(batch.lengths.size()) * batch.kv_heads);
  // quarters / 4 rounded to nearest, halves to even.
  std::int64_t rounded = quarters / 4;
  if (quarters % 4 == 3 || (quarters % 4 == 2 && rounded % 2 == 1)) ++rounded;
  const std::int64_t splits = std::min(std::max<std::int64_t>(1, rounded), longest);
  SlotQueue queue(static_cast<std::int32_t>(slots));
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::int64_t tiles = ceil_div(batch.lengths[s], kTileTokens);
    const std::int64_t own_splits = std::min(splits, tiles);
    for (std::int32_t head = 0; head < batch.kv_heads; ++head)
      for (std::int64_t split = 0; split < own_splits; ++split) {
        const std::int64_t count = (tiles - split - 1) / own_splits + 1;
        const std::int32_t part = queue.take(count * kTileTokens) % batch.parts;
        schedule.pieces.push_back({part, static_cast<std::int32_t>(s), head, split, count, own_splits});
      }
  }
}

}  // namespace assay
