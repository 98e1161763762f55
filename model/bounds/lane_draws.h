// How lanes draw: named streams, exact powers, shuffled blocks. Shared by the two kinds of lane; nobody
// else includes this.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "model/core/float_formats.h"
#include "model/core/philox.h"

namespace assay::lane_draws {

// Streams: what is drawn, not where it goes, so that one tensor never disturbs another.
enum Stream : std::uint64_t { kQ, kKeys, kValues, kWeights, kScales, kBlocks, kPlace, kChoice };

// 2^round(sigma * normal), without libm.
inline float random_power(const RandomStream& random, std::uint64_t index, float sigma) {
  const int exponent = static_cast<int>(std::lround(sigma * random.normal(index)));
  return static_cast<float>(detail::power_of_two(std::clamp(exponent, -30, 30)));
}

inline std::int32_t integer_in(const RandomStream& random, std::uint64_t index, std::int32_t limit) {
  return static_cast<std::int32_t>(random.below(index, 2 * limit + 1)) - limit;
}

// A shuffled hand-out of physical ids.
inline std::vector<std::int32_t> shuffled_blocks(std::int32_t blocks, const RandomStream& random) {
  std::vector<std::int32_t> order(blocks);
  for (std::int32_t i = 0; i < blocks; ++i) order[i] = i;
  for (std::int32_t i = blocks - 1; i > 0; --i)
    std::swap(order[i], order[random.below(i, static_cast<std::uint64_t>(i) + 1)]);
  return order;
}

// Dead table entries: values that fault, and values that do not (a block of nobody, full of poison).
inline std::int32_t dead_entry(std::size_t index, std::int32_t spare_block) {
  switch (index % 3) {
    case 0: return -1;
    case 1: return std::numeric_limits<std::int32_t>::max();
    default: return spare_block;
  }
}

inline int bits_for(std::int64_t values) {
  int bits = 0;
  while ((std::int64_t{1} << bits) < values) ++bits;
  return bits;
}

}  // namespace assay::lane_draws
