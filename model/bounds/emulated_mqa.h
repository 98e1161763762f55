// A software MQA logits kernel, to try the bound on: dot products in fp32 or in the steps of the FP8
// tensor core, then relu, weights and the sum over heads in fp32. Bugs can be switched on one by one.
// The tensor-core step here is the simple scalar form; model/twin owns the fast one. Test code only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "model/bounds/arithmetic.h"
#include "model/bounds/lanes.h"

namespace assay::testing {

enum class MqaBug {
  kNone,
  kTwoLogitsSwapped,
  kReluMissing,
  kHeadDropped,
  kScaleOnePercentOff,
  kProductsRoundedToBf16,
  kWeightsRoundedToBf16,
  kStaleToken,
};
inline constexpr MqaBug kMqaBugs[] = {
    MqaBug::kTwoLogitsSwapped,   MqaBug::kReluMissing,           MqaBug::kHeadDropped,
    MqaBug::kScaleOnePercentOff, MqaBug::kProductsRoundedToBf16, MqaBug::kWeightsRoundedToBf16,
    MqaBug::kStaleToken};
inline const char* name_of(MqaBug bug) {
  static constexpr const char* kNames[] = {"none",
                                           "two logits swapped",
                                           "relu missing, 1 head x tile",
                                           "one head dropped in a tile",
                                           "k-scale 1 % off on a page",
                                           "QK rounded to bf16",
                                           "weights rounded to bf16",
                                           "stale token"};
  return kNames[static_cast<int>(bug)];
}

// Toward zero to 13 fraction bits.
inline double truncated_to_13(double x) {
  if (x == 0) return 0;
  const double quantum = std::ldexp(1.0, std::ilogb(x) - 13);
  return std::trunc(x / quantum) * quantum;
}

// One k = 32 step: terms aligned to the largest exponent (products not normalised: exponents add),
// truncated 13 bits below it, added exactly; the sum truncated to 13 fraction bits.
inline double fp8_step(double accumulator, const double* a, const double* b, int count) {
  const auto exponent = [](double x) { return std::max(std::ilogb(x), -6); };  // e4m3 subnormals
  double terms[33];
  int largest = -100000, used = 0;
  for (int i = 0; i < count; ++i) {
    if (a[i] == 0 || b[i] == 0) continue;
    terms[used++] = a[i] * b[i];
    largest = std::max(largest, exponent(a[i]) + exponent(b[i]));
  }
  if (accumulator != 0) {
    terms[used++] = accumulator;
    largest = std::max(largest, std::ilogb(accumulator));
  }
  if (used == 0) return 0;
  const double quantum = std::ldexp(1.0, largest - 13);
  double sum = 0;
  for (int i = 0; i < used; ++i) sum += std::trunc(terms[i] / quantum) * quantum;
  return truncated_to_13(sum);
}

class EmulatedMqa {
 public:
  EmulatedMqa(const MqaLaneCase& lane_case, Accumulator accumulator) : case_(lane_case) {
    const MqaShape& shape = case_.shape;
    const FusedIndexLayout layout =
        make_fused_index_layout(shape.block_tokens, shape.dims, shape.block_stride);
    const PagedMqaLogitsCase problem = case_.problem();
    columns = *std::max_element(shape.contexts.begin(), shape.contexts.end());
    std::vector<double> q(shape.dims), key(shape.dims);
    for (std::int64_t row = 0; row < case_.rows(); ++row) {
      limits_.push_back(mqa_row_range(problem, row).end);
      const std::int64_t b = row / shape.next_n;
      for (std::int64_t t = 0; t < columns; ++t) {
        if (t >= limits_.back()) {
          scales_.push_back(0);
          dots_.insert(dots_.end(), shape.heads, 0.0f);
          continue;
        }
        const std::int32_t block = case_.table[b * case_.table_stride + t / shape.block_tokens];
        const std::int32_t slot = static_cast<std::int32_t>(t % shape.block_tokens);
        float scale;
        std::memcpy(&scale, &case_.cache[layout.scale_offset(block, slot)], 4);
        scales_.push_back(scale);
        for (int d = 0; d < shape.dims; ++d)
          key[d] = E4M3::decode(case_.cache[layout.key_offset(block, slot, d)]);
        for (int head = 0; head < shape.heads; ++head) {
          const std::uint8_t* codes = &case_.q[(row * shape.heads + head) * shape.dims];
          for (int d = 0; d < shape.dims; ++d) q[d] = E4M3::decode(codes[d]);
          dots_.push_back(dot(q.data(), key.data(), accumulator));
        }
      }
    }
  }

  std::int64_t columns = 0;

  // logits [rows, columns]; what lies past a row's limit holds `outside`.
  std::vector<float> run(MqaBug bug, float outside) const {
    const MqaShape& shape = case_.shape;
    std::vector<float> logits(case_.rows() * columns, outside);
    for (std::int64_t row = 0; row < case_.rows(); ++row)
      for (std::int64_t t = 0; t < limits_[row]; ++t) {
        const std::int64_t from = bug == MqaBug::kStaleToken && row == 0 && t == columns / 2 ? t - 1 : t;
        float sum = 0;
        for (int head = 0; head < shape.heads; ++head) {
          float s = dots_[(row * columns + from) * shape.heads + head];
          float w = case_.weights[row * shape.heads + head];
          const bool tile = row == 0 && t / 64 == 1 && head == bug_head;
          if (bug == MqaBug::kProductsRoundedToBf16)
            s = Bf16::decode_float(Bf16::encode(static_cast<double>(s)));
          if (bug == MqaBug::kWeightsRoundedToBf16)
            w = Bf16::decode_float(Bf16::encode(static_cast<double>(w)));
          if (bug == MqaBug::kHeadDropped && tile) continue;
          const bool keeps_sign = bug == MqaBug::kReluMissing && tile;
          sum += w * (keeps_sign ? s : std::max(s, 0.0f));
        }
        float scale = scales_[row * columns + from];
        if (bug == MqaBug::kScaleOnePercentOff && row == 0 && t / shape.block_tokens == 1) scale *= 1.01f;
        logits[row * columns + t] = sum * scale;
      }
    if (bug == MqaBug::kTwoLogitsSwapped) std::swap(logits[3], logits[columns / 2]);
    return logits;
  }

  int bug_head = 5;

 private:
  float dot(const double* q, const double* key, Accumulator accumulator) const {
    const int dims = case_.shape.dims;
    if (accumulator == Accumulator::kTensorCoreFp8) {
      double sum = 0;
      for (int d = 0; d < dims; d += 32) sum = fp8_step(sum, q + d, key + d, std::min(32, dims - d));
      return static_cast<float>(sum);
    }
    float sum = 0;
    for (int d = 0; d < dims; ++d) sum += static_cast<float>(q[d] * key[d]);
    return sum;
  }

  const MqaLaneCase& case_;
  std::vector<std::int64_t> limits_;
  std::vector<float> scales_;  // [rows, columns]
  std::vector<float> dots_;    // [rows, columns, heads]
};

}  // namespace assay::testing
