#include "properties/world/token_values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "model/core/philox.h"

namespace assay::properties {
namespace {

// Purposes: the last counter word, so that a token's key and its query are drawn apart.
enum Purpose : std::uint32_t {
  kKeyRow = 1,
  kKeyFactor = 2,
  kQuery = 3,
  kWeights = 4,
  kKey = 5,
  kValue = 6,
  kBroad = 7
};

PhiloxBlock drawn(std::uint64_t seed, TokenName name, std::uint32_t index, Purpose purpose) {
  return philox4x32(
      {{static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32), index, purpose}},
      static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
}

std::uint8_t byte_of(const PhiloxBlock& block, int index) {
  return static_cast<std::uint8_t>(block.word[index / 4] >> (index % 4 * 8));
}

// [1, 2) in steps of 2^-16, times 2^-7 to 2^0.
float factor_of(std::uint32_t word) {
  const float mantissa = 1.0f + static_cast<float>(word >> 16) * 0x1p-16f;
  return std::ldexp(mantissa, -static_cast<int>(word & 7));
}

// bf16 codes of n / 128, n = -127 .. 127.
const std::array<std::uint16_t, 255>& eighth_bit_codes() {
  static const std::array<std::uint16_t, 255> table = [] {
    std::array<std::uint16_t, 255> codes{};
    for (int n = -127; n <= 127; ++n) codes[static_cast<std::size_t>(n) + 127] = Bf16::encode(n * 0x1p-7);
    return codes;
  }();
  return table;
}

}  // namespace

void TokenValues::key_row(TokenName name, float* row) const {
  const float factor = factor_of(drawn(seed_, name, 0, kKeyFactor).word[0]) * 0x1p-5f;
  for (std::int32_t d = 0; d < dims_; d += 16) {
    const PhiloxBlock block = drawn(seed_, name, static_cast<std::uint32_t>(d / 16), kKeyRow);
    for (int i = 0; i < std::min(16, dims_ - d); ++i)
      row[d + i] = static_cast<float>(byte_of(block, i) % 255 - 127) * factor;
  }
}

float TokenValues::quantised_key(TokenName name, std::uint8_t* codes) const {
  float row[1024];
  key_row(name, row);
  float amax = 1e-4f;
  for (std::int32_t d = 0; d < dims_; ++d) amax = std::max(amax, std::fabs(row[d]));
  const float scale = amax / 448.0f;
  for (std::int32_t d = 0; d < dims_; ++d) codes[d] = E4M3::encode(static_cast<double>(row[d] / scale));
  return scale;
}

void TokenValues::attention_rows(TokenName name, std::int32_t kv_head, std::uint16_t* key,
                                 std::uint16_t* value) const {
  const auto& codes = eighth_bit_codes();
  for (std::int32_t d = 0; d < dims_; d += 16) {
    const auto index = static_cast<std::uint32_t>(kv_head * dims_ + d);
    const PhiloxBlock k = drawn(seed_, name, index, kKey), v = drawn(seed_, name, index, kValue);
    for (int i = 0; i < std::min(16, dims_ - d); ++i) {
      key[d + i] = codes[byte_of(k, i) % 255];
      value[d + i] = codes[byte_of(v, i) % 255];
    }
  }
}

void TokenValues::broad_query(TokenName name, std::int32_t head, std::uint16_t* query) const {
  const auto& codes = eighth_bit_codes();
  for (std::int32_t d = 0; d < dims_; d += 16) {
    const PhiloxBlock q = drawn(seed_, name, static_cast<std::uint32_t>(head * dims_ + d), kBroad);
    for (int i = 0; i < std::min(16, dims_ - d); ++i) query[d + i] = codes[byte_of(q, i) % 255];
  }
}

void TokenValues::query(TokenName name, std::uint8_t* codes, float* weights) const {
  const std::int32_t count = heads_ * dims_;
  for (std::int32_t at = 0; at < count; at += 16) {
    const PhiloxBlock block = drawn(seed_, name, static_cast<std::uint32_t>(at / 16), kQuery);
    for (int i = 0; i < std::min(16, count - at); ++i) {
      // sign, an exponent field of 3 to 9, three bits of mantissa
      const std::uint8_t byte = byte_of(block, i);
      const int exponent = 3 + (byte >> 4 & 7) % 7;
      codes[at + i] = static_cast<std::uint8_t>((byte & 0x80) | exponent << 3 | (byte & 7));
    }
  }
  for (std::int32_t h = 0; h < heads_; ++h) {
    const std::uint32_t word = drawn(seed_, name, static_cast<std::uint32_t>(h / 4), kWeights).word[h % 4];
    weights[h] = factor_of(word) * ((word & 8) != 0 ? -1.0f : 1.0f);
  }
}

}  // namespace assay::properties
