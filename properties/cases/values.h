// What the elements of a case are: lanes. Each lane sees faults that the others cannot (docs/fuzzing.md).
//
//   gaussian     everything moderately
//   heavy-tail   scale plumbing, overflow
//   exact-qk, exact-w   sums that are exact in any order: silent downgrades, by bit equality
//   address      the logit is the number of the slot that was read: names the wrong block and slot
//   one-head     one head carries all the weight: head loops, weights of the wrong row
//   negative     every score is below zero: the logit is exactly 0 (a missing relu is not)
//   codes        all codes of the format, scales over many octaves, none a power of two
//   specials     +-0, subnormals, 448, huge and tiny scales
//   nan          NaN codes in live keys (relu gives 0) and NaN scales (the logit is NaN)
//
// Paged attention has gaussian, heavy-tail and address, and lanes of its own (attention_values.h):
//
//   needle, exact   every query looks at one token: its output is that token's V row
//   uniform         all scores equal: dropped and repeated tokens, lengths
//   two-plateau     two scores, values that cancel: coherent rounding
//   ramp            scores rise along the sequence: the running maximum changes in every tile
//
// Merge and cache write take what fits of both (merge_contents.h, cache_write_contents.h).
//
// An element is a function of (seed, lane, stream, content coordinates), never of where it lies in
// memory: renaming blocks, splitting queries or taking a row alone moves values, and changes none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/core/philox.h"
#include "properties/cases/operands.h"

namespace assay::properties {

enum class Lane : std::uint8_t {
  kGaussian,
  kHeavyTail,
  kExactQk,
  kExactW,
  kAddress,
  kOneHead,
  kNegative,
  kCodes,
  kSpecials,
  kNan,
  kNeedle,
  kExact,
  kUniform,
  kTwoPlateau,
  kRamp,
};
inline constexpr int kLanes = 15;
// The lanes of an operation, from the most telling about a wrong read to the noisiest: the order in which a
// shrinker tries them. Operations without values have the first one of the logits.
[[nodiscard]] const std::vector<Lane>& lanes_of(Operation operation);
[[nodiscard]] const char* name_of(Lane lane);
[[nodiscard]] Lane lane_named(const std::string& name, const std::string& place);

// Sums of the lane are exact in every declared arithmetic: the bound is zero.
[[nodiscard]] bool is_exact(Lane lane);

// Draws the operands of one MQA logits case.
class MqaValues {
 public:
  // tokens: how many different content slots there are (for the address lane).
  MqaValues(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t dims);

  // Codes of one query head / one key; `row` and `slot` are content coordinates.
  void query(std::int64_t row, std::int32_t head, std::uint8_t* codes) const;  // [dims]
  void key(std::int64_t slot, std::uint8_t* codes) const;                      // [dims]
  [[nodiscard]] float scale(std::int64_t slot) const;
  [[nodiscard]] float weight(std::int64_t row, std::int32_t head) const;

 private:
  Lane lane_;
  std::int32_t heads_, dims_;
  RandomStream q_, keys_, scales_, weights_;
  int qk_limit_ = 7;
  std::int64_t odd_weights_ = 512;
};

// Slots that the address lane can tell apart with this shape: numbers 1 .. limit - 1 (0 says "nothing").
[[nodiscard]] std::int64_t address_limit(std::int32_t heads, std::int32_t dims);

}  // namespace assay::properties
