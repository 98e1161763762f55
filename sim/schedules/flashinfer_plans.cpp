// FlashInfer's three planners.
//
//   decode    one chunk size for all: the smallest number of pages per chunk (at least 128 tokens) for
//             which all chunks of all heads fit the grid of occupancy * SMs CTAs; no split at all once
//             batch * heads fills the grid. CTAs are dispatched by the hardware, four per SM.
//   MLA       chunks of a common limit go to the least loaded cluster, in request order.
//   holistic  the same over two CTAs per SM with 16-row query tiles; each chunk for every KV head.
#include <algorithm>
#include <string>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "sim/schedules/schedule.h"

namespace assay {

void plan_flashinfer_decode(const DecodeBatch& batch, Schedule& schedule) {
  constexpr std::int32_t kPageTokens = 16, kCtasPerSm = 4;
  const std::int32_t min_pages = std::max(128 / kPageTokens, 1);
  schedule.reset(batch.parts, kPageTokens, true);
  if (batch.lengths.empty()) return;
  const std::int64_t grid = static_cast<std::int64_t>(kCtasPerSm) * batch.parts;
  std::int64_t longest = 0;
  for (const std::int64_t length : batch.lengths) longest = std::max(longest, ceil_div(length, kPageTokens));
  std::int64_t chunk = std::max<std::int64_t>(longest, 1);
  if (static_cast<std::int64_t>(batch.lengths.size()) * batch.kv_heads < grid) {
    std::int64_t low = min_pages, high = std::max<std::int64_t>(longest, min_pages);
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      std::int64_t chunks = 0;
      for (const std::int64_t length : batch.lengths)
        chunks += ceil_div(ceil_div(length, kPageTokens), middle);
      if (chunks * batch.kv_heads > grid) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    chunk = low;
  }
  SlotQueue slots(kCtasPerSm * batch.parts);
  for (std::int32_t head = 0; head < batch.kv_heads; ++head)
    for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
      const std::int64_t pages = ceil_div(batch.lengths[s], kPageTokens);
      for (std::int64_t begin = 0; begin == 0 || begin < pages; begin += chunk) {
        const std::int64_t count = std::min(chunk, pages - begin);
        const std::int32_t part = slots.take(count * kPageTokens) % batch.parts;
        if (count > 0) schedule.pieces.push_back({part, static_cast<std::int32_t>(s), head, begin, count, 1});
      }
    }
}

void plan_flashinfer_mla(const DecodeBatch& batch, Schedule& schedule) {
  // All query heads of a KV head are packed into rows; more than 64 rows take a cluster of two CTAs.
  const std::int32_t packed_rows = batch.group;
  const std::int32_t cluster = packed_rows > 64 ? 2 : 1;
  const std::int32_t clusters = std::max(1, batch.parts / cluster);
  const std::int64_t tile_rows = 64LL * cluster;
  if (packed_rows > tile_rows)
    throw InputError("flashinfer-mla", "at most 128 query heads per KV head", std::to_string(packed_rows));
  schedule.reset(clusters, 1, false);
  const std::int64_t share = std::max<std::int64_t>(ceil_div(batch.useful_tokens(), clusters), 1);
  const std::int64_t limit = share <= 8    ? 32
                             : share <= 16 ? 64
                             : share <= 32 ? 128
                             : share <= 64 ? 192
                                           : ceil_div(share, 256) * 256;
  SlotQueue heap(clusters);
  for (std::size_t s = 0; s < batch.lengths.size(); ++s)
    for (std::int32_t head = 0; head < batch.kv_heads; ++head)
      for (std::int64_t begin = 0; begin < batch.lengths[s]; begin += limit) {
        const std::int64_t count = std::min(limit, batch.lengths[s] - begin);
        const std::int32_t part = heap.take(2 * tile_rows + count);
        schedule.pieces.push_back({part, static_cast<std::int32_t>(s), head, begin, count, 1});
      }
}

void plan_flashinfer_holistic(const DecodeBatch& batch, Schedule& schedule) {
  constexpr std::int32_t kCtasPerSm = 2, kQueryTile = 16;
  const std::int32_t ctas = batch.parts * kCtasPerSm;
  schedule.reset(batch.parts, 1, false);
  const std::int64_t share = std::max<std::int64_t>(ceil_div(batch.useful_tokens(), ctas), 1);
  const std::int64_t limit = share <= 128 ? 128 : ceil_div(share, 256) * 256;
  SlotQueue heap(ctas);
  for (std::size_t s = 0; s < batch.lengths.size(); ++s)
    for (std::int64_t begin = 0; begin < batch.lengths[s]; begin += limit) {
      const std::int64_t count = std::min(limit, batch.lengths[s] - begin);
      for (std::int32_t head = 0; head < batch.kv_heads; ++head) {
        const std::int32_t part = heap.take(2 * kQueryTile + count) % batch.parts;
        schedule.pieces.push_back({part, static_cast<std::int32_t>(s), head, begin, count, 1});
      }
    }
}

}  // namespace assay
