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
// own rest, merged. Both agree within cascade_residual() (docs/golden.md).
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

AttentionReport cascade_attention(const PagedAttentionCase& problem, const ResultView<3>& out,
                                  const ResultView<2>& lse, const Execution& execution,
                                  std::int32_t max_levels = std::numeric_limits<std::int32_t>::max());

}  // namespace assay
