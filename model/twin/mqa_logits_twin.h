// The twin of the FP8 MQA logits kernels: every bit they write, predicted on a CPU.
//
//   s[r, h, t]   = tensor_core_dot<e4m3>(q[r, h], key[t])           model/twin/tensor_core.h
//   logit[r, t]  = the reduction of model/core/logits_reduction.h over h, times scale[t]
//   stored as fp32, or rounded once to bf16 (overflow to infinity); NaN as 0x7fffffff or 0x7fff
//
// The arguments are the golden model's (contracts, section 3), so that one case goes to both. Written
// are exactly the must-write columns of each row, t < limit (paged) or start <= t < end (prefill), and
// with `clean` every other column up to `columns` as -inf. Nothing else of the row's stride is touched:
// a kernel may write more (up to its schedule's unit), never differently.
//
// A NaN score follows the kernels' rule (relu gives 0); a NaN weight or scale makes the canonical NaN,
// and so does an infinite weight times a score of zero.
//
// Not here: which columns beyond the limit a kernel touches, and anything about time.
#pragma once

#include <cstdint>

#include "model/core/float_formats.h"
#include "model/golden/mqa_logits.h"
#include "model/twin/fp8_scores.h"

namespace assay::twin {

// Logits [rows, columns], fp32 or bf16; row_stride in elements, at least `columns`.
struct LogitsTarget {
  void* data = nullptr;
  ElementType type = ElementType::kFp32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;
};

// What the kernels are built for, and so what the twin predicts: the golden model's preconditions, and
// these. Refused with InputError before anything is written.
[[nodiscard]] const Preconditions& mqa_logits_twin_preconditions();

// `path` only decides how fast; every path gives the same bits.
void predict_paged_mqa_logits(const PagedMqaLogitsCase& problem, const LogitsTarget& logits,
                              const LogitsOptions& options, const Execution& execution,
                              ScorePath path = fastest_score_path());
void predict_mqa_logits(const MqaLogitsCase& problem, const LogitsTarget& logits,
                        const LogitsOptions& options, const Execution& execution,
                        ScorePath path = fastest_score_path());

// The epilogue alone, kTileTokens tokens at once: scores [heads, kTileTokens] as score_tile leaves
// them, weights [heads], scales [kTileTokens] -> fp32 logits, not yet canonical.
void reduce_tile(const float* scores, const float* weights, const float* scales, int heads, float* logits);

}  // namespace assay::twin
