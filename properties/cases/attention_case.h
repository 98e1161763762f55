// Paged attention's part of a case: checks, JSON fields, a line for people. Private to properties/cases.
#pragma once

#include <string>

#include "properties/cases/case_checks.h"

namespace assay::properties {

void check(const Checks& checks, const PagedAttentionParameters& p);
[[nodiscard]] std::string attention_summary(const PagedAttentionParameters& p);

template <typename P, typename Io>
void pool_fields(P& p, Io& io) {
  io("block_tokens", p.block_tokens);
  io("blocks", p.blocks);
  io("block_stride", p.block_stride);
  io("physical", p.physical);
  io("content", p.content);
  io("tables", p.tables);
  io("table_columns", p.table_columns);
  io("table_stride", p.table_stride);
}

template <typename P, typename Io>
void attention_fields(P& p, Io& io) {
  io("heads", p.heads);
  io("kv_heads", p.kv_heads);
  io("dims", p.dims);
  io("q_type", p.q_type);
  io("kv_type", p.kv_type);
  io("output", p.output);
  io("causal", p.causal);
  io("window_tokens", p.window_tokens);
  io("softmax_scale", p.softmax_scale);
  io("soft_cap", p.soft_cap);
  io("contexts", p.contexts);
  io("queries", p.queries);
  io("contexts_stride", p.contexts_stride);
  pool_fields(p.pool, io);
  io("heads_first", p.heads_first);
  io("inner_stride", p.inner_stride);
  io("outer_stride", p.outer_stride);
  io("value_physical", p.value_physical);
  io("value_block_stride", p.value_block_stride);
  io("value_table_stride", p.value_table_stride);
  io("row_content", p.row_content);
  io("q_head_stride", p.q_head_stride);
  io("q_row_stride", p.q_row_stride);
  io("out_head_stride", p.out_head_stride);
  io("out_row_stride", p.out_row_stride);
  io("lse_stride", p.lse_stride);
}

}  // namespace assay::properties
