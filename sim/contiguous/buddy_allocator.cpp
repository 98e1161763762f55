#include "sim/contiguous/buddy_allocator.h"

#include <algorithm>
#include <string>

#include "model/core/check.h"

namespace assay {
namespace {

std::size_t order_of(std::int64_t slots) {
  return static_cast<std::size_t>(std::countr_zero(static_cast<std::uint64_t>(slots)));
}

}  // namespace

BuddyAllocator::BuddyAllocator(std::int64_t pool_slots) : pool_slots_(pool_slots), free_slots_(pool_slots) {
  if (pool_slots <= 0) throw InputError("pool", "at least one slot", std::to_string(pool_slots));
  taken_order_.assign(static_cast<std::size_t>(pool_slots), -1);
  orders_.resize(static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(pool_slots))));
  for (std::size_t order = 0; order < orders_.size(); ++order)
    orders_[order].free.assign(static_cast<std::size_t>((pool_slots >> order) / 64 + 1), 0);
  std::int64_t offset = 0;
  for (std::size_t order = orders_.size(); order-- > 0;)
    if ((pool_slots >> order & 1) != 0) {
      mark(order, offset, true);
      offset += std::int64_t{1} << order;
    }
}

void BuddyAllocator::mark(std::size_t order, std::int64_t offset, bool free) {
  Order& own = orders_[order];
  const auto place = static_cast<std::size_t>(offset >> order);
  const std::uint64_t bit = std::uint64_t{1} << place % 64;
  if (free) {
    own.free[place / 64] |= bit;
    ++own.count;
    own.first_word = std::min(own.first_word, place / 64);
  } else {
    own.free[place / 64] &= ~bit;
    --own.count;
  }
}

bool BuddyAllocator::is_free(std::size_t order, std::int64_t offset) const {
  const auto place = static_cast<std::size_t>(offset >> order);
  return place / 64 < orders_[order].free.size() && (orders_[order].free[place / 64] >> place % 64 & 1) != 0;
}

std::int64_t BuddyAllocator::take_lowest(std::size_t order) {
  Order& own = orders_[order];
  while (own.free[own.first_word] == 0) ++own.first_word;
  const auto place =
      static_cast<std::int64_t>(own.first_word * 64) + std::countr_zero(own.free[own.first_word]);
  const std::int64_t offset = place << order;
  mark(order, offset, false);
  return offset;
}

std::optional<Extent> BuddyAllocator::allocate(std::int64_t slots) {
  ASSAY_CHECK_GE(slots, 1);
  if (slots > pool_slots_) return std::nullopt;
  const Extent wanted{0, allocated_slots(slots)};
  const std::size_t order = order_of(wanted.slots);
  std::size_t found = order;
  while (found < orders_.size() && orders_[found].count == 0) ++found;
  if (found >= orders_.size()) return std::nullopt;
  const std::int64_t offset = take_lowest(found);
  while (found > order) {  // keep the lower half, the upper one stays free
    --found;
    mark(found, offset + (std::int64_t{1} << found), true);
  }
  free_slots_ -= wanted.slots;
  taken_order_[static_cast<std::size_t>(offset)] = static_cast<std::int8_t>(order);
  return Extent{offset, wanted.slots};
}

void BuddyAllocator::free(Extent extent) {
  ASSAY_CHECK(extent.offset >= 0 && extent.offset < pool_slots_, "an extent outside the pool");
  std::size_t order = order_of(extent.slots);
  std::int8_t& taken = taken_order_[static_cast<std::size_t>(extent.offset)];
  ASSAY_CHECK_EQ(static_cast<int>(taken), static_cast<int>(order));
  taken = -1;
  free_slots_ += extent.slots;
  std::int64_t offset = extent.offset;
  // The other half of a root is never free as a whole: it is smaller roots, or beyond the pool.
  for (; order + 1 < orders_.size(); ++order) {
    const std::int64_t other = offset ^ (std::int64_t{1} << order);
    if (!is_free(order, other)) break;
    mark(order, other, false);
    offset = std::min(offset, other);
  }
  mark(order, offset, true);
}

std::int64_t BuddyAllocator::largest_free_extent() const {
  for (std::size_t order = orders_.size(); order-- > 0;)
    if (orders_[order].count > 0) return std::int64_t{1} << order;
  return 0;
}

std::int64_t BuddyAllocator::largest_root() const { return std::int64_t{1} << (orders_.size() - 1); }

std::vector<Extent> BuddyAllocator::free_extents() const {
  std::vector<Extent> extents;
  for (std::size_t order = 0; order < orders_.size(); ++order)
    for (std::int64_t offset = 0; offset < pool_slots_; offset += std::int64_t{1} << order)
      if (is_free(order, offset)) extents.push_back({offset, std::int64_t{1} << order});
  return extents;
}

}  // namespace assay
