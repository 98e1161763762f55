// Merge on the CPU: golden, rounded once, and plain fp32 written from the contract.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "model/golden/merge.h"
#include "properties/cases/elements.h"
#include "properties/cases/operands.h"
#include "properties/kernels/built_in.h"

namespace assay::properties {
namespace {

std::byte* row_address(const assay_tensor& t, std::int64_t row, std::int64_t head) {
  return static_cast<std::byte*>(t.data) + t.byte_offset +
         (row * t.strides[0] + head * t.strides[1]) * static_cast<std::int64_t>(t.dtype.bits / 8);
}
ElementType type_of(const assay_tensor& t) {
  return element_type_of({t.dtype.code, t.dtype.bits}, "call.tensors");
}
float lse_of(const assay_call& call, int part, std::int64_t row, std::int64_t head) {
  float lse;
  std::memcpy(&lse, row_address(call.inputs[2 * part + 1], row, head), 4);
  return lse;
}
void store(const assay_call& call, std::int64_t row, std::int64_t head, const std::vector<double>& out,
           double lse) {
  const ElementType type = type_of(call.outputs[0]);
  std::byte* to = row_address(call.outputs[0], row, head);
  for (std::size_t d = 0; d < out.size(); ++d)
    store_element(to + static_cast<std::int64_t>(d) * bytes_of(type), type, out[d], Overflow::kInfinity);
  store_element(row_address(call.outputs[1], row, head), ElementType::kFp32, lse, Overflow::kInfinity);
}

// body(row, head, out) fills out [dims] and returns the lse.
template <typename Body>
int for_each_head(const assay_call& call, const Body& body) {
  const assay_tensor& shape = call.inputs[0];
  std::vector<double> out(static_cast<std::size_t>(shape.shape[2]));
  for (std::int64_t row = 0; row < shape.shape[0]; ++row)
    for (std::int64_t head = 0; head < shape.shape[1]; ++head) {
      std::fill(out.begin(), out.end(), 0.0);
      const double lse = body(row, head, out);
      store(call, row, head, out, lse);
    }
  return ASSAY_OK;
}

}  // namespace

int run_naive_merge(const assay_call* call) {
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  return for_each_head(*call, [&](std::int64_t row, std::int64_t head, std::vector<double>& out) -> double {
    const float lse[2] = {lse_of(*call, 0, row, head), lse_of(*call, 1, row, head)};
    const float largest = std::max(lse[0], lse[1]);
    if (largest == kMinusInfinity) return static_cast<double>(kMinusInfinity);
    const float weight[2] = {std::exp(lse[0] - largest), std::exp(lse[1] - largest)};
    const float total = weight[0] + weight[1];
    for (std::size_t d = 0; d < out.size(); ++d) {
      float sum = 0;
      for (int part = 0; part < 2; ++part) {
        if (lse[part] == kMinusInfinity) continue;  // whatever it holds
        const assay_tensor& t = call->inputs[2 * part];
        sum +=
            weight[part] *
            static_cast<float>(load_element(
                row_address(t, row, head) + static_cast<std::int64_t>(d) * bytes_of(type_of(t)), type_of(t)));
      }
      out[d] = static_cast<double>(sum / total);
    }
    return static_cast<double>(largest + std::log(total));
  });
}

int run_golden_merge(const assay_call* call) {
  return for_each_head(*call, [&](std::int64_t row, std::int64_t head, std::vector<double>& out) -> double {
    double lse = -std::numeric_limits<double>::infinity();
    std::vector<double> part_out(out.size());
    for (int part = 0; part < 2; ++part) {
      const assay_tensor& t = call->inputs[2 * part];
      decode_row(row_address(t, row, head), type_of(t), static_cast<std::int64_t>(out.size()),
                 part_out.data());
      merge_row(out.data(), lse, part_out.data(), static_cast<double>(lse_of(*call, part, row, head)),
                static_cast<std::int64_t>(out.size()));
    }
    return lse;
  });
}

}  // namespace assay::properties
