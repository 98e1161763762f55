#include "properties/engine/simpler_steps.h"

#include <algorithm>

namespace assay::properties {

void cut_rows(KernelCase& c, std::int64_t begin, std::int64_t end) {
  std::vector<ValueOverride> kept;
  for (ValueOverride item : c.overrides) {
    if ((item.operand == "q" || item.operand == "weights") && !item.at.empty() && item.at[0] >= begin) {
      if (item.at[0] < end) continue;
      item.at[0] -= end - begin;
    }
    kept.push_back(std::move(item));
  }
  c.overrides = std::move(kept);
}

std::vector<std::int32_t> prune_blocks(KernelCase& c, Pool& pool) {
  std::vector<std::int32_t> renumbered(pool.physical.size(), -1);
  std::vector<std::int64_t> physical, content;
  for (auto& table : pool.tables)
    for (std::int32_t& logical : table) {
      std::int32_t& number = renumbered[static_cast<std::size_t>(logical)];
      if (number < 0) {
        number = static_cast<std::int32_t>(physical.size());
        physical.push_back(pool.physical[static_cast<std::size_t>(logical)]);
        content.push_back(pool.content[static_cast<std::size_t>(logical)]);
      }
      logical = number;
    }
  std::vector<ValueOverride> kept;
  for (ValueOverride item : c.overrides) {
    if (item.operand == "keys" || item.operand == "values" || item.operand == "scales") {
      if (item.at.empty() || item.at[0] >= static_cast<std::int64_t>(renumbered.size())) continue;
      item.at[0] = renumbered[static_cast<std::size_t>(item.at[0])];
      if (item.at[0] < 0) continue;
    }
    kept.push_back(std::move(item));
  }
  c.overrides = std::move(kept);
  pool.physical = std::move(physical);
  pool.content = std::move(content);
  return renumbered;
}

void tighten_tables(Pool& pool) {
  std::size_t widest = 0;
  for (const auto& table : pool.tables) widest = std::max(widest, table.size());
  pool.table_columns = static_cast<std::int32_t>(widest);
  pool.table_stride = pool.table_columns;
}

void own_blocks(Pool& pool) {
  std::vector<bool> used(pool.physical.size(), false);
  for (auto& table : pool.tables)
    for (std::int32_t& logical : table) {
      if (used[static_cast<std::size_t>(logical)]) {
        pool.physical.push_back(pool.blocks++);
        pool.content.push_back(static_cast<std::int64_t>(pool.content.size()));
        used.push_back(true);
        logical = static_cast<std::int32_t>(used.size()) - 1;
      }
      used[static_cast<std::size_t>(logical)] = true;
    }
}

}  // namespace assay::properties
