// The steps of cache write: tokens, slots, places, shape.
#include <algorithm>
#include <map>

#include "properties/cases/cache_write_contents.h"
#include "properties/engine/simpler_steps.h"

namespace assay::properties {
namespace {

using C = KernelCase;
using Write = CacheWriteParameters;

void compact(Write& p) {
  p.inner_stride = p.dims;
  p.outer_stride = (p.heads_first ? p.block_tokens : p.heads) * p.inner_stride;
  const std::int64_t span = p.index_keys ? p.fused().block_bytes() : p.layout(false).block_span();
  p.block_stride = p.value_block_stride = (span + 3) / 4 * 4;
  p.scale_block_stride = p.value_scale_stride = std::int64_t{p.block_tokens} * p.heads;
}

void compact_rows(Write& p) {
  p.row_head_stride = p.dims;
  p.row_stride = p.heads * p.dims;
}

// Blocks 0, 1, ... for those that slots name.
void tight_pool(Write& p) {
  std::map<std::int64_t, std::int64_t> number;
  for (const std::int64_t block : blocks_named(p))
    number.emplace(block, static_cast<std::int64_t>(number.size()));
  for (std::int64_t& slot : p.slots)
    if (slot >= 0) slot = number.at(slot / p.block_tokens) * p.block_tokens + slot % p.block_tokens;
  p.blocks = static_cast<std::int64_t>(number.size());
}

}  // namespace

void cache_write_steps(Steps& steps, const Write& from) {
  const std::int64_t rows = from.rows();
  for (std::int64_t size = rows; size >= 1; size /= 2)
    for (std::int64_t begin = 0; begin < rows; begin += size)
      steps.add<Write>([&](C& c, Write& p) {
        const std::int64_t end = std::min(rows, begin + size);
        cut(p.slots, begin, end);
        cut(p.row_content, begin, end);
        c.relation_sequence =
            std::clamp<std::int32_t>(c.relation_sequence, 0, std::max(0, static_cast<int>(p.rows()) - 1));
      });
  steps.add<Write>([](C&, Write& p) { tight_pool(p); });
  steps.add<Write>([](C&, Write& p) { compact(p); });
  steps.add<Write>([](C&, Write& p) { compact_rows(p); });
  for (std::int64_t t = 0; t < std::min<std::int64_t>(rows, 32); ++t) {  // nobody's; its block's first slot
    const std::int64_t slot = from.slots[static_cast<std::size_t>(t)];
    if (slot != -1) steps.add<Write>([&](C&, Write& p) { p.slots[static_cast<std::size_t>(t)] = -1; });
    if (slot > 0 && slot % from.block_tokens > 0)
      steps.add<Write>(
          [&](C&, Write& p) { p.slots[static_cast<std::size_t>(t)] = slot - slot % from.block_tokens; });
  }
  for (const std::int32_t heads : {1, 2})
    if (heads < from.heads)
      steps.add<Write>([&](C&, Write& p) {
        p.heads = heads;
        compact(p);
        compact_rows(p);
      });
  for (const std::int32_t dims : {16, 32, 64})
    if (dims < from.dims)
      steps.add<Write>([&](C&, Write& p) {
        p.dims = dims;
        compact(p);
        compact_rows(p);
      });
  steps.add<Write>([](C&, Write& p) {
    p.heads_first = false;
    compact(p);
  });
  steps.add<Write>([](C&, Write& p) {  // a copy
    p.index_keys = p.row_scales = false;
    p.cache_type = p.row_type;
    compact(p);
  });
}

}  // namespace assay::properties
