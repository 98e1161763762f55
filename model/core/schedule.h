// How a batch's work is cut into equal ranges, one per part (a part is usually an SM).
//
// A sequence of `length` tokens has ceil(length / unit_tokens) units. Laid end to end in batch order
// the units form one line of `total` units; part p takes [total * p / parts, total * (p + 1) / parts):
// the ranges tile the line exactly once and differ in size by at most one, for any number of parts,
// also for no work at all. A start point names (sequence, unit inside it); the end of everything is
// (batch, 0). Host and device call the same functions, so their metadata are equal byte for byte.
#pragma once

#include <cstdint>

#include "model/core/host_device.h"
#include "model/core/paged_layout.h"

namespace assay {

struct UnitPoint {
  std::int32_t sequence = 0;
  std::int32_t unit = 0;
  friend constexpr bool operator==(const UnitPoint&, const UnitPoint&) = default;
};
static_assert(sizeof(UnitPoint) == 8, "schedule metadata is [parts + 1][2] int32");

[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int64_t part_begin(std::int64_t total, std::int32_t parts,
                                                                  std::int32_t part) {
  // total * part can pass 2^63 only for more units than any pool holds (total < 2^47, parts < 2^16).
  return total * part / parts;
}

// The part whose range holds `unit`, 0 <= unit < total: the inverse of part_begin.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr std::int32_t part_of(std::int64_t total, std::int32_t parts,
                                                               std::int64_t unit) {
  return static_cast<std::int32_t>(((unit + 1) * parts + total - 1) / total - 1);
}

// unit_ends[s] = units of sequences 0..s (inclusive prefix sum), non-decreasing. Returns the first
// sequence whose end lies beyond `unit`; sequences without units are passed over.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr UnitPoint locate_unit(const std::int64_t* unit_ends,
                                                                std::int32_t batch, std::int64_t unit) {
  std::int32_t low = 0, high = batch;
  while (low < high) {
    const std::int32_t middle = low + (high - low) / 2;
    if (unit_ends[middle] > unit) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  if (low == batch) return {batch, 0};
  const std::int64_t begin = low == 0 ? 0 : unit_ends[low - 1];
  return {low, static_cast<std::int32_t>(unit - begin)};
}

// The start point of `part`; part == parts gives the end of everything.
[[nodiscard]] ASSAY_HOST_DEVICE constexpr UnitPoint part_start(const std::int64_t* unit_ends,
                                                               std::int32_t batch, std::int32_t parts,
                                                               std::int32_t part) {
  const std::int64_t total = batch == 0 ? 0 : unit_ends[batch - 1];
  return locate_unit(unit_ends, batch, part_begin(total, parts, part));
}

}  // namespace assay
