// A software paged-attention kernel of the usual shape, to try the bound on: tiles of 64 tokens, fp32
// scores, online softmax, bf16 (or other) P into fp32 accumulators, several splits merged at the end,
// bf16 output and fp32 lse. Bugs can be switched on one by one. Test code only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "model/bounds/arithmetic.h"
#include "model/bounds/lanes.h"

namespace assay::testing {

enum class AttentionBug {
  kNone,
  kLastTokenDropped,
  kOneTokenFromWrongSlot,
  kPageDropped,
  kTileDroppedEverywhere,
  kPageReadTwice,
  kValuesFromWrongPage,
  kNotRescaledOnce,
  kSplitDropped,
  kLseBaseMixed,
  kScaleOnePercentOff,
  kOneElementFivePercentOff,
  kOneElementZero,
  kAllZeros,
};
inline constexpr AttentionBug kAttentionBugs[] = {AttentionBug::kLastTokenDropped,
                                                  AttentionBug::kOneTokenFromWrongSlot,
                                                  AttentionBug::kPageDropped,
                                                  AttentionBug::kTileDroppedEverywhere,
                                                  AttentionBug::kPageReadTwice,
                                                  AttentionBug::kValuesFromWrongPage,
                                                  AttentionBug::kNotRescaledOnce,
                                                  AttentionBug::kSplitDropped,
                                                  AttentionBug::kLseBaseMixed,
                                                  AttentionBug::kScaleOnePercentOff,
                                                  AttentionBug::kOneElementFivePercentOff,
                                                  AttentionBug::kOneElementZero,
                                                  AttentionBug::kAllZeros};
inline const char* name_of(AttentionBug bug) {
  static constexpr const char* kNames[] = {"none",
                                           "last token dropped",
                                           "one token from wrong slot",
                                           "one page dropped (1 batch)",
                                           "tile dropped (all batches)",
                                           "page read twice",
                                           "V from wrong page",
                                           "accumulator not rescaled once",
                                           "split dropped (1 head)",
                                           "lse base-2/base-e mix",
                                           "softmax scale 1 % off",
                                           "one element 5 % off",
                                           "one element zero",
                                           "all zeros"};
  return kNames[static_cast<int>(bug)];
}

struct KernelOutput {
  std::vector<std::uint16_t> out;  // [T, Hq, D] bf16
  std::vector<float> lse;          // [T, Hq]
};

// One k = 16 step of the bf16/fp16 tensor core: terms aligned to the largest exponent (a product's is the
// sum of its factors') and cut 25 fraction bits below it, added exactly; the result cut to 23. Simple
// scalar form; model/twin owns the fast one. All sums are exact in double.
inline float tensor_core16_step(float accumulator, const float* a, const float* b, int count) {
  double terms[17];
  int largest = -100000, used = 0;
  for (int i = 0; i < count; ++i) {
    if (a[i] == 0 || b[i] == 0) continue;
    terms[used++] = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    largest = std::max(largest, std::ilogb(a[i]) + std::ilogb(b[i]));
  }
  if (accumulator != 0) {
    terms[used++] = static_cast<double>(accumulator);
    largest = std::max(largest, std::ilogb(accumulator));
  }
  if (used == 0) return 0;
  const double quantum = std::ldexp(1.0, largest - 25);
  double sum = 0;
  for (int i = 0; i < used; ++i) sum += std::trunc(terms[i] / quantum) * quantum;
  if (sum == 0) return 0;
  const double result_quantum = std::ldexp(1.0, std::ilogb(sum) - 23);
  return static_cast<float>(std::trunc(sum / result_quantum) * result_quantum);
}

class EmulatedAttention {
 public:
  static constexpr int kTile = 64;
  int splits = 4;
  Accumulator accumulator = Accumulator::kFp32;  // or kTensorCore16
  ElementType p_type = ElementType::kBf16;
  float p_scale = 1;
  int bug_token = -1;  // which token the one-token bugs hit; -1: a third of the way, or the last one

  // Decodes the case once; run() may then be called for every bug. Decode cases only (one query each).
  explicit EmulatedAttention(const AttentionLaneCase& lane_case) : case_(lane_case) {
    const AttentionShape& shape = case_.shape;
    for (std::size_t b = 0; b < case_.lengths.size(); ++b) {
      keys_.push_back(gather(case_.keys, case_.key_table, b));
      values_.push_back(gather(case_.values, case_.value_table, b));
    }
    const ElementType q_type = shape.type == ElementType::kE4M3 ? ElementType::kBf16 : shape.type;
    for (std::size_t i = 0; i < case_.q.size() / bytes_of(q_type); ++i)
      q_.push_back(static_cast<float>(load_element(&case_.q[i * bytes_of(q_type)], q_type)));
  }

