// assay replay --find-pool and --knee: the same trace through pools of other sizes.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace assay::tools {

struct PoolPoint {
  std::int32_t blocks;
  std::int64_t preemptions, rejected;
  double token_ratio;
};
// Replays the trace through a pool of so many blocks.
using PoolRun = std::function<PoolPoint(std::int32_t blocks)>;

struct PoolSearch {
  std::int32_t first_blocks = 2, most_blocks = 1 << 28;  // where the search begins, and ends at the latest
  std::int32_t block_tokens = 16;
  bool knee = false;  // also points around the size found
  bool print = false;
};

// Finds the smallest pool that neither preempts nor rejects, to half a percent; fills `find_pool` and `knee`.
void find_pools(const PoolSearch& search, const PoolRun& run, nlohmann::ordered_json& document);

}  // namespace assay::tools
