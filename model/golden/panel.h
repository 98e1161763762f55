// The products of double panels that the golden model is made of. The only place that includes Eigen.
//
//   keys    [tokens, D]   row-major, stride D        rows_panel [rows, D]  row-major, stride D
//   dots    [rows][stride] token contiguous          dots(r, t) = sum_d keys(t, d) rows_panel(r, d)
#pragma once

#include <cstdint>

namespace assay::panel {

// dots[r * stride + t] for t < tokens, r < rows.
void dots(const double* keys, std::int64_t tokens, const double* rows_panel, std::int64_t rows,
          std::int64_t dims, double* result, std::int64_t stride);

// peaks[r * stride + t] = max_d |keys(t, d) rows_panel(r, d)|; inputs are magnitudes (>= 0). A NaN
// may or may not show: whoever asks for peaks compares NaN by class, not by bound.
void peaks(const double* keys, std::int64_t tokens, const double* rows_panel, std::int64_t rows,
           std::int64_t dims, double* result, std::int64_t stride);

// sums[r * dims + d] += sum_t weights[r * stride + t] * values[t * dims + d]
void weighted_sums(const double* weights, std::int64_t stride, std::int64_t rows, const double* values,
                   std::int64_t tokens, std::int64_t dims, double* sums);

// x[i] = exp(x[i] - shift); exactly 0 for x = -inf. Returns the sum.
double exponentials(double* x, std::int64_t count, double shift);

}  // namespace assay::panel