  KernelOutput run(AttentionBug bug) const {
    const AttentionShape& shape = case_.shape;
    const int dims = shape.dims;
    KernelOutput result;
    result.out.resize(case_.lengths.size() * shape.query_heads * dims);
    result.lse.resize(case_.lengths.size() * shape.query_heads);
    for (std::size_t b = 0; b < case_.lengths.size(); ++b)
      for (int head = 0; head < shape.query_heads; ++head) {
        std::vector<float> out(dims, 0.0f);
        const float lse = row(bug, static_cast<int>(b), head, out.data());
        const std::size_t index = b * shape.query_heads + head;
        result.lse[index] = lse;
        for (int d = 0; d < dims; ++d)
          result.out[index * dims + d] = Bf16::encode(static_cast<double>(out[d]));
      }
    // The one-element bugs hit the largest element.
    std::uint16_t* largest = result.out.data();
    for (std::uint16_t& x : result.out)
      if ((x & 0x7fff) > (*largest & 0x7fff)) largest = &x;
    if (bug == AttentionBug::kOneElementFivePercentOff)
      *largest = Bf16::encode(Bf16::decode(*largest) * 1.05);
    if (bug == AttentionBug::kOneElementZero) *largest = 0;
    if (bug == AttentionBug::kAllZeros) std::fill(result.out.begin(), result.out.end(), std::uint16_t{0});
    return result;
  }

 private:
  // [length + 1][kv_heads][dims]: logical tokens, decoded.
  std::vector<float> gather(const std::vector<std::byte>& pool, const std::vector<std::int32_t>& table,
                            std::size_t b) const {
    const AttentionShape& shape = case_.shape;
    std::vector<float> rows;
    for (int t = 0; t < case_.lengths[b]; ++t)
      for (int h = 0; h < shape.kv_heads; ++h)
        for (int d = 0; d < shape.dims; ++d) {
          const std::int64_t block = table[b * case_.max_blocks + t / shape.block_tokens];
          rows.push_back(static_cast<float>(
              load_element(&pool[case_.layout.offset(block, t % shape.block_tokens, h, d)], shape.type)));
        }
    return rows;
  }

  float dot(const float* a, const float* b) const {
    if (accumulator == Accumulator::kTensorCore16) {
      float sum = 0;
      for (int d = 0; d < case_.shape.dims; d += 16) sum = tensor_core16_step(sum, a + d, b + d, 16);
      return sum;
    }
    float lanes[8] = {};
    for (int d = 0; d < case_.shape.dims; d += 8)
      for (int i = 0; i < 8; ++i) lanes[i] += a[d + i] * b[d + i];
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }

  float rounded_p(float p) const {
    const float scaled = p * p_scale;
    switch (p_type) {
      case ElementType::kBf16: return Bf16::decode_float(Bf16::encode(static_cast<double>(scaled)));
      case ElementType::kFp16: return Fp16::decode_float(Fp16::encode(static_cast<double>(scaled)));
      case ElementType::kE4M3: return E4M3::decode_float(E4M3::encode(static_cast<double>(scaled)));
      default: return scaled;
    }
  }

  // Which token's keys and values stand at logical position t under the bug; -1: not read at all.
  struct Read {
    int key, value;
  };
  Read read(AttentionBug bug, int b, int t) const {
    const int length = case_.lengths[b], page = case_.shape.block_tokens, pages = length / page;
    switch (bug) {
      case AttentionBug::kLastTokenDropped:
        return t == (bug_token < 0 ? length - 1 : bug_token) ? Read{-1, -1} : Read{t, t};
      case AttentionBug::kOneTokenFromWrongSlot:
        return t == (bug_token < 0 ? length / 3 : bug_token) ? Read{(t + 5) % length, (t + 5) % length}
                                                             : Read{t, t};
      case AttentionBug::kPageDropped: return b == 0 && t / page == pages / 2 ? Read{-1, -1} : Read{t, t};
      case AttentionBug::kTileDroppedEverywhere:
        return t / kTile == length / kTile / 3 ? Read{-1, -1} : Read{t, t};
      case AttentionBug::kPageReadTwice: return t / page == 1 ? Read{t - page, t - page} : Read{t, t};
      case AttentionBug::kValuesFromWrongPage: return t / page == 1 ? Read{t, t - page} : Read{t, t};
      default: return {t, t};
    }
  }

