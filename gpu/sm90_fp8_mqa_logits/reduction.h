// What both logits kernels do with a warpgroup's scores (the accumulator of wgmma_e4m3.h): relu, weights, sums in
// the order of model/core/logits_reduction.h, and the store.
//
// A lane holds its quad's share of two tokens, `upper` and `lower` (8 rows apart). Instead of summing both over the
// quad in four shuffles, lanes swap what they do not keep: after one shuffle lanes 0 and 2 have (t0 + t1) and
// (t2 + t3) of the upper token, lanes 1 and 3 of the lower.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "model/core/logits_reduction.h"

namespace assay::logits {

constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float share_out(float upper, float lower, int half) {
  const float sent = half == 0 ? lower : upper, kept = half == 0 ? upper : lower;
  return exact::add(kept, __shfl_xor_sync(kAllLanes, sent, 1));
}

// Row `row` of the scores; half = lane % 2.
template <int kHeads, int kScores>
__device__ __forceinline__ float own_share(const float (&score)[kScores], int row,
                                           const float (&weights)[kHeads / 4], int half) {
  float total[2];
#pragma unroll
  for (int lower = 0; lower < 2; ++lower) {
    float own[kHeads / 4];
#pragma unroll
    for (int a = 0; a < kHeads / 4; ++a) own[a] = score[row * kHeads / 2 + a / 2 * 4 + lower * 2 + a % 2];
    total[lower] = lane_total<kHeads>(own, weights);
  }
  return share_out(total[0], total[1], half);
}

// Two rows' shares: lanes with odd = lane / 2 % 2 of 0 are left with the first row's logit, the others with the second's.
__device__ __forceinline__ float logit_of_two(float first, float second, int odd, float scale) {
  const float sent = odd == 0 ? second : first, kept = odd == 0 ? first : second;
  return exact::multiply(exact::add(kept, __shfl_xor_sync(kAllLanes, sent, 2)), scale);
}
__device__ __forceinline__ float logit_of_one(float share, float scale) {
  return exact::multiply(exact::add(share, __shfl_xor_sync(kAllLanes, share, 2)), scale);
}

template <typename Output>
__device__ __forceinline__ void store(void* logits, std::int64_t at, float value);
template <>
__device__ __forceinline__ void store<float>(void* logits, std::int64_t at, float value) {
  static_cast<std::uint32_t*>(logits)[at] = fp32_output_bits(value);
}
template <>
__device__ __forceinline__ void store<std::uint16_t>(void* logits, std::int64_t at, float value) {
  static_cast<std::uint16_t*>(logits)[at] = bf16_output_bits(value);
}

}  // namespace assay::logits
