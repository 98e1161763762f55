// The error bound of an MQA logit, element by element, from the formula of the operation and the
// arithmetic that the kernel declares; and the judgement of a kernel's logits in one streaming pass.
//
//   y = scale * sum_h w_h relu(s_h),   s_h = q_h . k,   A_h = sum_d |q k|,   M_h = max_d |q k|
//   fp32       sigma_h = sqrt(D) u32 A_h                    e_h = D u32 A_h
//   fp8tc      sigma_h = sqrt(n_trunc / 3) 2^-13 mag_h      e_h = n_trunc 2^-13 A_h
//              n_trunc = 34 ceil(D / 32)                    mag_h = max(M_h, min(A_h, 1.5 max(|s_h|, M_h)))
//              bias_h = n_trunc / 2 2^-13 mag_h s_h / A_h   (truncation shrinks: common to all heads)
//   tc16       as fp8tc with n_trunc = 18 ceil(D / 16) and quantum 2^-23
//   a head whose relu is surely closed (s_h < -e_h) adds nothing
//   B_prob = |scale| (lambda sqrt(sum w_h^2 sigma_h^2) + |sum w_h bias_h| + 16 u32 sum |w_h relu(s_h)|) + 2 u32 |y|
//   B_hard = |scale| (sum |w_h| e_h + (H + 4) u32 sum |w_h relu(s_h)|) + 2 u32 |y|
//   B      = min(B_prob, B_hard)
//
// relu is 1-Lipschitz: the error of s_h passes with factor at most 1, so the knife edge at zero needs
// no case of its own. B_hard is a proof; B_prob assumes unbiased roundings (docs/golden.md).
#pragma once

#include <cstdint>
#include <optional>

#include "model/bounds/arithmetic.h"
#include "model/bounds/comparison.h"
#include "model/bounds/tolerance.h"
#include "model/golden/mqa_logits.h"

namespace assay {

// What must hold outside a row's range.
//   kClean       every element is exactly -inf
//   kUntouched   elements outside the range widened to multiples of may_write_unit, up to the row's
//                stride (columns of `got`), still hold `canary`, bit for bit; the margin may hold anything
//   kIgnore      nothing is looked at
enum class OutsideRule { kClean, kUntouched, kIgnore };

struct LogitsJudgement {
  OutsideRule outside = OutsideRule::kIgnore;
  std::int64_t may_write_unit = 1;  // kUntouched: a multiple of this closes the may-write region
  std::uint32_t canary = 0;         // kUntouched: bits of the poison, low bytes for 16-bit outputs
  bool compressed = false;          // prefill
  bool exact = false;               // B = 0: the lanes whose sums are exact in any declared arithmetic
};

struct LogitsComparison {
  ComparisonReport bound{{"row", "position", ""}};
  ToleranceReport tolerance;
  LogitsReport golden;
};

// got: [rows, columns] fp32 or bf16.
[[nodiscard]] LogitsComparison judge_logits(const PagedMqaLogitsCase& problem, const TensorView<2>& got,
                                            const Arithmetic& arithmetic, const LogitsJudgement& judgement,
                                            const Execution& execution);
[[nodiscard]] LogitsComparison judge_logits(const MqaLogitsCase& problem, const TensorView<2>& got,
                                            const Arithmetic& arithmetic, const LogitsJudgement& judgement,
                                            const Execution& execution);

// Golden logits and their bounds, both [rows, columns]; untouched outside the ranges.
void logits_with_bounds(const PagedMqaLogitsCase& problem, const ResultView<2>& logits,
                        const ResultView<2>& bounds, const Arithmetic& arithmetic,
                        const Execution& execution);
void logits_with_bounds(const MqaLogitsCase& problem, const ResultView<2>& logits,
                        const ResultView<2>& bounds, const Arithmetic& arithmetic,
                        const Execution& execution);

}  // namespace assay
