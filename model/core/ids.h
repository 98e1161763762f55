// Different things have different types: a block is not a sequence, a sequence is not a request.
// An Id is a plain integer in memory (arrays of ids are arrays of int32), but only comparisons work
// on it; arithmetic needs .value().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>

#include "model/core/host_device.h"

namespace assay {

template <typename Tag, typename Integer>
class Id {
 public:
  using integer_type = Integer;
  constexpr Id() = default;
  ASSAY_HOST_DEVICE constexpr explicit Id(Integer value) : value_(value) {}
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr Integer value() const { return value_; }
  ASSAY_HOST_DEVICE friend constexpr bool operator==(Id a, Id b) { return a.value_ == b.value_; }
  ASSAY_HOST_DEVICE friend constexpr bool operator!=(Id a, Id b) { return a.value_ != b.value_; }
  ASSAY_HOST_DEVICE friend constexpr bool operator<(Id a, Id b) { return a.value_ < b.value_; }
  friend std::ostream& operator<<(std::ostream& out, Id id) { return out << id.value_; }

 private:
  Integer value_ = Integer{-1};  // no block, no sequence
};

using BlockId = Id<struct BlockTag, std::int32_t>;        // a KV unit of the pool, never a CTA
using SequenceId = Id<struct SequenceTag, std::int32_t>;  // lives in the pool
using RequestId = Id<struct RequestTag, std::int64_t>;    // comes from a trace, in file order

}  // namespace assay

template <typename Tag, typename Integer>
struct std::hash<assay::Id<Tag, Integer>> {
  std::size_t operator()(assay::Id<Tag, Integer> id) const noexcept {
    return std::hash<Integer>{}(id.value());
  }
};
