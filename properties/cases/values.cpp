#include "properties/cases/values.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "model/core/check.h"
#include "model/core/float_formats.h"
#include "properties/cases/element_draws.h"

namespace assay::properties {
namespace {

std::uint8_t finite_code(std::uint32_t bits) {  // 254 codes, no NaN
  const auto code = static_cast<std::uint8_t>(static_cast<std::uint64_t>(bits) * 254 >> 32);
  return code < 127 ? code : static_cast<std::uint8_t>(code + 1);
}

constexpr double kSpecialValues[] = {0.0,        -0.0,   448, -448, 0x1p-9, -0x1p-9,
                                     7 * 0x1p-9, 0x1p-6, 1,   -1,   240,    -1.125};

}  // namespace

const char* name_of(Lane lane) {
  switch (lane) {
    case Lane::kGaussian: return "gaussian";
    case Lane::kHeavyTail: return "heavy-tail";
    case Lane::kExactQk: return "exact-qk";
    case Lane::kExactW: return "exact-w";
    case Lane::kAddress: return "address";
    case Lane::kOneHead: return "one-head";
    case Lane::kNegative: return "negative";
    case Lane::kCodes: return "codes";
    case Lane::kSpecials: return "specials";
    case Lane::kNan: return "nan";
    case Lane::kNeedle: return "needle";
    case Lane::kExact: return "exact";
    case Lane::kUniform: return "uniform";
    case Lane::kTwoPlateau: return "two-plateau";
    case Lane::kRamp: return "ramp";
  }
  return "?";
}

Lane lane_named(const std::string& name, const std::string& place) {
  std::string names;
  for (int number = 0; number < kLanes; ++number) {
    const auto lane = static_cast<Lane>(number);
    if (name == name_of(lane)) return lane;
    names += (names.empty() ? "" : ", ") + std::string(name_of(lane));
  }
  throw InputError(place, "one of " + names, name);
}

const std::vector<Lane>& lanes_of(Operation operation) {
  static const std::vector<Lane> kLogits{Lane::kAddress,   Lane::kExactQk,  Lane::kOneHead, Lane::kNegative,
                                         Lane::kExactW,    Lane::kGaussian, Lane::kCodes,   Lane::kSpecials,
                                         Lane::kHeavyTail, Lane::kNan};
  static const std::vector<Lane> kAttention{Lane::kAddress,    Lane::kExact,    Lane::kNeedle,
                                            Lane::kUniform,    Lane::kGaussian, Lane::kRamp,
                                            Lane::kTwoPlateau, Lane::kHeavyTail};
  static const std::vector<Lane> kMerge{Lane::kExact, Lane::kUniform, Lane::kGaussian, Lane::kHeavyTail};
  static const std::vector<Lane> kCacheWrite{Lane::kAddress, Lane::kGaussian, Lane::kSpecials,
                                             Lane::kHeavyTail, Lane::kNan};
  switch (operation) {
    case Operation::kPagedAttention: return kAttention;
    case Operation::kMerge: return kMerge;
    case Operation::kCacheWrite: return kCacheWrite;
    default: return kLogits;
  }
}

bool is_exact(Lane lane) {
  return lane == Lane::kExactQk || lane == Lane::kExactW || lane == Lane::kAddress ||
         lane == Lane::kOneHead || lane == Lane::kNegative;
}

std::int64_t address_limit(std::int32_t heads, std::int32_t dims) {
  return std::int64_t{1} << std::min({heads, dims, 24});
}

MqaValues::MqaValues(Lane lane, std::uint64_t seed, std::int32_t heads, std::int32_t dims)
    : lane_(lane),
      heads_(heads),
      dims_(dims),
      q_(seed, "q"),
      keys_(seed, "keys"),
      scales_(seed, "scales"),
      weights_(seed, "weights") {
  // Bit budgets of the exact lanes (facts behind docs/golden.md): |dot| < 2^13 and 24 bits over the heads.
  while (odd_weights_ > 1 && 2 * odd_weights_ * dims * heads > 1 << 24) odd_weights_ /= 2;
  while (qk_limit_ > 1 && qk_limit_ * qk_limit_ * dims >= 1 << 13) --qk_limit_;
}

void MqaValues::query(std::int64_t row, std::int32_t head, std::uint8_t* codes) const {
  draw_row(q_, row * heads_ + head, dims_, codes, [&](std::uint32_t bits, std::int32_t dim) -> std::uint8_t {
    switch (lane_) {
      case Lane::kGaussian:
      case Lane::kNan: return E4M3::encode(static_cast<double>(normal_of(bits)));
      case Lane::kHeavyTail:
        return E4M3::encode(static_cast<double>(normal_of(bits) * power_of(bits * 2654435761u, 1.0f)));
      case Lane::kExactQk:
      case Lane::kOneHead: return E4M3::encode(integer_in(bits, qk_limit_));
      case Lane::kExactW: return E4M3::encode(integer_in(bits, 1));
      case Lane::kAddress: return dim == head ? E4M3::encode(1.0) : E4M3::Code{0};
      case Lane::kNegative: return E4M3::encode(1 + std::abs(integer_in(bits, 3)));
      case Lane::kCodes: return finite_code(bits);
      case Lane::kSpecials:
        return E4M3::encode(
            kSpecialValues[static_cast<std::uint64_t>(bits) * std::size(kSpecialValues) >> 32]);
      default: break;  // attention's
    }
    return 0;
  });
}

void MqaValues::key(std::int64_t slot, std::uint8_t* codes) const {
  draw_row(keys_, slot, dims_, codes, [&](std::uint32_t bits, std::int32_t dim) -> std::uint8_t {
    switch (lane_) {
      case Lane::kGaussian: return E4M3::encode(static_cast<double>(normal_of(bits)));
      case Lane::kNan:
        return bits % 509 == 0 ? E4M3::kNan : E4M3::encode(static_cast<double>(normal_of(bits)));
      case Lane::kHeavyTail:
        return E4M3::encode(static_cast<double>(normal_of(bits) * power_of(bits * 2654435761u, 1.0f)));
      case Lane::kExactQk:
      case Lane::kOneHead: return E4M3::encode(integer_in(bits, qk_limit_));
      case Lane::kExactW: return E4M3::encode(integer_in(bits, 1));
      case Lane::kAddress:
        return dim < 24 && ((slot + 1) >> dim & 1) != 0 ? E4M3::encode(1.0) : E4M3::Code{0};
      case Lane::kNegative: return E4M3::encode(-1.0 - std::abs(integer_in(bits, 3)));
      case Lane::kCodes: return finite_code(bits);
      case Lane::kSpecials:
        return E4M3::encode(
            kSpecialValues[static_cast<std::uint64_t>(bits) * std::size(kSpecialValues) >> 32]);
      default: break;  // attention's
    }
    return 0;
  });
}

float MqaValues::scale(std::int64_t slot) const {
  const std::uint64_t index = static_cast<std::uint64_t>(slot);
  const PhiloxBlock block = scales_.block(index);
  const float between = 0.5f + static_cast<float>(block.word[0] >> 8) * 0x1p-24f;
  switch (lane_) {
    case Lane::kGaussian: return between * 0x1p-6f;
    case Lane::kNan: return block.word[1] % 13 == 0 ? bit_cast<float>(0x7fc00000u) : between * 0x1p-6f;
    case Lane::kHeavyTail: return between * power_of(block.word[1], 3.0f);
    case Lane::kCodes:
      return between * static_cast<float>(detail::power_of_two(integer_in(block.word[1], 12)));
    case Lane::kExactQk:
    case Lane::kExactW:
    case Lane::kOneHead: return static_cast<float>(detail::power_of_two(integer_in(block.word[0], 3)));
    case Lane::kAddress:
    case Lane::kNegative: return 1.0f;
    case Lane::kSpecials:
      return block.word[1] % 11 == 0
                 ? 0.0f
                 : static_cast<float>(detail::power_of_two(integer_in(block.word[0], 20)));
    default: break;  // attention's
  }
  return 0;
}

float MqaValues::weight(std::int64_t row, std::int32_t head) const {
  const PhiloxBlock block = weights_.block(static_cast<std::uint64_t>(row * heads_ + head));
  switch (lane_) {
    case Lane::kGaussian:
    case Lane::kCodes:
    case Lane::kNan: return normal_of(block.word[0]);
    case Lane::kHeavyTail: return normal_of(block.word[0]) * power_of(block.word[1], 1.0f);
    case Lane::kExactQk:  // a quarter of the heads
      return block.word[0] % 4 != 0 ? 0.0f : block.word[1] % 2 ? 1.0f : -1.0f;
    case Lane::kExactW: {  // odd, up to ten bits: no shorter format holds them
      const auto magnitude =
          static_cast<float>(2 * (static_cast<std::uint64_t>(block.word[0]) * odd_weights_ >> 32) + 1);
      return block.word[1] % 2 ? magnitude : -magnitude;
    }
    case Lane::kAddress: return head < 24 ? static_cast<float>(detail::power_of_two(head)) : 0.0f;
    case Lane::kOneHead:
      return weights_.child(static_cast<std::uint64_t>(row)).below(0, static_cast<std::uint64_t>(heads_)) ==
                     static_cast<std::uint64_t>(head)
                 ? 1.0f
                 : 0.0f;
    case Lane::kNegative: return static_cast<float>(integer_in(block.word[0], 64));
    case Lane::kSpecials: {
      static constexpr float kWeights[] = {0.0f, -0.0f, 1.0f, -1.0f, 0x1p-20f, 1024.0f, -0.75f};
      return kWeights[static_cast<std::uint64_t>(block.word[0]) * std::size(kWeights) >> 32];
    }
    default: break;  // attention's
  }
  return 0;
}

}  // namespace assay::properties
