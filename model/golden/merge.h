// Joins partial attention results over disjoint token sets:
//
//   lse = log sum_i exp(lse_i),   out = sum_i exp(lse_i - lse) out_i
//
// A part with lse = -inf saw nothing: its out is not looked at, whatever it holds. All parts empty:
// out = 0, lse = -inf. A NaN lse makes the row NaN.
#pragma once

#include <cstdint>

#include "model/golden/tensor.h"

namespace assay {

// One row, into (out, lse): out [dims].
void merge_row(double* out, double& lse, const double* other_out, double other_lse, std::int64_t dims);

// parts_out [P, T, H, D], parts_lse [P, T, H] of fp32, bf16 or fp16 -> out [T, H, D], lse [T, H].
void merge_partials(const TensorView<4>& parts_out, const TensorView<3>& parts_lse, const ResultView<3>& out,
                    const ResultView<2>& lse);

}  // namespace assay
