#include "properties/cases/fills.h"

#include <algorithm>
#include <limits>

namespace assay::properties {
namespace {
constexpr std::int32_t kIntMax = std::numeric_limits<std::int32_t>::max();
}

std::vector<ByteRange> islands_of(const Pool& pool, std::int64_t block_bytes) {
  std::vector<std::int64_t> ids = pool.physical;
  if (const std::int64_t foreign = foreign_block(pool); foreign >= 0) ids.push_back(foreign);
  std::sort(ids.begin(), ids.end());
  std::vector<ByteRange> islands;
  for (const std::int64_t id : ids) {
    const ByteRange range{id * pool.block_stride, id * pool.block_stride + block_bytes};
    if (!islands.empty() && islands.back().end >= range.begin) {
      islands.back().end = range.end;
    } else {
      islands.push_back(range);
    }
  }
  return islands;
}

void fill_bytes(std::byte* data, const Operand& operand, std::uint8_t byte) {
  if (operand.islands.empty()) {
    if (operand.span_bytes > 0) std::memset(data, byte, static_cast<std::size_t>(operand.span_bytes));
    return;
  }
  for (const ByteRange& island : operand.islands)
    std::memset(data + island.begin, byte, static_cast<std::size_t>(island.end - island.begin));
}

std::int32_t integer_poison(Poison poison) { return poison == Poison::kFirst ? kIntMax : -1; }

void fill_table(Poison poison, const Operand& operand, const Pool& pool, std::byte* table) {
  const std::int64_t foreign = foreign_block(pool);
  const auto dead = [&](std::int64_t index) {
    if (poison == Poison::kFirst || foreign < 0) return index % 2 == 0 ? -1 : kIntMax;
    return static_cast<std::int32_t>(foreign);
  };
  const std::int64_t entries = operand.span_bytes / 4;
  for (std::int64_t i = 0; i < entries; ++i) {
    const std::int64_t b = i / pool.table_stride, column = i % pool.table_stride;
    const auto& blocks = pool.tables[b];
    const std::int32_t entry = column < static_cast<std::int64_t>(blocks.size())
                                   ? static_cast<std::int32_t>(pool.physical[blocks[column]])
                                   : dead(i);
    std::memcpy(table + i * 4, &entry, 4);
  }
}

std::int64_t foreign_block(const Pool& pool) {
  std::vector<std::int64_t> ids = pool.physical;
  std::sort(ids.begin(), ids.end());
  std::int64_t candidate = 0;
  for (const std::int64_t id : ids) {
    if (id > candidate) break;
    candidate = id + 1;
  }
  return candidate < pool.blocks && candidate <= kIntMax ? candidate : -1;
}

}  // namespace assay::properties
