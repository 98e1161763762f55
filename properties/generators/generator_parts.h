// Draws that several operations share, and those of one operation that have a file of their own. Private to
// properties/generators.
#pragma once

#include <cstdint>
#include <vector>

#include "model/core/paged_layout.h"
#include "properties/cases/contents.h"
#include "properties/generators/generator.h"

namespace assay::properties {

inline std::int64_t round_up(std::int64_t value, std::int64_t unit) { return ceil_div(value, unit) * unit; }

// A length from the borders where kernels break, or any other; at most `most`.
[[nodiscard]] std::int32_t draw_length(Draws& draws, const Swarm& swarm, std::int32_t block_tokens,
                                       std::int32_t next_n, std::int64_t most);
[[nodiscard]] std::int32_t draw_batch(Draws& draws, const Swarm& swarm);
// Logical blocks of every sequence; some of them are another's.
void draw_tables(Draws& draws, const Swarm& swarm, Pool& pool, const std::vector<std::int32_t>& lengths);
// Where the logical blocks lie. The pool is as tight as its blocks, a little larger, or of gigabytes.
void draw_places(Draws& draws, Pool& pool, std::int64_t block_bytes, bool sparse);
void draw_table_width(Draws& draws, const Swarm& swarm, Pool& pool);
// Extra elements between rows: a multiple of 16 as a rule, odd where odd strides are on.
[[nodiscard]] std::int64_t gap(Draws& draws, const Swarm& swarm);

[[nodiscard]] PagedAttentionParameters draw_attention(Draws& draws, const GeneratorOptions& options,
                                                      const Swarm& swarm);
[[nodiscard]] MergeParameters draw_merge(Draws& draws, const Swarm& swarm);
[[nodiscard]] CacheWriteParameters draw_cache_write(Draws& draws, const GeneratorOptions& options,
                                                    const Swarm& swarm);
// Lanes in which a query points at one token want its score to stand alone: no soft cap.
void fit_to_lane(PagedAttentionParameters& p, Lane lane);

}  // namespace assay::properties
