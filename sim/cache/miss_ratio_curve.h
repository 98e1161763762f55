// Hits of an LRU cache at every capacity at once, in one pass, exactly.
//
// Mattson's observation: an LRU cache of C blocks holds the C most recently touched contents, whatever
// C is. So a block is there at capacity C exactly when its stack depth d (how many different contents
// were touched since it was, itself included) is at most C. With hits counted up to the first miss,
// block i of a prompt is hit exactly when all blocks before it are too:
//
//   depth of b0..b4      3   2   9   4   -          (-: never seen)
//   needed capacity      3   3   9   9   -          running maximum; infinity after the first unseen block
//
// and block_hits(C) is the number of blocks whose needed capacity is at most C. Depths are taken for the
// whole prompt before any of its blocks is touched, as lru and lru-prompt-order of cache_replay.h do.
//
// A Fenwick tree counts touches by time: O(references * log(unique blocks)); time is compacted when the
// tree is full. Memory is proportional to the unique blocks. Other policies have no such curve (FIFO, LFU
// and S3-FIFO are not stack algorithms); replay those per capacity.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "sim/cache/cache_replay.h"
#include "traces/request.h"

namespace assay {

struct MissRatioCurveOptions {
  std::int64_t block_tokens = 0;
  CachePolicy policy = CachePolicy::kLru;          // or kLruPromptOrder
  const std::atomic<bool>* interrupted = nullptr;  // looked at between requests
};

// Hits of a cache of one size; the names of cache_replay.h.
struct CurvePoint {
  std::int64_t block_hits = 0;
  std::int64_t any_block_hits = 0;
  std::int64_t token_hits = 0;
  std::int64_t full_block_hits = 0;
};

class MissRatioCurve {
 public:
  // What a cache of `capacity_blocks` would have hit; 0 = unlimited.
  [[nodiscard]] CurvePoint at(std::int64_t capacity_blocks) const;

  // The smallest capacity that hits as much as an unlimited cache; 0 when nothing ever hits.
  [[nodiscard]] std::int64_t saturation_blocks() const;

  std::int64_t requests = 0;
  std::int64_t block_references = 0;
  std::int64_t full_block_references = 0;
  std::int64_t token_references = 0;
  std::int64_t unique_blocks = 0;
  bool partial = false;  // interrupted: covers the first `requests` requests

  // points[c] = hits at capacity c; beyond the last entry nothing changes.
  std::vector<CurvePoint> points;
};

// Throws InputError for a policy other than the two orders of LRU.
[[nodiscard]] MissRatioCurve miss_ratio_curve(RequestSource& requests, const MissRatioCurveOptions& options);

}  // namespace assay
