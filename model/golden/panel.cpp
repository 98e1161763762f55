#include "model/golden/panel.h"

#include <Eigen/Core>
#include <algorithm>
#include <limits>
#include <vector>

namespace assay::panel {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ColumnMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
using Eight = Eigen::Array<double, 8, 1>;

// Eigen blocks its products by the cache sizes of the machine it runs on; with fixed ones the order of
// every sum, and so every bit, is the same on all machines.
struct FixedBlocking {
  FixedBlocking() { Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 4 << 20); }
};
void fix_blocking() { static const FixedBlocking once; }

Eight exponentials_of(const Eight& values, double shift) {
  Eight result = (values - shift).exp();
  // Eigen clamps the argument near -709 and then returns a tiny positive number; the select keeps
  // "sees nothing" exactly zero. (A select inside the expression would make Eigen go one by one.)
  for (int i = 0; i < 8; ++i)
    result[i] = values[i] == -std::numeric_limits<double>::infinity() ? 0.0 : result[i];
  return result;
}

}  // namespace

void dots(const double* keys, std::int64_t tokens, const double* rows_panel, std::int64_t rows,
          std::int64_t dims, double* result, std::int64_t stride) {
  fix_blocking();
  const Eigen::Map<const RowMajor> k(keys, tokens, dims);
  const Eigen::Map<const ColumnMajor> q(rows_panel, dims, rows);
  Eigen::Map<ColumnMajor, 0, Eigen::OuterStride<>> s(result, tokens, rows, Eigen::OuterStride<>(stride));
  s.noalias() = k * q;
}

void peaks(const double* keys, std::int64_t tokens, const double* rows_panel, std::int64_t rows,
           std::int64_t dims, double* result, std::int64_t stride) {
  // Transposed keys make tokens the vector axis: eight tokens at once, one row and dim at a time.
  std::vector<double> transposed(static_cast<std::size_t>(tokens * dims));
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t d = 0; d < dims; ++d) transposed[d * tokens + t] = keys[t * dims + d];
  for (std::int64_t r = 0; r < rows; ++r) {
    double* peak = result + r * stride;
    std::fill(peak, peak + tokens, 0.0);
    for (std::int64_t d = 0; d < dims; ++d) {
      const double q = rows_panel[r * dims + d];
      const double* k = &transposed[d * tokens];
      for (std::int64_t t = 0; t < tokens; ++t) {
        const double product = k[t] * q;
        peak[t] = product > peak[t] ? product : peak[t];
      }
    }
  }
}

void weighted_sums(const double* weights, std::int64_t stride, std::int64_t rows, const double* values,
                   std::int64_t tokens, std::int64_t dims, double* sums) {
  fix_blocking();
  const Eigen::Map<const ColumnMajor, 0, Eigen::OuterStride<>> p(weights, tokens, rows,
                                                                 Eigen::OuterStride<>(stride));
  const Eigen::Map<const ColumnMajor> v(values, dims, tokens);
  Eigen::Map<ColumnMajor> o(sums, dims, rows);
  o.noalias() += v * p;
}

double exponentials(double* x, std::int64_t count, double shift) {
  // Eight at a time, the last ones padded: every element goes through the same vector code and the sum
  // has one order, wherever in memory the row begins (Eigen's own loops peel by alignment).
  Eight sum = Eight::Zero();
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    Eigen::Map<Eight> eight(x + i);
    eight = exponentials_of(eight, shift);
    sum += eight;
  }
  if (i < count) {
    Eight rest = Eight::Constant(-std::numeric_limits<double>::infinity());
    for (std::int64_t j = i; j < count; ++j) rest[j - i] = x[j];
    rest = exponentials_of(rest, shift);
    for (std::int64_t j = i; j < count; ++j) x[j] = rest[j - i];
    sum += rest;
  }
  return sum.sum();
}

}  // namespace assay::panel
