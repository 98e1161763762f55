// The order in which a kernel turns H scores of one token into one logit. Float addition is not
// associative, so this order is part of the contract: the kernel's epilogue and the twin are both
// written in terms of this file, and whoever changes a constant here changes both.
//
//   logit = scale * sum_h w_h * relu(s_h),   s_h = <q_h, k>   (from the tensor core)
//
// Who holds what is the accumulator layout of wgmma with tokens on M and heads on N: a token row
// belongs to a quad of 4 lanes, and lane q holds heads  h = 8*j + 2*q + e,  e in {0,1}, j in [0, H/8).
//
//   per lane    kChains running sums; chain c takes e = c % 2 and j = c / 2 (mod kChains / 2),
//               ascending. It begins with relu(s)*w (a multiplication, rounded) and goes on with
//               fma(relu(s), w, chain).
//   lane total  neighbours added pairwise until one is left: (c0 + c1) + (c2 + c3). Chains without a
//               head (H/8 < kChains/2) do not exist and are not added; an odd one out moves up.
//   quad total  lanes exchange with xor 1, then xor 2: (t0 + t1) + (t2 + t3)
//   logit       total * scale, one multiplication, fp32; a bf16 output is rounded from that once.
//
// relu(s) = max(s, +0): NaN gives +0, -0 gives +0. Everything is fp32, round to nearest even,
// subnormals kept, nothing contracted. A NaN is stored as 0x7fffffff (bf16: 0x7fff).
#pragma once

#include <cstdint>

#include "model/core/exact_arithmetic.h"
#include "model/core/float_formats.h"
#include "model/core/host_device.h"

namespace assay {

// What a kernel claims as `arithmetic=` when it follows this file on top of the tensor-core step of
// docs/twin.md. Whoever claims it must equal the twin in every bit.
constexpr const char* kMqaLogitsArithmetic = "hopper-e4m3-mqa-logits";

enum class LogitScaling : std::uint8_t {
  kQuadTotal,   // ((t0 + t1) + (t2 + t3)) * scale
  kLaneTotals,  // (t0*scale + t1*scale) + (t2*scale + t3*scale)
};

struct LogitsReduction {
  // What a kernel may choose. Both kernels and the twin follow.
  static constexpr int kChains = 4;  // 2, 4 or 8
  static constexpr LogitScaling kScaling = LogitScaling::kQuadTotal;

  // What the instruction fixes.
  static constexpr int kLanes = 4;
  static constexpr int kHeadsPerLaneGroup = 2;                        // e
  static constexpr int kHeadsPerGroup = kLanes * kHeadsPerLaneGroup;  // 8, the step of j

  static constexpr int kGroupStride = kChains / kHeadsPerLaneGroup;  // j advances by this in a chain
  static_assert(kChains == 2 || kChains == 4 || kChains == 8);

  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr int heads_per_lane(int heads) { return heads / kLanes; }

  // The head that a lane's i-th accumulator (i = 2*j + e) belongs to.
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr int head_of_accumulator(int lane, int i) {
    return i / kHeadsPerLaneGroup * kHeadsPerGroup + lane * kHeadsPerLaneGroup + i % kHeadsPerLaneGroup;
  }
  // The accumulator that is the position-th of a chain: e = chain % 2, j = chain / 2 + stride * position.
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr int accumulator_of(int chain, int position) {
    return (chain / kHeadsPerLaneGroup + kGroupStride * position) * kHeadsPerLaneGroup +
           chain % kHeadsPerLaneGroup;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr int head_of(int lane, int chain, int position) {
    return head_of_accumulator(lane, accumulator_of(chain, position));
  }
  // Chains that have a head, and how many heads each has.
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr int chains(int heads) {
    return heads_per_lane(heads) < kChains ? heads_per_lane(heads) : kChains;
  }
  [[nodiscard]] ASSAY_HOST_DEVICE static constexpr int chain_length(int heads, int chain) {
    return (heads / kHeadsPerGroup - chain / kHeadsPerLaneGroup + kGroupStride - 1) / kGroupStride;
  }
};

namespace exact {

ASSAY_HOST_DEVICE inline float relu(float score) {
#if defined(__CUDA_ARCH__)
  return fmaxf(score, 0.0f);
#else
  return score > 0.0f ? score : 0.0f;  // NaN and -0 give +0, as PTX max.f32 does
#endif
}

}  // namespace exact

// One lane's share. scores and weights: heads/4 values each, indexed by accumulator i = 2*j + e, as
// wgmma leaves them in registers (weights in the same order). kHeads: a multiple of 8.
template <int kHeads, typename Scores, typename Weights>
ASSAY_HOST_DEVICE inline float lane_total(const Scores& scores, const Weights& weights) {
  using R = LogitsReduction;
  static_assert(kHeads > 0 && kHeads % R::kHeadsPerGroup == 0);
  constexpr int kPresent = R::chains(kHeads);
  float chain[kPresent];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int i = 0; i < R::heads_per_lane(kHeads); ++i) {
    const int c = i % R::kChains;  // i = 2*j + e, so this is 2*(j mod stride) + e
    const float score = exact::relu(scores[i]);
    chain[c] = i < kPresent ? exact::multiply(score, weights[i]) : exact::fused(score, weights[i], chain[c]);
  }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int left = kPresent; left > 1; left = (left + 1) / 2) {
    for (int c = 0; c < left / 2; ++c) chain[c] = exact::add(chain[2 * c], chain[2 * c + 1]);
    if (left % 2) chain[left / 2] = chain[left - 1];
  }
  return chain[0];
}

// Four lane totals and the token's scale -> the fp32 logit. A kernel does the two additions with
// shuffles: addition is commutative, so every lane of the quad arrives at the same bits.
ASSAY_HOST_DEVICE inline float quad_logit(const float (&total)[LogitsReduction::kLanes], float scale) {
  if constexpr (LogitsReduction::kScaling == LogitScaling::kQuadTotal) {
    return exact::multiply(exact::add(exact::add(total[0], total[1]), exact::add(total[2], total[3])), scale);
  } else {
    return exact::add(exact::add(exact::multiply(total[0], scale), exact::multiply(total[1], scale)),
                      exact::add(exact::multiply(total[2], scale), exact::multiply(total[3], scale)));
  }
}

// The bits a kernel stores. NaN is canonical, as the hardware's arithmetic and conversions leave it.
ASSAY_HOST_DEVICE inline std::uint32_t fp32_output_bits(float logit) {
  const std::uint32_t bits = bit_cast<std::uint32_t>(logit);
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffffffu : bits;
}
// cvt.rn.bf16.f32: to nearest even, overflow to infinity, NaN to 0x7fff.
ASSAY_HOST_DEVICE inline std::uint16_t bf16_output_bits(float logit) {
  const std::uint32_t bits = bit_cast<std::uint32_t>(logit);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return Bf16::kNan;
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

}  // namespace assay
