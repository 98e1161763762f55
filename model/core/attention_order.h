// The order in which a decode-attention kernel computes, declared, so that a twin can follow it bit by bit:
// which tile belongs to whom, what is multiplied and added in which order, and an exponential made of
// fused multiply-adds instead of the hardware's approximation.
//
// An item is one (sequence, KV head, tile of up to 8 query heads). Its visible tokens are cut into tiles
// of 16; the batch's tiles laid end to end are cut into equal ranges, one per part (model/core/schedule.h).
// What of an item falls into one range is a piece; inside a piece tile j belongs to warp j mod kWarps.
//
//   warp     for its tiles in order, per query head, x = s * scale_log2 (one fp32 multiply):
//              m' = max(m, max x);  alpha = exp2(m - m');  p = exp2(x - m')
//              l  = fma(l, alpha, p_g + p_(g+8))    per row pair (g, g + 8) of the tile, g = 0..7
//              O  = tensor core (V^T, P rounded to the cache's type, O * alpha)
//            dead tokens have x = -inf, p = 0, v = 0
//   l        ((l0 + l1) + (l2 + l3)) + ((l4 + l5) + (l6 + l7)) over g
//   merge    of the warps of a piece, then of the pieces of an item, each in ascending order:
//              m = max of all;  f_i = exp2(m_i - m);  O = fma(O_i, f_i, O), from +0;  l likewise
//   result   out = O * (1 / l), then rounded to the output type;  lse = (m + log2(l)) * ln 2
//
// fp32 throughout, round to nearest even, nothing contracted but the fmas written here.
#pragma once

#include <cstdint>

#include "model/core/exact_arithmetic.h"
#include "model/core/host_device.h"

namespace assay {

struct AttentionOrder {
  static constexpr int kTileTokens = 16;  // rows of one tensor-core operand
  static constexpr int kWarps = 4;        // of a CTA; each walks its own tiles
  static constexpr int kHeadTile = 8;     // query heads that share one pass over K and V
  static constexpr float kLn2 = 0x1.62e43p-1f;
  static constexpr float kLog2E = 0x1.715476p+0f;
};

namespace exact {

// 2^x for x <= 0: x = n + f with f in [-1/2, 1/2], a polynomial of degree 6 in f (relative error of the
// polynomial 2.6e-9), and n added to the exponent. Below -126 the result is +0, so nothing is subnormal.
// NaN stays NaN (0x7fffffff).
ASSAY_HOST_DEVICE inline float exp2_nonpositive(float x) {
  constexpr float kRound = 0x1.8p23f;
  const float shifted = add(x, kRound);  // the integer n stands in the low mantissa bits
  const float fraction = add(x, -add(shifted, -kRound));
  float y = 0x1.444p-13f;
  y = fused(y, fraction, 0x1.5f48cp-10f);
  y = fused(y, fraction, 0x1.3b2a1cp-7f);
  y = fused(y, fraction, 0x1.c6aeccp-5f);
  y = fused(y, fraction, 0x1.ebfbep-3f);
  y = fused(y, fraction, 0x1.62e43p-1f);
  y = fused(y, fraction, 1.0f);
  const std::uint32_t scaled = bit_cast<std::uint32_t>(y) + (bit_cast<std::uint32_t>(shifted) << 23);
  if (x < -126.0f) return 0.0f;
  return x <= 0.0f ? bit_cast<float>(scaled) : bit_cast<float>(0x7fffffffu);
}

// log2(x) for a positive normal x: x = 2^e * m with m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1),
// log2(m) = (2 / ln 2) * (s + s^3/3 + s^5/5 + s^7/7 + s^9/9). Zero gives -inf, infinity itself.
ASSAY_HOST_DEVICE inline float log2_positive(float x) {
  const std::uint32_t bits = bit_cast<std::uint32_t>(x);
  if (bits == 0) return bit_cast<float>(0xff800000u);
  if (bits >= 0x7f800000u) return bits == 0x7f800000u ? x : bit_cast<float>(0x7fffffffu);
  const std::uint32_t above_root = bits - 0x3f3504f3u;  // sqrt(1/2)
  const int exponent = static_cast<std::int32_t>(above_root) >> 23;
  const float m = bit_cast<float>(bits - (static_cast<std::uint32_t>(exponent) << 23));
  const float s = divide(add(m, -1.0f), add(m, 1.0f));
  const float square = multiply(s, s);
  float y = 0x1.484b14p-2f;
  y = fused(y, square, 0x1.a61762p-2f);
  y = fused(y, square, 0x1.2776c6p-1f);
  y = fused(y, square, 0x1.ec709ep-1f);
  y = fused(y, square, 0x1.715476p+1f);
  return fused(y, s, static_cast<float>(exponent));
}

}  // namespace exact

// A partial softmax: the maximum (in log2 units), the sum of 2^(x - m), and an unnormalised output row
// that its owner scales by the same factor.
struct SoftmaxPart {
  float m, l;
};

// The factor by which a part counts in a merge with maximum m. A part that saw nothing (m = -inf) counts 0.
ASSAY_HOST_DEVICE inline float merge_factor(float part_m, float m) {
  return part_m == bit_cast<float>(0xff800000u) ? 0.0f : exact::exp2_nonpositive(exact::add(part_m, -m));
}

}  // namespace assay
