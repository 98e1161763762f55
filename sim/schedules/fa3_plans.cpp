// FlashAttention-3's two split rules for decode over a paged cache: 128-token tiles.
//
//   efficiency(s) = w / ceil(w),  w = tiles * s / SMs;  S = the smallest s within 85 % of the best
//   static    every sequence gets the same S, planned for the longest one
//   dynamic   S is planned for a batch of one and is only an upper bound; a sequence gets
//             ceil(blocks_i / blocks_per_sm) splits with 10 % margin; items sorted by length, taken from
//             an atomic queue. More than 992 sequences are never split.
#include <algorithm>
#include <vector>

#include "model/core/paged_layout.h"
#include "sim/schedules/schedule.h"

namespace assay {
namespace {

constexpr std::int32_t kTileTokens = 128, kTileRows = 128;
constexpr std::int64_t kMaxSplits = 128, kMaxSplittableBatch = 992;

std::int64_t longest_tiles(const DecodeBatch& batch) {
  std::int64_t longest = 0;
  for (const std::int64_t length : batch.lengths) longest = std::max(longest, ceil_div(length, kTileTokens));
  return longest;
}

std::int64_t split_count(std::int64_t row_tiles, std::int64_t kv_tiles, std::int32_t parts) {
  if (static_cast<double>(row_tiles) >= 0.8 * parts || kv_tiles <= 4) return 1;
  const std::int64_t most = std::min({kMaxSplits, static_cast<std::int64_t>(parts), kv_tiles});
  const auto efficiency = [&](std::int64_t splits) {
    const double waves = static_cast<double>(row_tiles * splits) / parts;
    const auto whole = static_cast<double>(ceil_div(row_tiles * splits, parts));
    return waves / whole;
  };
  double best = 0;
  for (std::int64_t s = 1; s <= most; ++s) best = std::max(best, efficiency(s));
  for (std::int64_t s = 1; s <= most; ++s)
    if (efficiency(s) >= 0.85 * best) return s;
  return 1;
}

}  // namespace

void plan_fa3_static(const DecodeBatch& batch, Schedule& schedule) {
  schedule.reset(batch.parts, kTileTokens, true);
  const std::int64_t longest = longest_tiles(batch);
  const auto row_tiles = static_cast<std::int64_t>(batch.lengths.size()) * batch.kv_heads;
  const std::int64_t splits = split_count(row_tiles, longest, batch.parts);
  const std::int64_t per_split = std::max<std::int64_t>(1, ceil_div(longest, splits));
  SlotQueue queue(batch.parts);
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::int64_t tiles = ceil_div(batch.lengths[s], kTileTokens);
    for (std::int32_t head = 0; head < batch.kv_heads; ++head)
      for (std::int64_t split = 0; split < splits; ++split) {
        const std::int64_t count = std::clamp<std::int64_t>(tiles - split * per_split, 0, per_split);
        const std::int32_t part = queue.take(count * kTileTokens);
        if (count > 0)
          schedule.pieces.push_back({part, static_cast<std::int32_t>(s), head, split * per_split, count, 1});
      }
  }
}

void plan_fa3_dynamic(const DecodeBatch& batch, Schedule& schedule) {
  schedule.reset(batch.parts, kTileTokens, true);
  const std::int64_t row_tiles_per_head = std::max<std::int64_t>(1, ceil_div(batch.group, kTileRows));
  const std::int64_t upper =
      split_count(batch.kv_heads * row_tiles_per_head, longest_tiles(batch), batch.parts);
  std::int64_t total = 0;
  for (const std::int64_t length : batch.lengths) total += ceil_div(length, kTileTokens);
  // ceil(total * rows * 1.1 * heads / parts) in integers.
  const std::int64_t blocks_per_part = std::max<std::int64_t>(
      1, ceil_div(total * row_tiles_per_head * batch.kv_heads * 11, 10LL * batch.parts));
  struct Item {
    std::int64_t per_split, tiles, splits;
    std::int32_t sequence;
  };
  std::vector<Item> items;
  items.reserve(batch.lengths.size());
  const bool never_split =
      upper == 1 || static_cast<std::int64_t>(batch.lengths.size()) > kMaxSplittableBatch;
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::int64_t tiles = ceil_div(batch.lengths[s], kTileTokens);
    const std::int64_t splits =
        never_split ? 1 : std::max<std::int64_t>(1, std::min(ceil_div(tiles, blocks_per_part), upper));
    items.push_back({ceil_div(tiles, splits), tiles, splits, static_cast<std::int32_t>(s)});
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.per_split > b.per_split; });
  SlotQueue queue(batch.parts);
  for (const Item& item : items)
    for (std::int32_t head = 0; head < batch.kv_heads; ++head)
      for (std::int64_t split = 0; split < item.splits; ++split) {
        const std::int64_t begin = split * item.per_split;
        const std::int64_t count = std::clamp<std::int64_t>(item.tiles - begin, 0, item.per_split);
        const std::int32_t part = queue.take(count * kTileTokens);
        if (count > 0) schedule.pieces.push_back({part, item.sequence, head, begin, count, 1});
      }
}

}  // namespace assay
