#include "model/golden/merge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "model/golden/preconditions.h"

namespace assay {

void merge_row(double* out, double& lse, const double* other_out, double other_lse, std::int64_t dims) {
  constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
  if (other_lse == kMinusInfinity) return;
  if (lse == kMinusInfinity) {
    std::copy(other_out, other_out + dims, out);
    lse = other_lse;
    return;
  }
  // Equal infinities weigh the same; exp(inf - inf) would be NaN.
  const double maximum = std::max(lse, other_lse);
  const double mine = lse == maximum ? 1.0 : std::exp(lse - maximum);
  const double theirs = other_lse == maximum ? 1.0 : std::exp(other_lse - maximum);
  const double total = mine + theirs;
  for (std::int64_t d = 0; d < dims; ++d) out[d] = (mine * out[d] + theirs * other_out[d]) / total;
  lse = maximum + std::log(total);
}

void merge_partials(const TensorView<4>& parts_out, const TensorView<3>& parts_lse, const ResultView<3>& out,
                    const ResultView<2>& lse) {
  static const Preconditions table{
      "merge_partials",
      {{"parts", 0, std::int64_t{1} << 31, 1}},
      {{"parts_out.type", {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16}},
       {"parts_lse.type", {ElementType::kFp32}}}};
  const auto& [parts, queries, heads, dims] = parts_out.shape;
  table.check("parts", parts);
  table.check_type("parts_out.type", parts_out.type);
  table.check_type("parts_lse.type", parts_lse.type);
  check_view<4>(table, "parts_out", parts_out.data, parts_out.shape, parts_out.shape);
  check_view<3>(table, "parts_lse", parts_lse.data, parts_lse.shape, {parts, queries, heads});
  check_view<3>(table, "out", out.data, out.shape, {queries, heads, dims});
  check_view<2>(table, "lse", lse.data, lse.shape, {queries, heads});
  require(dims == 0 || (parts_out.stride[3] == 1 && out.stride[2] == 1), table,
          "the last stride of parts_out and out", "1",
          std::to_string(parts_out.stride[3]) + " and " + std::to_string(out.stride[2]));
  std::vector<double> row(dims);
  for (std::int64_t t = 0; t < queries; ++t)
    for (std::int64_t h = 0; h < heads; ++h) {
      double* target = out.address({t, h, 0});
      double& total = *lse.address({t, h});
      std::fill(target, target + dims, 0.0);
      total = -std::numeric_limits<double>::infinity();
      for (std::int64_t part = 0; part < parts; ++part) {
        decode_row(parts_out.address({part, t, h, 0}), parts_out.type, dims, row.data());
        merge_row(target, total, row.data(), load_element(parts_lse.address({part, t, h}), parts_lse.type),
                  dims);
      }
    }
}

}  // namespace assay
