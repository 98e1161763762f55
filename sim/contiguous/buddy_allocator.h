// A buddy allocator over token slots: contiguous extents of a power of two, split in halves on the way
// down and merged with their other half on the way up (Knowlton 1965). What systems before paging used.
//
//   15,728 slots:  [ 8192            ][ 4096   ][ 2048 ][ 1024 ][256][64][32][16]     the roots
//   allocate(300): the smallest free extent of at least 512, lowest offset first; the rest splits
//       [512 taken][512 free][1024 free][2048 free][4096 free] ...
//   free: an extent whose other half is free becomes one extent of twice the size, and so on up
//
// A pool that is no power of two is a row of roots, one per bit of its size, each aligned to its own
// size; extents never merge across roots. Requests are rounded up to a power of two: the caller asks
// allocated_slots() what that costs. Offsets are chosen by rule, so equal calls give equal offsets.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace assay {

struct Extent {
  std::int64_t offset = 0;
  std::int64_t slots = 0;  // a power of two
  friend bool operator==(const Extent& a, const Extent& b) {
    return a.offset == b.offset && a.slots == b.slots;
  }
};

class BuddyAllocator {
 public:
  explicit BuddyAllocator(std::int64_t pool_slots);

  // Smallest power of two that is at least `slots` (> 0).
  [[nodiscard]] static std::int64_t allocated_slots(std::int64_t slots) {
    return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(slots)));
  }

  // None when no free extent is large enough, however many slots are free in smaller ones.
  [[nodiscard]] std::optional<Extent> allocate(std::int64_t slots);
  // An extent that allocate() gave, once. Anything else is our bug and aborts.
  void free(Extent extent);

  [[nodiscard]] std::int64_t pool_slots() const { return pool_slots_; }
  [[nodiscard]] std::int64_t free_slots() const { return free_slots_; }
  // 0 when nothing is free.
  [[nodiscard]] std::int64_t largest_free_extent() const;
  // The largest extent of an empty pool: what is larger can never be allocated.
  [[nodiscard]] std::int64_t largest_root() const;
  // By size, then by offset. For tests and pictures.
  [[nodiscard]] std::vector<Extent> free_extents() const;

 private:
  // The free extents of one size: a bit per possible place.
  struct Order {
    std::vector<std::uint64_t> free;
    std::int64_t count = 0;
    std::size_t first_word = 0;  // no bit is set in the words before it
  };
  void mark(std::size_t order, std::int64_t offset, bool free);
  [[nodiscard]] bool is_free(std::size_t order, std::int64_t offset) const;
  [[nodiscard]] std::int64_t take_lowest(std::size_t order);

  std::int64_t pool_slots_;
  std::int64_t free_slots_;
  std::vector<Order> orders_;             // [log2(size)]
  std::vector<std::int8_t> taken_order_;  // [slots] log2 of the extent that begins here, -1 = none does
};

}  // namespace assay
