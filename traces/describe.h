// What a trace looks like, in one pass: lengths, arrivals, prefix reuse, and what an unlimited prefix cache
// would hit under every definition in use. Definitions (docs/traces.md has them with an example):
//
//   block hit        a block whose id was seen in an earlier request, counted from the head of the prompt up
//                    to the first unseen one; any-block hits count beyond it too
//   blocks           block hits / block references
//   tokens           prompt tokens in hit blocks / prompt tokens (a partial last block counts its tokens)
//   full blocks      the same over blocks of full length only
//   mean request     mean over requests of hit tokens / prompt tokens (a request without prompt counts 0)
//   last half        tokens, over the requests from index floor(n / 2) on: the cache is warm
//   reuse distance   distinct other blocks touched since the last touch, prompt order (exact LRU distance)
//   reuse time       between the arrivals of two requests that touch a block
//
// Memory: 12 bytes per distinct id and 8 bytes per request of a format with ids, length counts by
// value, 16 bytes per second with an arrival.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "traces/distribution.h"
#include "traces/id_table.h"
#include "traces/recency.h"
#include "traces/request.h"

namespace assay {

struct ReuseSummary {
  std::int64_t references = 0, unique = 0;
  std::int64_t block_hits = 0, any_block_hits = 0;
  std::int64_t full_references = 0, full_hits = 0;
  std::int64_t token_hits = 0;
  double mean_request_ratio = 0.0;
  std::int64_t half_tokens = 0, half_token_hits = 0;
  bool half_known = true;  // false: a prompt of 2^32 tokens or more
  std::int64_t used_once = 0;
  double top_tenth_share = 0.0;  // of all reuses, by the most reused tenth of the distinct blocks
  std::vector<std::int64_t> distance_octaves;  // slot 0: distance 0; slot k: [2^(k-1), 2^k)
  std::vector<std::int64_t> time_octaves_ms;
};

class TraceStatistics {
 public:
  void add(const Request& request, std::int32_t hash_tokens);
  // Closes the account; call once, after the last add().
  void finish();
  // From the smallest to the largest arrival; in double, for the two may be 2^64 ns apart in a broken file.
  [[nodiscard]] double duration_s() const {
    return (static_cast<double>(last_ns) - static_cast<double>(first_ns)) * 1e-9;
  }

  std::int64_t requests = 0;
  Distribution input, output;
  std::int64_t no_output = 0, no_input = 0, no_arrival = 0, with_ids = 0, with_session = 0;
  std::map<std::string, std::int64_t> kinds, models;  // at most kNames names each, the rest under "..."

  std::int64_t first_ns = 0, last_ns = 0;  // smallest and largest arrival
  std::int64_t backwards = 0, equal_times = 0;
  double gap_mean_s = 0.0, gap_cv = 0.0;  // of times between consecutive requests that do not go back
  Distribution per_second;                // requests in each second from the first to the last arrival
  std::vector<std::int64_t> over_time;    // requests in kTimeSlots equal parts of the duration
  ReuseSummary reuse;

  static constexpr std::size_t kNames = 32, kTimeSlots = 60;

 private:
  struct Block {
    std::uint32_t position = 0, uses = 0, last_ms = 0;
    [[nodiscard]] bool used() const { return uses > 0; }
  };
  struct Second {
    std::int64_t requests = 0;
    [[nodiscard]] bool used() const { return requests > 0; }
  };
  void add_time(const Request& request);
  void add_ids(const Request& request, std::int32_t hash_tokens);
  void touch(Block& block, std::uint32_t now_ms);
  void finish_time();
  void finish_reuse();

  std::int64_t previous_ns_ = 0, origin_ns_ = 0, gaps_ = 0;
  double gap_squares_ = 0.0;
  bool any_time_ = false;
  IdTable<Second> seconds_;
  IdTable<Block> blocks_;
  Recency recency_;
  std::vector<std::array<std::uint32_t, 2>> halves_;  // (prompt tokens, hit tokens) per request
  double ratio_sum_ = 0.0;
};

}  // namespace assay