  float row(AttentionBug bug, int b, int head, float* out) const {
    const AttentionShape& shape = case_.shape;
    const int dims = shape.dims, length = case_.lengths[b],
              kv_head = head / (shape.query_heads / shape.kv_heads);
    const float* q = &q_[(static_cast<std::size_t>(b) * shape.query_heads + head) * dims];
    float scale = static_cast<float>(case_.softmax_scale);
    if (bug == AttentionBug::kScaleOnePercentOff) scale *= 1.01f;
    const int tiles = (length + kTile - 1) / kTile, per_split = (tiles + splits - 1) / splits;
    const float minus_infinity = -std::numeric_limits<float>::infinity();
    std::vector<float> part_out(static_cast<std::size_t>(splits) * dims, 0.0f),
        part_lse(splits, minus_infinity);
    for (int split = 0; split < splits; ++split) {
      if (bug == AttentionBug::kSplitDropped && b == 0 && head == 0 && split == 1) continue;
      float maximum = minus_infinity, total = 0;
      float* acc = &part_out[static_cast<std::size_t>(split) * dims];
      int rescales = 0;
      for (int tile = split * per_split; tile < std::min((split + 1) * per_split, tiles); ++tile) {
        float scores[kTile];
        int values[kTile], count = 0;
        float top = maximum;
        for (int t = tile * kTile; t < std::min((tile + 1) * kTile, length); ++t) {
          const Read from = read(bug, b, t);
          if (from.key < 0) continue;
          const std::size_t at = (static_cast<std::size_t>(from.key) * shape.kv_heads + kv_head) * dims;
          scores[count] = dot(q, &keys_[b][at]) * scale;
          values[count] = from.value;
          top = std::max(top, scores[count++]);
        }
        if (count == 0) continue;
        if (top > maximum) {
          const float factor = maximum == minus_infinity ? 0.0f : std::exp(maximum - top);
          total *= factor;
          // The accumulator misses its last rescaling of this split, the sum does not.
          const bool forget =
              bug == AttentionBug::kNotRescaledOnce && maximum != minus_infinity && rescales++ == 0;
          if (!forget)
            for (int d = 0; d < dims; ++d) acc[d] *= factor;
          maximum = top;
        }
        float fed[kTile];
        for (int i = 0; i < count; ++i) {
          const float p = std::exp(scores[i] - maximum);
          fed[i] = rounded_p(p);
          total += p;
        }
        add_values(b, kv_head, fed, values, count, acc);
      }
      if (total == 0) continue;
      for (int d = 0; d < dims; ++d) acc[d] = acc[d] / p_scale / total;
      part_lse[split] = maximum + std::log(total);
      // A split's lse in base 2 joined with weights of base e.
      if (bug == AttentionBug::kLseBaseMixed) part_lse[split] *= 1.44269504f;
    }
    float top = minus_infinity, total = 0;
    for (const float lse : part_lse) top = std::max(top, lse);
    if (top == minus_infinity) return minus_infinity;
    for (int split = 0; split < splits; ++split) {
      const float weight = std::exp(part_lse[split] - top);
      total += weight;
      for (int d = 0; d < dims; ++d) out[d] += weight * part_out[static_cast<std::size_t>(split) * dims + d];
    }
    for (int d = 0; d < dims; ++d) out[d] /= total;
    return top + std::log(total);
  }

  void add_values(int b, int kv_head, const float* fed, const int* tokens, int count, float* acc) const {
    const AttentionShape& shape = case_.shape;
    const auto value = [&](int i) {
      return &values_[b][(static_cast<std::size_t>(tokens[i]) * shape.kv_heads + kv_head) * shape.dims];
    };
    if (accumulator == Accumulator::kFp32) {
      for (int i = 0; i < count; ++i)
        for (int d = 0; d < shape.dims; ++d) acc[d] += fed[i] * value(i)[d];
      return;
    }
    for (int first = 0; first < count; first += 16)
      for (int d = 0; d < shape.dims; ++d) {
        float column[16];
        const int step = std::min(16, count - first);
        for (int i = 0; i < step; ++i) column[i] = value(first + i)[d];
        acc[d] = tensor_core16_step(acc[d], fed + first, column, step);
      }
  }

  const AttentionLaneCase& case_;
  std::vector<std::vector<float>> keys_, values_;
  std::vector<float> q_;
};

}  // namespace assay::testing
