// Draws cache writes: copies, conversions, quantised rows with scales, fused index keys; slots in runs that cross
// blocks, scattered, or of nobody.
#include <algorithm>
#include <numeric>
#include <set>

#include "model/core/paged_layout.h"
#include "properties/generators/generator_parts.h"

namespace assay::properties {
namespace {

void draw_form(Draws& draws, const GeneratorOptions& options, CacheWriteParameters& p) {
  const std::vector<ElementType> types{ElementType::kBf16, ElementType::kFp16, ElementType::kFp32};
  const std::int64_t form = draws.in(0, 10);
  p.index_keys = form < 3;
  p.row_scales = form >= 3 && form < 5;
  p.row_type = draws.percent(60) ? ElementType::kBf16 : draws.pick(types);
  p.cache_type = p.quantises()       ? ElementType::kE4M3
                 : draws.percent(50) ? p.row_type
                                     : draws.pick<ElementType>({ElementType::kBf16, ElementType::kFp16,
                                                                ElementType::kFp32, ElementType::kE4M3});
  p.heads = p.index_keys ? 1 : draws.pick<std::int32_t>({1, 1, 2, 3, 4, 8});
  p.dims = draws.percent(options.odd_shapes_percent) ? draws.pick<std::int32_t>({20, 48, 96, 192, 256})
                                                     : draws.pick<std::int32_t>({32, 64, 64, 128});
  p.block_tokens = static_cast<std::int32_t>(draws.pick<std::int64_t>({16, 16, 64, 64, 32, 8, 128, 1}));
  p.heads_first = draws.percent(40);
}

// Runs of neighbouring slots as new tokens have them, or any slots; a few tokens are nobody's.
void draw_slots(Draws& draws, const Swarm& swarm, std::int64_t tokens, CacheWriteParameters& p) {
  const std::int64_t capacity = p.blocks * p.block_tokens;
  std::set<std::int64_t> taken;
  std::int64_t next = -1;
  for (std::int64_t t = 0; t < tokens; ++t) {
    p.row_content.push_back(t);
    if (capacity == 0 || draws.percent(swarm.zero_lengths)) {
      p.slots.push_back(draws.pick<std::int64_t>({-1, -1, -2, -p.block_tokens, -(std::int64_t{1} << 33)}));
      continue;
    }
    const bool goes_on = next >= 0 && next < capacity && taken.count(next) == 0;
    std::int64_t slot = next;
    if (!goes_on || draws.percent(20)) {
      const std::int64_t kind = draws.in(0, 4);  // near either end, at a block's border, anywhere
      slot = kind == 0   ? capacity - 1 - draws.in(0, 3)
             : kind == 1 ? draws.in(0, p.blocks) * p.block_tokens + draws.in(-1, 2)
                         : draws.in(0, capacity);
      slot = std::clamp<std::int64_t>(slot, 0, capacity - 1);
      while (taken.count(slot) != 0) slot = (slot + 1) % capacity;
    }
    taken.insert(slot);
    p.slots.push_back(slot);
    next = slot + 1;
  }
}

}  // namespace

CacheWriteParameters draw_cache_write(Draws& draws, const GeneratorOptions& options, const Swarm& swarm) {
  CacheWriteParameters p;
  draw_form(draws, options, p);
  const std::int64_t tokens =
      draws.percent(swarm.all_zero) ? 0 : draws.pick<std::int64_t>({0, 1, 1, 2, 3, 5, 8, 16, 17, 33, 65});
  const std::int64_t bytes = bytes_of(p.cache_type);
  p.inner_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);
  const std::int64_t inner_rows = p.heads_first ? p.block_tokens : p.heads,
                     outer_rows = p.heads_first ? p.heads : p.block_tokens;
  p.outer_stride = inner_rows * p.inner_stride + (draws.percent(30) ? gap(draws, swarm) : 0);
  const std::int64_t block_bytes = p.index_keys ? FusedIndexLayout{p.block_tokens, p.dims, 0}.block_bytes()
                                                : round_up(outer_rows * p.outer_stride * bytes, 4);
  // Places as the paged operations have them: tight, with gaps, or in a pool of gigabytes.
  Pool pool;
  pool.physical.resize(static_cast<std::size_t>(ceil_div(tokens, p.block_tokens)));
  draw_places(draws, pool, block_bytes, draws.percent(options.sparse_percent));
  p.blocks = pool.blocks;
  p.block_stride = pool.block_stride;
  const bool sparse = pool.blocks * pool.block_stride > kDenseBytes;
  p.value_block_stride =
      sparse ? pool.block_stride
             : block_bytes + (draws.percent(25) ? draws.pick<std::int64_t>({16, 64, 4, 256}) : 0);
  const std::int64_t scales = std::int64_t{p.block_tokens} * p.heads;
  p.scale_block_stride = scales + (draws.percent(25) ? draws.in(1, 9) : 0);
  p.value_scale_stride = scales + (draws.percent(25) ? draws.in(1, 9) : 0);
  draw_slots(draws, swarm, tokens, p);
  p.row_head_stride = p.dims + (draws.percent(30) ? gap(draws, swarm) : 0);
  p.row_stride = p.heads * p.row_head_stride + gap(draws, swarm);
  return p;
}

}  // namespace assay::properties
