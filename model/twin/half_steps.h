// The bf16 and fp16 step on many accumulators at once: tensor_core_step on vectors, equal to it in every
// bit. For twins of attention kernels, where one side of the product is shared by all lanes:
//
//   scores    lanes are tokens, K runs over dims, the shared side is a query row
//   outputs   lanes are dims,   K runs over tokens, the shared side is a row of weights
//
//   tile [k, lane]  one code per step element and lane, decoded once, used for every shared row
//   accumulator[lane] = step over 16 k of  tile[k][lane] * shared[k]  + accumulator[lane]
//
// The step is done in double: a product of two codes is exact (22 bits), so is its scaling by
// 2^(25 - E), the conversion to int32 cuts toward zero (|term| < 2^27), and two int32 sums of at most
// nine terms cannot overflow. The result's cut to 23 bits clears the double's low 29 mantissa bits;
// below 2^-126 it is a second conversion to int32, in units of 2^-149.
//
// NaN and infinity, in operands or accumulators, take the slow reference, lane by lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/core/float_formats.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {

enum class HalfPath : std::uint8_t { kPortable, kFastest };  // the same bits; portable for comparison

constexpr std::int16_t kNoHalfExponent = -400;  // below every sum of two exponents, also with another added

// Codes [depth, lanes], decoded. depth: a multiple of 16.
template <typename Format>
class HalfTile {
 public:
  using Code = typename Format::Code;

  // Row k holds `lanes` consecutive codes at rows[k]; a null row is all zeros. (Values of attention:
  // one row per token.)
  void load_rows(const Code* const* rows, int depth, int lanes);
  // Lane l holds `depth` consecutive codes at columns[l]; a null lane is all zeros. (Keys of attention:
  // one lane per token.)
  void load_lanes(const Code* const* columns, int depth, int lanes);

  [[nodiscard]] int depth() const { return depth_; }
  [[nodiscard]] int lanes() const { return lanes_; }

  // accumulators[lane] after depth / 16 steps with shared[0, depth), in the order of k.
  void accumulate(const Code* shared, float* accumulators, HalfPath path = HalfPath::kFastest) const;

 private:
  [[nodiscard]] std::size_t padded() const;  // lanes, up to whole vectors
  void resize(int depth, int lanes);
  void decode();
  void slow_lane(const Code* shared, int k, int lane, float* accumulator) const;

  int depth_ = 0, lanes_ = 0;
  std::vector<Code> code_;              // [depth, lanes]
  std::vector<double> value_;           // [depth, lanes]; NaN and infinity as 0
  std::vector<std::int16_t> exponent_;  // [depth, lanes]; kNoHalfExponent where the value is 0
  std::vector<std::uint8_t> special_;   // [depth / 16, lanes]
};

}  // namespace assay::twin
