// The steps of paged attention: sequences, queries, lengths, places, strides, shape.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/core/paged_layout.h"
#include "properties/engine/simpler_steps.h"

namespace assay::properties {
namespace {

using C = KernelCase;
using Attention = PagedAttentionParameters;

void prune(C& c, Attention& p) {
  const std::vector<std::int64_t> before = p.value_physical;
  const std::vector<std::int32_t> renumbered = prune_blocks(c, p.pool);
  if (before.empty()) return;
  p.value_physical.assign(p.pool.physical.size(), 0);
  for (std::size_t l = 0; l < before.size(); ++l)
    if (renumbered[l] >= 0) p.value_physical[static_cast<std::size_t>(renumbered[l])] = before[l];
}

void tighten(Attention& p) {
  tighten_tables(p.pool);
  p.value_table_stride = p.pool.table_stride;
}

// Queries [begin, end) of a sequence go, counted from its first.
void remove_queries(C& c, Attention& p, std::int32_t sequence, std::int64_t begin, std::int64_t end) {
  const std::int64_t first = p.row_begin(sequence);
  cut(p.row_content, first + begin, first + end);
  cut_rows(c, first + begin, first + end);
  p.queries[static_cast<std::size_t>(sequence)] -= static_cast<std::int32_t>(end - begin);
}

void remove_sequences(C& c, Attention& p, std::int64_t begin, std::int64_t end) {
  for (std::int64_t b = begin; b < end; ++b)
    remove_queries(c, p, static_cast<std::int32_t>(b), 0, p.queries[static_cast<std::size_t>(b)]);
  cut(p.queries, begin, end);
  cut(p.contexts, begin, end);
  cut(p.pool.tables, begin, end);
  if (c.relation_sequence >= end) c.relation_sequence -= static_cast<std::int32_t>(end - begin);
  c.relation_sequence = std::clamp(c.relation_sequence, 0, std::max(0, p.batch() - 1));
  prune(c, p);
  tighten(p);
}

void set_length(C& c, Attention& p, std::int64_t sequence, std::int32_t length) {
  p.contexts[static_cast<std::size_t>(sequence)] = length;
  p.pool.tables[static_cast<std::size_t>(sequence)].resize(
      static_cast<std::size_t>(ceil_div(length, p.pool.block_tokens)));
  prune(c, p);
}

std::int64_t block_bytes(const Attention& p) { return ceil_div(p.key_layout().block_span(), 4) * 4; }

void compact_rows(Attention& p) {
  p.q_head_stride = p.out_head_stride = p.dims;
  p.q_row_stride = p.out_row_stride = p.heads * p.dims;
  p.lse_stride = p.heads;
}

void compact_blocks(Attention& p) {
  p.inner_stride = p.dims;
  p.outer_stride = (p.heads_first ? p.pool.block_tokens : p.kv_heads) * p.inner_stride;
  p.pool.block_stride = p.value_block_stride = block_bytes(p);
}

// Blocks 0, 1, ... in a pool without any other.
void tight_pool(Attention& p, bool reversed) {
  auto& ids = p.pool.physical;
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  if (reversed) std::reverse(ids.begin(), ids.end());
  p.pool.blocks = static_cast<std::int64_t>(ids.size());
  if (!p.value_physical.empty()) {
    p.value_physical = ids;
    std::reverse(p.value_physical.begin(), p.value_physical.end());
  }
  p.pool.block_stride = p.value_block_stride = block_bytes(p);
}

void sequences_and_queries(Steps& steps, const Attention& from) {
  const std::int64_t batch = from.batch();
  for (std::int64_t size = batch; size >= 1; size /= 2)
    for (std::int64_t begin = 0; begin < batch; begin += size)
      steps.add<Attention>(
          [&](C& c, Attention& p) { remove_sequences(c, p, begin, std::min(batch, begin + size)); });
  steps.add<Attention>([&](C& c, Attention& p) {  // the last query of each
    for (std::int32_t b = 0; b < p.batch(); ++b)
      if (p.queries[static_cast<std::size_t>(b)] > 1)
        remove_queries(c, p, b, 0, p.queries[static_cast<std::size_t>(b)] - 1);
  });
  for (std::int32_t b = 0; b < from.batch(); ++b) {
    const std::int64_t queries = from.queries[static_cast<std::size_t>(b)];
    for (const std::int64_t gone : {queries, queries - 1, queries / 2, std::int64_t{1}})
      if (gone > 0 && gone <= queries)
        steps.add<Attention>([&](C& c, Attention& p) { remove_queries(c, p, b, 0, gone); });
    if (queries > 0)  // the last one: the others see less
      steps.add<Attention>([&](C& c, Attention& p) { remove_queries(c, p, b, queries - 1, queries); });
  }
}

void lengths(Steps& steps, const Attention& from) {
  for (std::int64_t b = 0; b < from.batch(); ++b) {
    const std::int32_t length = from.contexts[static_cast<std::size_t>(b)], tokens = from.pool.block_tokens;
    for (const std::int32_t shorter :
         {0, 1, length / tokens * tokens, length / 2, length - tokens, length - 16, length - 1})
      if (shorter >= 0 && shorter < length)
        steps.add<Attention>([&](C& c, Attention& p) { set_length(c, p, b, shorter); });
  }
}

void places(Steps& steps) {
  steps.add<Attention>([](C& c, Attention& p) { prune(c, p); });
  steps.add<Attention>([](C&, Attention& p) { tighten(p); });
  steps.add<Attention>(
      [](C&, Attention& p) { p.pool.table_stride = p.value_table_stride = p.pool.table_columns; });
  steps.add<Attention>([](C&, Attention& p) { p.value_table_stride = p.pool.table_stride; });
  steps.add<Attention>([](C&, Attention& p) { p.contexts_stride = 1; });
  steps.add<Attention>([](C&, Attention& p) { compact_rows(p); });
  steps.add<Attention>([](C&, Attention& p) { compact_blocks(p); });
  steps.add<Attention>([](C&, Attention& p) { p.value_physical.clear(); });
  steps.add<Attention>([](C&, Attention& p) { tight_pool(p, false); });
  steps.add<Attention>([](C&, Attention& p) { tight_pool(p, true); });
  steps.add<Attention>([](C&, Attention& p) { p.pool.block_stride = p.value_block_stride = block_bytes(p); });
  steps.add<Attention>([](C&, Attention& p) {
    const std::size_t before = p.pool.physical.size();
    own_blocks(p.pool);
    if (!p.value_physical.empty())
      p.value_physical.insert(p.value_physical.end(),
                              p.pool.physical.begin() + static_cast<std::ptrdiff_t>(before),
                              p.pool.physical.end());
  });
}

void shape(Steps& steps, const Attention& from) {
  const auto reshape = [&](std::int32_t heads, std::int32_t kv_heads, std::int32_t dims) {
    steps.add<Attention>([&](C& c, Attention& p) {
      const double own_scale = 1.0 / std::sqrt(static_cast<double>(p.dims));
      if (dims != p.dims && std::fabs(p.softmax_scale - own_scale) < 1e-6)
        p.softmax_scale = static_cast<double>(1.0f / std::sqrt(static_cast<float>(dims)));
      p.heads = heads;
      p.kv_heads = kv_heads;
      p.dims = dims;
      compact_rows(p);
      compact_blocks(p);
      c.overrides.clear();
    });
  };
  const std::int32_t group = from.heads / from.kv_heads;
  if (from.heads > 1) reshape(1, 1, from.dims);
  if (from.kv_heads > 1) reshape(group, 1, from.dims);
  if (from.kv_heads > 2) reshape(group * 2, 2, from.dims);
  for (const std::int32_t smaller : {1, 2, group / 2, group - 1})
    if (smaller >= 1 && smaller < group) reshape(from.kv_heads * smaller, from.kv_heads, from.dims);
  for (const std::int32_t dims : {16, 32, 64})
    if (dims < from.dims) reshape(from.heads, from.kv_heads, dims);
  steps.add<Attention>([](C&, Attention& p) {
    p.heads_first = false;
    compact_blocks(p);
  });
  steps.add<Attention>([](C&, Attention& p) { p.window_tokens = 0; });
  steps.add<Attention>([](C&, Attention& p) { p.soft_cap = 0; });
  steps.add<Attention>([](C&, Attention& p) { p.causal = false; });
  steps.add<Attention>([](C&, Attention& p) {
    p.softmax_scale = static_cast<double>(1.0f / std::sqrt(static_cast<float>(p.dims)));
  });
  const bool mixed = from.q_type != from.kv_type || from.q_type != from.output;
  for (const ElementType type : {ElementType::kBf16, mixed ? ElementType::kFp32 : ElementType::kBf16})
    steps.add<Attention>([&](C&, Attention& p) {
      p.q_type = p.kv_type = p.output = type;
      p.pool.block_stride = std::max(p.pool.block_stride, block_bytes(p));
      p.value_block_stride = std::max(p.value_block_stride, block_bytes(p));
    });
}

}  // namespace

void attention_steps(Steps& steps, const Attention& from) {
  sequences_and_queries(steps, from);
  lengths(steps, from);
  places(steps);
  shape(steps, from);
}

}  // namespace assay::properties
