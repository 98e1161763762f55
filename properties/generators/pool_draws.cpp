// Draws that the paged operations share: lengths, tables, places.
#include <algorithm>
#include <numeric>

#include "model/core/paged_layout.h"
#include "properties/generators/generator_parts.h"

namespace assay::properties {

std::int32_t draw_length(Draws& draws, const Swarm& swarm, std::int32_t block_tokens, std::int32_t next_n,
                         std::int64_t most) {
  if (draws.percent(swarm.zero_lengths)) return 0;
  std::int64_t length = draws.in(1, most + 1);
  if (draws.percent(swarm.boundary_lengths)) {
    const std::int64_t unit =
        draws.pick<std::int64_t>({1, block_tokens, block_tokens, 64, 128, 256, 512, next_n});
    const std::int64_t times = draws.in(0, std::max<std::int64_t>(1, most / unit) + 1);
    length = times * unit + draws.in(-1, 2);
  }
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(length, 0, most));
}

std::int32_t draw_batch(Draws& draws, const Swarm& swarm) {
  if (draws.percent(swarm.many_sequences))
    return static_cast<std::int32_t>(draws.pick<std::int64_t>({16, 31, 32, 33, 64, 65}));
  return static_cast<std::int32_t>(draws.pick<std::int64_t>({0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 7}));
}

void draw_tables(Draws& draws, const Swarm& swarm, Pool& pool, const std::vector<std::int32_t>& lengths) {
  std::int32_t next = 0;
  for (const std::int32_t length : lengths) {
    std::vector<std::int32_t> table;
    const std::int64_t blocks = ceil_div(length, pool.block_tokens);
    if (!pool.tables.empty() && draws.percent(swarm.shared_blocks)) {
      const auto& other = draws.pick(pool.tables);
      const std::int64_t common =
          draws.in(0, std::min<std::int64_t>(blocks, static_cast<std::int64_t>(other.size())) + 1);
      table.assign(other.begin(), other.begin() + common);
    }
    while (static_cast<std::int64_t>(table.size()) < blocks) table.push_back(next++);
    pool.tables.push_back(std::move(table));
  }
  pool.physical.resize(static_cast<std::size_t>(next));
  pool.content.resize(static_cast<std::size_t>(next));
  std::iota(pool.content.begin(), pool.content.end(), std::int64_t{0});
}

void draw_places(Draws& draws, Pool& pool, std::int64_t block_bytes, bool sparse) {
  const auto count = static_cast<std::int64_t>(pool.physical.size());
  if (sparse && count > 0) {
    // Strides of serving engines' shared pools: the product passes 2^31, 2^32 and 2^33 bytes.
    pool.block_stride = round_up(
        std::max(block_bytes, draws.pick<std::int64_t>({1'002'240, 1'039'680, 1'435'968, 262'144})), 16);
    pool.blocks =
        draws.pick<std::int64_t>({std::int64_t{1} << 31, std::int64_t{1} << 32, std::int64_t{1} << 33}) /
            pool.block_stride +
        count + 2;
    // Some at the far end, the rest anywhere.
    for (std::int64_t i = 0; i < count; ++i)
      pool.physical[static_cast<std::size_t>(i)] = pool.blocks - 1 - i * draws.in(1, 2);
    std::swap(pool.physical[0], pool.physical[static_cast<std::size_t>(draws.in(0, count))]);
    return;
  }
  pool.block_stride = block_bytes + (draws.percent(25) ? draws.pick<std::int64_t>({16, 64, 64, 4, 1024}) : 0);
  pool.blocks = count + draws.pick<std::int64_t>({0, 0, 1, 3, 17});
  std::vector<std::int64_t> ids(static_cast<std::size_t>(pool.blocks));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  if (!draws.percent(10))
    for (std::size_t i = ids.size(); i > 1; --i)
      std::swap(ids[i - 1], ids[static_cast<std::size_t>(draws.in(0, static_cast<std::int64_t>(i)))]);
  std::copy_n(ids.begin(), count, pool.physical.begin());
}

void draw_table_width(Draws& draws, const Swarm& swarm, Pool& pool) {
  std::size_t widest = 0;
  for (const auto& table : pool.tables) widest = std::max(widest, table.size());
  pool.table_columns = static_cast<std::int32_t>(widest);
  if (!draws.percent(swarm.tight_tables)) pool.table_columns += static_cast<std::int32_t>(draws.in(1, 9));
  pool.table_stride = pool.table_columns + (draws.percent(swarm.strides) ? draws.in(0, 7) : 0);
}

std::int64_t gap(Draws& draws, const Swarm& swarm) {
  if (draws.percent(swarm.odd_strides)) return draws.in(1, 8);
  return draws.percent(swarm.strides) ? 16 * draws.in(1, 9) : 0;
}

}  // namespace assay::properties
