// What the elements of a paged attention case are. A row of keys or values is a function of (seed, lane, content
// slot, KV head), and in the ramp of its token's position; a query of (seed, lane, row content, head) and, in
// the lanes that point, of the slot it points at.
//
//   address, needle, exact   key of a slot: a code of +-1; query: the code of its target, times 2^k, so that
//                            every other token has p = e^-110 or less: the output is the target's V row
//     address                V says slot and KV head in bits: a wrong output says whose it is
//     needle                 V is anything
//     exact                  V is odd integers of 10 bits: the output is V's row to the bit
//   uniform                  keys are 0, V small integers: the mean of the visible tokens
//   two-plateau              scores s and s / 2, V's means cancel
//   ramp                     the score rises by about 1 with every 16 tokens
//   gaussian, heavy-tail     as in the logits
#pragma once

#include <cstdint>
#include <optional>

#include "model/core/philox.h"
#include "properties/cases/values.h"

namespace assay::properties {

[[nodiscard]] constexpr bool points(Lane lane) {
  return lane == Lane::kAddress || lane == Lane::kNeedle || lane == Lane::kExact;
}

class AttentionValues {
 public:
  AttentionValues(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t kv_heads, std::int32_t dims,
                  double softmax_scale);

  void key(std::int64_t slot, std::int64_t position, std::int32_t kv_head, float* row) const;  // [dims]
  void value(std::int64_t slot, std::int32_t kv_head, float* row) const;                       // [dims]
  // `slot`: what the query points at; -1: it sees nothing.
  void query(std::int64_t content, std::int32_t head, std::int64_t slot, float* row) const;  // [dims]

  // Which of the `visible` tokens a query points at.
  [[nodiscard]] std::int64_t target(std::int64_t content, std::int32_t head, std::int64_t visible) const;

 private:
  [[nodiscard]] bool code_bit(std::int64_t slot, std::int32_t kv_head, std::int32_t dim) const;
  [[nodiscard]] bool upper_plateau(std::int64_t slot, std::int32_t kv_head) const;

  Lane lane_;
  std::int32_t heads_, kv_heads_, dims_;
  float needle_, plateau_, slope_;
  RandomStream q_, keys_, values_, choice_, targets_;
};

// Address lane: whose V row is this? Nothing when it is nobody's.
struct ValueAddress {
  std::int64_t slot = 0;
  std::int32_t kv_head = -1;  // -1: there are too few dims to say
};
[[nodiscard]] std::optional<ValueAddress> value_address(const double* row, std::int32_t dims);

}  // namespace assay::properties
