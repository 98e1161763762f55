// A request while it is in the engine: what it needs, what it has, where it is.
#pragma once

#include <cstdint>
#include <vector>

#include "model/core/ids.h"
#include "sim/engine/block_pool.h"

namespace assay {

struct Sequence {
  RequestId request;
  std::int64_t arrival_ns = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t output_tokens = 0;  // to generate; at least 1 is scheduled, see Scheduler
  std::int64_t generated_tokens = 0;
  std::int64_t computed_tokens = 0;  // whose keys and values are in the pool

  std::vector<BlockContent> contents;  // of its full blocks, as far as they are known
  std::vector<std::int32_t> blocks;    // its block table
  std::int32_t published_blocks = 0;   // leading blocks that carry their content
  std::int32_t skipped_blocks = 0;     // leading blocks that fell out of the sliding window
  std::int32_t runs = 0;               // runs of consecutive ids in `blocks`
  std::int64_t own_content_base = -1;  // contents beyond the shared ones are own_content_base + block index

  std::int32_t preemptions = 0;
  std::int64_t first_step = -1;  // step of the first admission
  std::int64_t first_scheduled_ns = -1;
  std::int64_t first_token_ns = -1;

  [[nodiscard]] std::int64_t tokens() const { return prompt_tokens + generated_tokens; }
};

}  // namespace assay
