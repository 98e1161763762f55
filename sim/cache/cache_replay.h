// Cache mode: the order of requests against one flat cache of blocks. No time, no pool, no pinning of
// running requests: what a prefix cache of a given size could have given this traffic, per policy.
//
//   prompt      [ b0 ][ b1 ][ b2 ][ b3 ][ b4 ]      b2 is absent
//   block_hits    1     1     .     .     .   = 2   up to the first miss: what an engine can use
//   any_block_hits 1    1     .     1     1   = 4   whatever is there
//
//   lru, lru-prompt-order   a request first looks up all its blocks against the cache as it stands, then
//                           touches or inserts them one at a time: lru from the tail of the prompt to
//                           its head (the order in which an engine frees them), the other head to tail
//   all others              lookup and insertion alternate block by block in prompt order
//
// A block is evicted as soon as the cache would be over capacity. One rule per file: eviction_*.h.
// Which blocks are equal: content_chain.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "traces/request.h"

namespace assay {

enum class CachePolicy { kLru, kLruPromptOrder, kFifo, kLfu, kS3Fifo, kLengthAware, kBelady, kBeladyPinned };

// The names of --evict, from the one table that maps them.
[[nodiscard]] std::vector<std::string> cache_policy_names();
[[nodiscard]] std::string cache_policy_name(CachePolicy policy);
// Throws InputError naming `place` and every policy there is.
[[nodiscard]] CachePolicy cache_policy_of(std::string_view name, const std::string& place = "--evict");

struct CacheReplayOptions {
  std::int64_t block_tokens = 0;     // > 0; equal to the trace's granularity or any other: content_chain.h
  std::int64_t capacity_blocks = 0;  // 0 = unlimited
  CachePolicy policy = CachePolicy::kLru;
  const std::atomic<bool>* interrupted = nullptr;  // looked at between requests
};

// Counts over the whole trace. The three kinds of miss and block_hits sum to block_references.
struct CacheReplayResult {
  std::int64_t requests = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;

  std::int64_t block_references = 0;  // sum of ceil(input_tokens / block_tokens)
  std::int64_t unique_blocks = 0;
  std::int64_t block_hits = 0;      // before the request's first miss
  std::int64_t any_block_hits = 0;  // all present
  std::int64_t token_references = 0;
  std::int64_t token_hits = 0;             // tokens in block_hits; a partial block has fewer
  std::int64_t full_block_references = 0;  // without partial last blocks
  std::int64_t full_block_hits = 0;
  double mean_request_ratio = 0;  // token_hits / input_tokens, mean over requests that have a prompt

  std::int64_t miss_cold = 0;     // never seen before
  std::int64_t miss_evicted = 0;  // seen, and not there any more
  std::int64_t miss_behind = 0;   // there, but behind the request's first miss: any_block_hits - block_hits

  std::int64_t evictions = 0;
  std::int64_t peak_blocks = 0;  // most blocks ever there
  bool partial = false;          // interrupted: the counts cover the first `requests` requests
};

// Reads `requests` to its end. Throws InputError for impossible options and whatever the source throws.
[[nodiscard]] CacheReplayResult replay_cache(RequestSource& requests, const CacheReplayOptions& options);

}  // namespace assay
