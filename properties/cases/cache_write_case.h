// Cache write's part of a case: checks, JSON fields, a line for people. Private to properties/cases.
#pragma once

#include <string>

#include "properties/cases/case_checks.h"

namespace assay::properties {

void check(const Checks& checks, const CacheWriteParameters& p);
[[nodiscard]] std::string cache_write_summary(const CacheWriteParameters& p);

template <typename P, typename Io>
void cache_write_fields(P& p, Io& io) {
  io("heads", p.heads);
  io("dims", p.dims);
  io("row_type", p.row_type);
  io("cache_type", p.cache_type);
  io("index_keys", p.index_keys);
  io("row_scales", p.row_scales);
  io("block_tokens", p.block_tokens);
  io("blocks", p.blocks);
  io("heads_first", p.heads_first);
  io("inner_stride", p.inner_stride);
  io("outer_stride", p.outer_stride);
  io("block_stride", p.block_stride);
  io("value_block_stride", p.value_block_stride);
  io("scale_block_stride", p.scale_block_stride);
  io("value_scale_stride", p.value_scale_stride);
  io("slots", p.slots);
  io("row_content", p.row_content);
  io("row_stride", p.row_stride);
  io("row_head_stride", p.row_head_stride);
}

}  // namespace assay::properties
