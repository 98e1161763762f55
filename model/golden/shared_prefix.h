// Shared prefixes, found in the block tables alone, and attention that computes each of them once.
//
//   tables        segments
//   7 2 9 4       blocks [0, 2) : sequences 0 1 2        (level 1)
//   7 2 9 5       blocks [2, 3) : sequences 0 1          (level 2)
//   7 2 3         the rest is each sequence's own
//   8 1
//
// Sequences share a block when all ids up to and including it agree, in the K table and in the V
// table; only blocks that are full in every member count. cascade_attention is paged_attention by
// another order of work: every shared segment once for all its members' queries, then each sequence's
// own rest, merged. Both agree within cascade_residual().
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "model/golden/paged_attention.h"

namespace assay {

struct SharedSegment {
  std::int32_t level = 0;                       // 0 = shared by the root group, 1 = inside it, ...
  std::int32_t block_begin = 0, block_end = 0;  // logical blocks
  std::vector<std::int32_t> sequences;          // at least two, ascending
  friend bool operator==(const SharedSegment&, const SharedSegment&) = default;
};

// Ordered by level, then by first member. full_blocks[b] = whole blocks of sequence b.
[[nodiscard]] std::vector<SharedSegment> find_shared_prefixes(
    const BlockTableView& keys, const BlockTableView& values, const std::vector<std::int64_t>& full_blocks,
    std::int32_t max_levels = std::numeric_limits<std::int32_t>::max());
[[nodiscard]] std::vector<SharedSegment> find_shared_prefixes(
    const PagedAttentionCase& problem, std::int32_t max_levels = std::numeric_limits<std::int32_t>::max());

// How far plain and cascade may differ, for lse, and for out relative to the largest |v| of the row. Both
// compute the same scores, each within (D + 8) 2^-53 A of the exact one (A: the largest
// softmax_scale * sum_d |q k| of the row), and add the same n terms in another order:
//   2 * 2^-53 * (2 (D + 12) A + n + 64)
[[nodiscard]] constexpr double cascade_residual(std::int64_t dims, std::int64_t tokens, double largest_size) {
  return 0x1p-52 * (2 * static_cast<double>(dims + 12) * largest_size + static_cast<double>(tokens) + 64);
}

AttentionReport cascade_attention(const PagedAttentionCase& problem, const ResultView<3>& out,
                                  const ResultView<2>& lse, const Execution& execution,
                                  std::int32_t max_levels = std::numeric_limits<std::int32_t>::max());

}  // namespace assay
