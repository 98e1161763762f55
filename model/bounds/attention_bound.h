// The error bound of paged attention, per output element and per lse.
//
//   A_j   = |softmax_scale| sum_d |q_d k_jd|,   p_j = softmax,   o = sum p_j v_j
//   eta_j = expm1(dot_error(A_j) + 4 u32 |s_j| + 4 u32)         error of p_j from q.k, exp, max-subtract
//   eps_j = max(u_P p_j, p_max tau_P / S_P)                      rounding of P to its type
//   groups: buckets floor(s_j / (u_P / 2))                       (near-)equal scores round coherently
//   R2    = max(sum_groups (sum_g eps_j v_j)^2, sum_j (eps_j v_j)^2)
//   B_prob = lambda / sqrt(3) sqrt(R2) + sum p_j |v_j - o| eta_j
//   B_hard = sum eps_j |v_j|           + sum p_j |v_j - o| eta_j
//   B      = min(B_prob, B_hard) + E_acc
//   B_lse  = sum p_j eta_j + walk + 4 u32 |lse| + 8 u32
//   walk   = lambda / sqrt(3) u32 sqrt(sum_ties count^2)         summing the p in fp32
//   E_acc  = max(64 u32, walk) sum p_j |v_j| + walk |o| + what a truncating tensor core loses per step
//
// Equal terms drift together in a running sum, so exact ties count as one long step of the walk. The
// lse is taken to be summed from unrounded p. fp8tc: eta_j of B_prob uses lambda standard deviations
// of the truncations instead of their worst case. A soft cap adds 8 u32 soft_cap to a score's error: a
// kernel with an approximate tanh must declare it (no such declaration exists yet).
// Rows that see nothing: out is exactly 0, lse exactly -inf.
#pragma once

#include "model/bounds/arithmetic.h"
#include "model/bounds/comparison.h"
#include "model/bounds/tolerance.h"
#include "model/golden/paged_attention.h"

namespace assay {

struct AttentionComparison {
  ComparisonReport out{{"query", "head", "dim"}};
  ComparisonReport lse{{"query", "head", ""}};
  ToleranceReport tolerance;  // of out
};

// got_out [T, Hq, Dv] fp32, bf16 or fp16; got_lse [T, Hq] fp32, or without data: not judged.
[[nodiscard]] AttentionComparison judge_attention(const PagedAttentionCase& problem,
                                                  const TensorView<3>& got_out, const TensorView<2>& got_lse,
                                                  const Arithmetic& arithmetic, const Execution& execution);

// Golden results and their bounds; out and out_bound [T, Hq, Dv], lse and lse_bound [T, Hq].
void attention_with_bounds(const PagedAttentionCase& problem, const ResultView<3>& out,
                           const ResultView<3>& out_bound, const ResultView<2>& lse,
                           const ResultView<2>& lse_bound, const Arithmetic& arithmetic,
                           const Execution& execution);

}  // namespace assay
