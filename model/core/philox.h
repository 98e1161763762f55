// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11), the same bits on host and device.
//
// A stream is (seed, purpose): every tensor of every case has its own ("q", "keys", "context_tokens"),
// so any element can be drawn alone, in any order, on any machine, without drawing what came before.
// No libm anywhere: uniform() and normal() are integer sums and one exact scaling.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/core/host_device.h"

namespace assay {

struct PhiloxBlock {
  std::uint32_t word[4];
};

[[nodiscard]] ASSAY_HOST_DEVICE constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::uint32_t key0,
                                                                 std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter.word[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter.word[2];
    counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ counter.word[1] ^ key0,
                static_cast<std::uint32_t>(product1),
                static_cast<std::uint32_t>(product0 >> 32) ^ counter.word[3] ^ key1,
                static_cast<std::uint32_t>(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

class RandomStream {
 public:
  // A string literal as purpose works on the device too; a string_view is for the host (its members are not
  // the device's, and calling them there silently computes nothing).
  ASSAY_HOST_DEVICE constexpr RandomStream(std::uint64_t seed, const char* purpose)
      : key_(mix(seed, hash_of(purpose))) {}
  constexpr RandomStream(std::uint64_t seed, std::string_view purpose) : key_(0) {
    std::uint64_t hash = kHashBasis;
    for (const char c : purpose) hash = hashed(hash, c);
    key_ = mix(seed, hash);
  }

  // A stream of its own below this one: per sequence, per step, per case.
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr RandomStream child(std::uint64_t index) const {
    const PhiloxBlock block = draw(~index, 0xC411Du);
    return RandomStream(block.word[0] | static_cast<std::uint64_t>(block.word[1]) << 32);
  }

  [[nodiscard]] ASSAY_HOST_DEVICE constexpr PhiloxBlock block(std::uint64_t index) const {
    return draw(index, 0);
  }
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::uint32_t u32(std::uint64_t index) const {
    return draw(index >> 2, 1).word[index & 3];
  }
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::uint64_t u64(std::uint64_t index) const {
    const PhiloxBlock drawn = draw(index >> 1, 2);
    const std::uint32_t low = drawn.word[(index & 1) * 2], high = drawn.word[(index & 1) * 2 + 1];
    return low | static_cast<std::uint64_t>(high) << 32;
  }
  // Uniform in [0, bound), bound > 0. Multiply-shift: the bias is below bound / 2^64.
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr std::uint64_t below(std::uint64_t index,
                                                                std::uint64_t bound) const {
    const std::uint64_t x = u64(index);
    const std::uint64_t x0 = x & 0xffffffffu, x1 = x >> 32, b0 = bound & 0xffffffffu, b1 = bound >> 32;
    const std::uint64_t low = x0 * b0, middle0 = x1 * b0 + (low >> 32), middle1 = x0 * b1;
    const std::uint64_t carry = ((middle0 & 0xffffffffu) + (middle1 & 0xffffffffu)) >> 32;
    return x1 * b1 + (middle0 >> 32) + (middle1 >> 32) + carry;
  }
  // Uniform in [0, 1), a multiple of 2^-24.
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr float uniform(std::uint64_t index) const {
    return static_cast<float>(u32(index) >> 8) * 0x1p-24f;
  }
  // Close to a standard normal: twelve 10-bit uniforms summed (variance 1 up to 2^-20, |x| < 6), a
  // multiple of 2^-10. Exact in every format that holds 13 bits.
  [[nodiscard]] ASSAY_HOST_DEVICE constexpr float normal(std::uint64_t index) const {
    const PhiloxBlock drawn = draw(index, 3);
    int sum = 0;
    for (int word = 0; word < 4; ++word) {
      const std::uint32_t bits = drawn.word[word];
      sum += static_cast<int>(bits & 1023) + static_cast<int>(bits >> 10 & 1023) +
             static_cast<int>(bits >> 20 & 1023);
    }
    return static_cast<float>(sum - 6138) * 0x1p-10f;  // 12 * 1023 / 2 = 6138
  }

 private:
  ASSAY_HOST_DEVICE constexpr explicit RandomStream(std::uint64_t key) : key_(key) {}

  [[nodiscard]] ASSAY_HOST_DEVICE constexpr PhiloxBlock draw(std::uint64_t index, std::uint32_t kind) const {
    return philox4x32({{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), kind, 0}},
                      static_cast<std::uint32_t>(key_), static_cast<std::uint32_t>(key_ >> 32));
  }
  // FNV-1a over the purpose, then a Philox round trip with the seed: near-equal seeds and purposes
  // give unrelated keys.
  static constexpr std::uint64_t kHashBasis = 0xcbf29ce484222325ull;
  ASSAY_HOST_DEVICE static constexpr std::uint64_t hashed(std::uint64_t hash, char c) {
    return (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  ASSAY_HOST_DEVICE static constexpr std::uint64_t hash_of(const char* purpose) {
    std::uint64_t hash = kHashBasis;
    for (; *purpose != '\0'; ++purpose) hash = hashed(hash, *purpose);
    return hash;
  }
  ASSAY_HOST_DEVICE static constexpr std::uint64_t mix(std::uint64_t seed, std::uint64_t hash) {
    const PhiloxBlock block =
        philox4x32({{static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32), 0, 0}},
                   static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    return block.word[0] | static_cast<std::uint64_t>(block.word[1]) << 32;
  }

  std::uint64_t key_;
};

}  // namespace assay
