// How lanes draw elements: one 32-bit word of a Philox stream per element, and exact arithmetic (no libm in a
// value). Shared by the values of the operations; nobody else includes this.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "model/core/float_formats.h"
#include "model/core/philox.h"

namespace assay::properties {

// Close to a standard normal from 32 random bits: four bytes summed. A multiple of 2^-8.
inline float normal_of(std::uint32_t bits) {
  const int sum = static_cast<int>(bits & 255) + static_cast<int>(bits >> 8 & 255) +
                  static_cast<int>(bits >> 16 & 255) + static_cast<int>(bits >> 24);
  return static_cast<float>(sum - 510) * (1.0f / 128.0f);  // standard deviation 147.8 / 128
}

// 2^round(normal * sigma), clamped.
inline float power_of(std::uint32_t bits, float sigma) {
  const int exponent = static_cast<int>(std::lround(sigma * normal_of(bits)));
  return static_cast<float>(detail::power_of_two(std::clamp(exponent, -30, 30)));
}

inline int integer_in(std::uint32_t bits, int limit) {
  return static_cast<int>(static_cast<std::uint64_t>(bits) * (2 * limit + 1) >> 32) - limit;
}

// codes[d] = element(word of d) for d in [0, dims), one Philox block per four elements.
template <typename Code, typename Element>
void draw_row(const RandomStream& stream, std::int64_t row, std::int32_t dims, Code* codes,
              const Element& element) {
  const std::uint64_t first = static_cast<std::uint64_t>(row) * ((dims + 3) / 4);
  for (std::int32_t d = 0; d < dims; d += 4) {
    const PhiloxBlock block = stream.block(first + d / 4);
    for (std::int32_t i = 0; i < 4 && d + i < dims; ++i) codes[d + i] = element(block.word[i], d + i);
  }
}

}  // namespace assay::properties
