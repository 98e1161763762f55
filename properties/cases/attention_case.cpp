#include "properties/cases/attention_case.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace assay::properties {

std::int64_t PagedAttentionParameters::row_begin(std::int32_t sequence) const {
  return std::accumulate(queries.begin(), queries.begin() + sequence, std::int64_t{0});
}

PagedAttentionParameters::Tokens PagedAttentionParameters::visible(std::int32_t sequence,
                                                                   std::int64_t query) const {
  const std::int64_t context = contexts[static_cast<std::size_t>(sequence)];
  // Bottom-right: the last query stands at the last token.
  const std::int64_t position = context - queries[static_cast<std::size_t>(sequence)] + query;
  Tokens seen{0, context};
  if (causal) seen.end = std::min(seen.end, position + 1);
  if (window_tokens > 0) seen.begin = std::max<std::int64_t>(0, position - window_tokens + 1);
  return seen.begin < seen.end ? seen : Tokens{};
}

PagedLayout PagedAttentionParameters::key_layout() const {
  const std::int64_t bytes = bytes_of(kv_type), inner = inner_stride * bytes, outer = outer_stride * bytes;
  return {pool.block_tokens,
          kv_heads,
          dims,
          static_cast<std::int32_t>(bytes),
          pool.block_stride,
          heads_first ? inner : outer,
          heads_first ? outer : inner};
}

Pool PagedAttentionParameters::value_pool() const {
  Pool values = pool;
  if (!value_physical.empty()) values.physical = value_physical;
  values.block_stride = value_block_stride;
  values.table_stride = value_table_stride;
  return values;
}

void check(const Checks& checks, const PagedAttentionParameters& p) {
  checks.range("kv_heads", p.kv_heads, 1, 128);
  checks.range("heads", p.heads, p.kv_heads, 1024);
  checks.range("heads % kv_heads", p.heads % p.kv_heads, 0, 0);
  checks.range("dims", p.dims, 16, 1024);
  checks.range("dims % 4", p.dims % 4, 0, 0);
  checks.wide_float("q_type", p.q_type);
  checks.wide_float("kv_type", p.kv_type);
  checks.wide_float("output", p.output);
  if (!std::isfinite(p.softmax_scale) || !(p.softmax_scale > 0) ||
      p.softmax_scale != static_cast<double>(static_cast<float>(p.softmax_scale)))
    throw InputError(checks.place + ".softmax_scale", "a positive fp32 number",
                     std::to_string(p.softmax_scale));
  if (!std::isfinite(p.soft_cap) || p.soft_cap < 0 ||
      p.soft_cap != static_cast<double>(static_cast<float>(p.soft_cap)))
    throw InputError(checks.place + ".soft_cap", "0 (none) or an fp32 number above",
                     std::to_string(p.soft_cap));
  checks.range("window_tokens", p.window_tokens, 0, kMany);
  checks.count("contexts", p.contexts.size(), p.batch());
  checks.count("queries", p.queries.size(), p.batch());
  std::int64_t rows = 0;
  for (const std::int32_t queries : p.queries) {
    checks.range("queries", queries, 0, 1 << 16);
    rows += queries;
  }
  checks.count("row_content", p.row_content.size(), rows);
  for (const std::int64_t content : p.row_content) checks.range("row_content", content, 0, kMany);
  for (const std::int32_t context : p.contexts) checks.range("contexts", context, 0, kMany);
  checks.range("contexts_stride", p.contexts_stride, 1, kMany);
  const std::int64_t inner_rows = p.heads_first ? p.pool.block_tokens : p.kv_heads;
  checks.range("inner_stride", p.inner_stride, p.dims, kMany);
  checks.range("outer_stride", p.outer_stride, (inner_rows - 1) * p.inner_stride + p.dims, kMany);
  const std::vector<std::int64_t> lengths(p.contexts.begin(), p.contexts.end());
  const std::int64_t block_bytes = p.key_layout().block_span();
  check_pool(checks, p.pool, block_bytes, lengths);
  if (!p.value_physical.empty())
    checks.count("value_physical", p.value_physical.size(),
                 static_cast<std::int64_t>(p.pool.physical.size()));
  const std::string values = checks.place + ".values";
  check_pool(Checks{values}, p.value_pool(), block_bytes, lengths);
  // Slots are told apart by 24 bits at most, and by no more than there are dims.
  for (const std::int64_t content : p.pool.content)
    checks.range("content * block_tokens", (content + 1) * p.pool.block_tokens, 0,
                 (std::int64_t{1} << std::min(p.dims, 24)) - 1);
  checks.range("q_head_stride", p.q_head_stride, p.dims, kMany);
  checks.range("q_row_stride", p.q_row_stride, (p.heads - 1) * p.q_head_stride + p.dims, kMany);
  checks.range("out_head_stride", p.out_head_stride, p.dims, kMany);
  checks.range("out_row_stride", p.out_row_stride, (p.heads - 1) * p.out_head_stride + p.dims, kMany);
  checks.range("lse_stride", p.lse_stride, p.heads, kMany);
}

std::string attention_summary(const PagedAttentionParameters& p) {
  std::int64_t tokens = 0;
  for (const std::int32_t context : p.contexts) tokens += context;
  std::string text =
      fmt::format(": {} queries of {} sequences, {} tokens in {} blocks of {}, {} heads on {} x {}, {} on {}",
                  p.rows(), p.batch(), tokens, p.pool.physical.size(), p.pool.block_tokens, p.heads,
                  p.kv_heads, p.dims, name_of(p.q_type), name_of(p.kv_type));
  if (p.causal) text += ", causal";
  if (p.window_tokens > 0) text += fmt::format(", window {}", p.window_tokens);
  if (p.soft_cap > 0) text += fmt::format(", cap {}", p.soft_cap);
  return text;
}

}  // namespace assay::properties
