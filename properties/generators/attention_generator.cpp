// Draws a case of paged attention: decode (one query each) or packed queries, every ratio of heads, both orders
// of a block's axes, K and V in the same blocks or not.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "properties/cases/attention_values.h"
#include "properties/generators/generator_parts.h"

namespace assay::properties {
namespace {

void draw_shape(Draws& draws, const GeneratorOptions& options, PagedAttentionParameters& p) {
  p.kv_heads = draws.pick<std::int32_t>({1, 1, 2, 2, 4, 8});
  const std::int32_t group = draws.pick<std::int32_t>({1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 16});
  p.heads = p.kv_heads * std::min(group, std::max(1, 32 / p.kv_heads));
  p.dims = draws.percent(options.odd_shapes_percent) ? draws.pick<std::int32_t>({20, 80, 96, 192, 256})
                                                     : draws.pick<std::int32_t>({32, 64, 64, 64, 128, 128});
  const std::vector<ElementType> types{ElementType::kBf16, ElementType::kFp16, ElementType::kFp32};
  p.q_type = draws.percent(60) ? ElementType::kBf16 : draws.pick(types);
  p.kv_type = draws.percent(80) ? p.q_type : draws.pick(types);
  p.output = draws.percent(70) ? p.q_type : draws.pick(types);
  p.heads_first = draws.percent(40);
}

// New tokens of every sequence; some have more of them than they have tokens at all.
void draw_queries(Draws& draws, const Swarm& swarm, PagedAttentionParameters& p, std::int32_t batch) {
  const bool packed = draws.percent(swarm.several_queries);
  for (std::int32_t b = 0; b < batch; ++b)
    p.queries.push_back(
        packed ? static_cast<std::int32_t>(draws.pick<std::int64_t>({0, 1, 1, 2, 3, 4, 5, 8, 9, 17})) : 1);
  p.row_content.resize(
      static_cast<std::size_t>(std::accumulate(p.queries.begin(), p.queries.end(), std::int64_t{0})));
  std::iota(p.row_content.begin(), p.row_content.end(), std::int64_t{0});
}

void draw_mask(Draws& draws, const Swarm& swarm, PagedAttentionParameters& p) {
  p.causal = draws.percent(70);
  if (draws.percent(swarm.windows)) {
    const std::int32_t tokens = p.pool.block_tokens;
    p.window_tokens =
        std::max(1, draws.pick<std::int32_t>({1, 2, 15, 16, 17, tokens - 1, tokens, tokens + 1, 100}));
  }
  p.softmax_scale = draws.percent(70) ? static_cast<double>(1.0f / std::sqrt(static_cast<float>(p.dims)))
                                      : static_cast<double>(draws.pick<float>({1.0f, 0.25f, 0.1f, 0.0625f}));
  if (draws.percent(20)) p.soft_cap = draws.pick<double>({5, 30, 50});
}

// The values' blocks: other ids of the same pool.
void draw_value_places(Draws& draws, PagedAttentionParameters& p, std::int64_t block_bytes, bool sparse) {
  p.value_block_stride =
      sparse ? p.pool.block_stride
             : block_bytes + (draws.percent(25) ? draws.pick<std::int64_t>({16, 64, 4, 256}) : 0);
  p.value_table_stride = p.pool.table_stride + (draws.percent(20) ? draws.in(1, 5) : 0);
  if (p.pool.physical.empty() || draws.percent(50)) return;
  p.value_physical = p.pool.physical;
  if (!sparse) {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(p.pool.blocks));
    std::iota(ids.begin(), ids.end(), std::int64_t{0});
    for (std::size_t i = ids.size(); i > 1; --i)
      std::swap(ids[i - 1], ids[static_cast<std::size_t>(draws.in(0, static_cast<std::int64_t>(i)))]);
    std::copy_n(ids.begin(), p.value_physical.size(), p.value_physical.begin());
    return;
  }
  std::rotate(p.value_physical.begin(),
              p.value_physical.begin() + draws.in(0, static_cast<std::int64_t>(p.value_physical.size())),
              p.value_physical.end());
}

}  // namespace

PagedAttentionParameters draw_attention(Draws& draws, const GeneratorOptions& options, const Swarm& swarm) {
  PagedAttentionParameters p;
  draw_shape(draws, options, p);
  p.pool.block_tokens = static_cast<std::int32_t>(draws.pick<std::int64_t>({16, 16, 32, 64, 64, 128, 8, 1}));
  const std::int32_t batch = draw_batch(draws, swarm);
  draw_queries(draws, swarm, p, batch);
  draw_mask(draws, swarm, p);
  // The golden bound costs some ten products per product.
  const std::int64_t per_token = std::int64_t{p.heads} * p.dims * std::max<std::int64_t>(p.rows(), 1);
  const std::int64_t most =
      std::clamp<std::int64_t>(options.products / per_token, 3, p.pool.block_tokens == 1 ? 300 : 1100);
  p.contexts.assign(static_cast<std::size_t>(batch), 0);
  if (!draws.percent(swarm.all_zero))
    for (std::int32_t b = 0; b < batch; ++b)
      p.contexts[b] = draw_length(draws, swarm, p.pool.block_tokens, std::max(1, p.queries[b]), most);
  p.contexts_stride = 1 + (draws.percent(swarm.strides) ? draws.in(0, 4) : 0);
  draw_tables(draws, swarm, p.pool, p.contexts);
  p.inner_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);
  const std::int64_t inner_rows = p.heads_first ? p.pool.block_tokens : p.kv_heads;
  p.outer_stride = inner_rows * p.inner_stride + (draws.percent(30) ? gap(draws, swarm) : 0);
  const std::int64_t outer_rows = p.heads_first ? p.kv_heads : p.pool.block_tokens;
  const std::int64_t block_bytes = round_up(outer_rows * p.outer_stride * bytes_of(p.kv_type), 4);
  const bool sparse = draws.percent(options.sparse_percent);
  draw_places(draws, p.pool, block_bytes, sparse);
  draw_table_width(draws, swarm, p.pool);
  draw_value_places(draws, p, block_bytes, sparse && !p.pool.physical.empty());
  p.q_head_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);
  p.q_row_stride = p.heads * p.q_head_stride + gap(draws, swarm);
  p.out_head_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);
  p.out_row_stride = p.heads * p.out_head_stride + gap(draws, swarm);
  p.lse_stride = p.heads + gap(draws, swarm) / 4;
  return p;
}

void fit_to_lane(PagedAttentionParameters& p, Lane lane) {
  if (points(lane)) p.soft_cap = 0;
}

}  // namespace assay::properties
