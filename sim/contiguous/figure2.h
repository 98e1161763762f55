// The vLLM paper's Fig. 2 (arXiv 2309.06180: where the KV memory goes), as far as its data allow: its
// OPT-13B pool, its four systems, ShareGPT-like lengths with its means. docs/fig2.md says what differs.
//
// The batch is saturated: everything has arrived at the start, and only steps in which a request waits
// for room count, so no clock and no model of the GPU enter. The paged row is the paper's block table
// without sharing: blocks of 16 on demand, the newest request preempted and recomputed when none is free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

inline constexpr std::int64_t kFigure2PoolBytes = std::int64_t{12} << 30;  // Table 1: 12 GB for the KV cache
inline constexpr std::int64_t kFigure2TokenBytes = std::int64_t{800} << 10;                // OPT-13B
inline constexpr std::int64_t kFigure2PoolSlots = kFigure2PoolBytes / kFigure2TokenBytes;  // 15,728: "15.7K"
inline constexpr std::int64_t kFigure2MaxTokens = 2048;
inline constexpr std::int32_t kFigure2BlockTokens = 16;

// Percent of the pool, mean over the steps in which a request waited; `others` holds the buddy
// allocator's rounding and whatever nobody has. batch: mean number of running requests.
struct Figure2Row {
  std::string system;
  double live = 0, reserved = 0, internal = 0, others = 0, batch = 0;
};

// The lengths that were drawn, without the requests that the model could not hold.
struct Figure2Lengths {
  std::int64_t requests = 0, left_out = 0;
  double mean_input = 0, mean_output = 0;
  double weighted_output =
      0;  // mean output weighted by itself: what a step sees, since long ones stay longer
};

struct Figure2 {
  Figure2Lengths lengths;
  std::vector<Figure2Row> ours, paper;  // the same four systems in the same order
};

[[nodiscard]] Figure2 figure2(std::int64_t requests, std::uint64_t seed);

}  // namespace assay
