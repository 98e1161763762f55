#include "properties/cases/attention_values.h"

#include <cmath>

#include "model/core/check.h"
#include "properties/cases/element_draws.h"

namespace assay::properties {
namespace {

constexpr std::int32_t kSlotBits = 24, kAddressBits = 32;

// The power of two at or above x > 0.
float power_at_least(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);  // x = fraction * 2^exponent, fraction in [1/2, 1)
  return static_cast<float>(detail::power_of_two(fraction == 0.5 ? exponent - 1 : exponent));
}

std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ull;
  return x ^ (x >> 32);
}

}  // namespace

AttentionValues::AttentionValues(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t kv_heads,
                                 std::int32_t dims, double softmax_scale)
    : lane_(lane),
      heads_(heads),
      kv_heads_(kv_heads),
      dims_(dims),
      // Two codes differ in one dim at least: their scores by 2 * needle * scale.
      needle_(power_at_least(56.0 / softmax_scale)),
      plateau_(static_cast<float>(0.70710678 / softmax_scale)),
      slope_(power_at_least(0.75 / softmax_scale)),
      q_(seed, "attention q"),
      keys_(seed, "attention keys"),
      values_(seed, "attention values"),
      choice_(seed, "attention choice"),
      targets_(seed, "attention targets") {}

// The slot's number, then bits of a hash; each KV head with signs of its own.
bool AttentionValues::code_bit(std::int64_t slot, std::int32_t kv_head, std::int32_t dim) const {
  const std::uint64_t word =
      dim < kSlotBits
          ? static_cast<std::uint64_t>(slot) >> dim
          : mixed(static_cast<std::uint64_t>(slot) * 64 + static_cast<std::uint64_t>(dim / 64)) >> (dim % 64);
  const std::uint64_t sign = mixed((static_cast<std::uint64_t>(kv_head) << 32 | 0x5157u) * 64 +
                                   static_cast<std::uint64_t>(dim / 64)) >>
                             (dim % 64);
  return ((word ^ sign) & 1) != 0;
}

bool AttentionValues::upper_plateau(std::int64_t slot, std::int32_t kv_head) const {
  return choice_.u32(static_cast<std::uint64_t>(slot * kv_heads_ + kv_head)) % 2 == 0;
}

std::int64_t AttentionValues::target(std::int64_t content, std::int32_t head, std::int64_t visible) const {
  return static_cast<std::int64_t>(targets_.below(static_cast<std::uint64_t>(content * heads_ + head),
                                                  static_cast<std::uint64_t>(visible)));
}

void AttentionValues::query(std::int64_t content, std::int32_t head, std::int64_t slot, float* row) const {
  const std::int32_t kv_head = head / (heads_ / kv_heads_);
  draw_row(q_, content * heads_ + head, dims_, row, [&](std::uint32_t bits, std::int32_t dim) -> float {
    switch (lane_) {
      case Lane::kAddress:
      case Lane::kNeedle:
      case Lane::kExact: return slot < 0 ? 0.0f : code_bit(slot, kv_head, dim) ? needle_ : -needle_;
      case Lane::kTwoPlateau: return dim == 0 ? plateau_ : 0.0f;
      case Lane::kRamp: return dim == 0 ? slope_ : 0.25f * normal_of(bits);
      default: return normal_of(bits);
    }
  });
}

void AttentionValues::key(std::int64_t slot, std::int64_t position, std::int32_t kv_head, float* row) const {
  const bool upper = lane_ == Lane::kTwoPlateau && upper_plateau(slot, kv_head);
  const auto ramp_step = position / 16;  // the ramp rises by one every 16 tokens
  draw_row(keys_, slot * kv_heads_ + kv_head, dims_, row, [&](std::uint32_t bits, std::int32_t dim) -> float {
    switch (lane_) {
      case Lane::kAddress:
      case Lane::kNeedle:
      case Lane::kExact: return code_bit(slot, kv_head, dim) ? 1.0f : -1.0f;
      case Lane::kUniform: return 0.0f;
      case Lane::kTwoPlateau: return dim == 0 ? (upper ? 1.0f : 0.5f) : normal_of(bits);
      case Lane::kRamp: return dim == 0 ? static_cast<float>(ramp_step) : normal_of(bits);
      case Lane::kHeavyTail: return normal_of(bits) * power_of(bits * 2654435761u, 1.0f);
      default: return normal_of(bits);
    }
  });
}

void AttentionValues::value(std::int64_t slot, std::int32_t kv_head, float* row) const {
  const bool upper = lane_ == Lane::kTwoPlateau && upper_plateau(slot, kv_head);
  draw_row(values_, slot * kv_heads_ + kv_head, dims_, row,
           [&](std::uint32_t bits, std::int32_t dim) -> float {
             switch (lane_) {
               case Lane::kAddress: {
                 const std::int32_t bit = dim % kAddressBits;
                 const std::int64_t word = bit < kSlotBits ? slot >> bit : kv_head >> (bit - kSlotBits);
                 return (word & 1) != 0 ? 1.0f : -1.0f;
               }
               case Lane::kExact: return static_cast<float>(2 * integer_in(bits, 511) + 1);
               case Lane::kUniform: return static_cast<float>(integer_in(bits, 4));
               // e^(0.7071 / 2) = 1.424: the means cancel.
               case Lane::kTwoPlateau: return (upper ? 1.0f : -1.421875f) + normal_of(bits) * 0.0625f;
               case Lane::kHeavyTail: return normal_of(bits) * power_of(bits * 2654435761u, 1.4f);
               default: return normal_of(bits);
             }
           });
}

std::optional<ValueAddress> value_address(const double* row, std::int32_t dims) {
  std::uint32_t word = 0, known = 0;
  for (std::int32_t d = 0; d < dims; ++d) {
    if (row[d] != 1.0 && row[d] != -1.0) return std::nullopt;
    const std::uint32_t bit = std::uint32_t{1} << (d % kAddressBits);
    const std::uint32_t value = row[d] > 0 ? bit : 0;
    if ((known & bit) != 0 && (word & bit) != value) return std::nullopt;
    known |= bit;
    word |= value;
  }
  return ValueAddress{word & ((1u << kSlotBits) - 1),
                      dims < kAddressBits ? -1 : static_cast<std::int32_t>(word >> kSlotBits)};
}

}  // namespace assay::properties
