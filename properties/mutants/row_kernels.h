// Merge and cache write as plain loops with one overridable step per line of the contract: the correct kernels that
// their mutants are made from.
//
//   merge         m = max(lse_a, lse_b);  w_i = e^(lse_i - m);  out = sum w_i out_i / sum w_i;  lse = m + ln sum w_i
//                 a part with lse = -inf is not looked at; both: out 0, lse -inf
//   cache write   block = slot / block_tokens, place = slot % block_tokens; slot < 0: nothing
//                 copy | convert | codes of x / scale, scale = max(amax, 1e-4) / 448
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/float_formats.h"
#include "properties/cases/elements.h"
#include "properties/mutants/attention_kernel.h"
#include "properties/mutants/witness.h"

namespace assay::properties {

class MergeKernel {
 public:
  explicit MergeKernel(const assay_call& call)
      : call_(call),
        rows_(call.outputs[0].shape[0]),
        heads_(call.outputs[0].shape[1]),
        dims_(call.outputs[0].shape[2]) {}
  virtual ~MergeKernel() = default;
  MergeKernel(const MergeKernel&) = delete;
  MergeKernel& operator=(const MergeKernel&) = delete;

  virtual void run() {
    for (std::int64_t row = 0; row < rows_; ++row)
      for (std::int64_t head = 0; head < heads_; ++head) run_head(row, head);
  }

 protected:
  static constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

  // 0 and 1: the parts; 2: the result.
  const assay_tensor& out(int which) const { return which < 2 ? call_.inputs[2 * which] : call_.outputs[0]; }
  const assay_tensor& lse(int which) const {
    return which < 2 ? call_.inputs[2 * which + 1] : call_.outputs[1];
  }
  // Elements.
  virtual std::int64_t out_at(int which, std::int64_t row, std::int64_t head) const {
    return row * out(which).strides[0] + head * out(which).strides[1];
  }
  virtual std::int64_t lse_at(int which, std::int64_t row, std::int64_t head) const {
    return row * lse(which).strides[0] + head;
  }

  virtual void run_head(std::int64_t row, std::int64_t head) {
    for (int part : {0, 1})
      lse_[part] = load_as<float>(bytes_of_tensor(lse(part)) + lse_at(part, row, head) * 4);
    largest_ = maximum();
    if (nobody()) return store(row, head, std::vector<float>(static_cast<std::size_t>(dims_)), largest_);
    for (int part : {0, 1}) weight_[part] = weight(part);
    std::vector<float> sum(static_cast<std::size_t>(dims_));
    for (int part : {0, 1})
      if (takes(part)) add(part, row, head, sum);
    for (float& value : sum) value = divided(value);
    store(row, head, sum, merged_lse());
  }
  virtual float maximum() const { return std::max(lse_[0], lse_[1]); }
  virtual bool nobody() const { return largest_ == kMinusInfinity; }
  virtual bool takes(int part) const { return lse_[part] != kMinusInfinity; }
  virtual float weight(int part) const { return std::exp(lse_[part] - largest_); }
  virtual void add(int part, std::int64_t row, std::int64_t head, std::vector<float>& sum) const {
    const assay_tensor& from = out(part);
    const ElementType type = float_type_of(from);
    const std::uint8_t* at = bytes_of_tensor(from) + out_at(part, row, head) * bytes_of(type);
    for (std::size_t d = 0; d < sum.size(); ++d)
      sum[d] += weight_[part] * float_at(at + static_cast<std::int64_t>(d) * bytes_of(type), type);
  }
  virtual float divided(float sum) const { return sum / (weight_[0] + weight_[1]); }
  virtual float merged_lse() const { return largest_ + std::log(weight_[0] + weight_[1]); }
  virtual void store(std::int64_t row, std::int64_t head, const std::vector<float>& values, float total) {
    const ElementType type = float_type_of(out(2));
    std::uint8_t* to =
        static_cast<std::uint8_t*>(out(2).data) + out(2).byte_offset + out_at(2, row, head) * bytes_of(type);
    for (std::size_t d = 0; d < values.size(); ++d)
      store_element(to + static_cast<std::int64_t>(d) * bytes_of(type), type, static_cast<double>(values[d]),
                    Overflow::kInfinity);
    std::memcpy(static_cast<std::uint8_t*>(lse(2).data) + lse(2).byte_offset + lse_at(2, row, head) * 4,
                &total, 4);
  }

  const assay_call& call_;
  std::int64_t rows_, heads_, dims_;
  float lse_[2] = {}, weight_[2] = {}, largest_ = 0;
};

class CacheWriteKernel {
 public:
  enum Half { kKeys, kValues };

  explicit CacheWriteKernel(const assay_call& call)
      : call_(call),
        fused_(call.input_count == 2),
        row_scales_(call.output_count == 4),
        tokens_(call.inputs[0].shape[0]),
        heads_(fused_ ? 1 : call.inputs[0].shape[1]),
        dims_(call.inputs[0].shape[fused_ ? 1 : 2]),
        block_tokens_(call.ints[0]),
        blocks_(call.outputs[0].shape[0]) {}
  virtual ~CacheWriteKernel() = default;
  CacheWriteKernel(const CacheWriteKernel&) = delete;
  CacheWriteKernel& operator=(const CacheWriteKernel&) = delete;

  virtual void run() {
    for (std::int64_t token = 0; token < tokens_; ++token) {
      const std::int64_t slot = slot_of(token);
      if (slot >= 0) write(token, block_of(slot), place_of(slot));
    }
  }

 protected:
  // ---- Where
  virtual std::int64_t slot_of(std::int64_t token) const {
    const assay_tensor& slots = call_.inputs[call_.input_count - 1];
    return load_as<std::int64_t>(bytes_of_tensor(slots) + token * slots.strides[0] * 8);
  }
  virtual std::int64_t block_of(std::int64_t slot) const { return slot / block_tokens_; }
  virtual std::int64_t place_of(std::int64_t slot) const { return slot % block_tokens_; }
  const assay_tensor& rows(Half half) const { return call_.inputs[half]; }
  const assay_tensor& cache(Half half) const { return call_.outputs[half]; }
  const assay_tensor& scales(Half half) const { return call_.outputs[2 + half]; }
  ElementType cache_type() const {
    const assay_tensor& to = cache(kKeys);
    return to.dtype.bits == 8 ? ElementType::kE4M3 : float_type_of(to);
  }
  // Elements.
  virtual std::int64_t row_at(Half half, std::int64_t token, std::int64_t head) const {
    return token * rows(half).strides[0] + (fused_ ? 0 : head * rows(half).strides[1]);
  }
  virtual std::int64_t block_stride(Half half) const { return cache(half).strides[0]; }
  // Bytes.
  virtual std::int64_t block_offset(Half half, std::int64_t block) const {
    return block * block_stride(half) * bytes_of(cache_type());
  }
  virtual std::int64_t cache_at(Half half, std::int64_t block, std::int64_t place, std::int64_t head) const {
    if (fused_) return block_offset(half, block) + place * dims_;
    return block_offset(half, block) +
           (place * cache(half).strides[1] + head * cache(half).strides[2]) * bytes_of(cache_type());
  }
  virtual void store_scale(Half half, std::int64_t block, std::int64_t place, std::int64_t head,
                           float scale) const {
    const assay_tensor& to = fused_ ? cache(half) : scales(half);
    const std::int64_t at = fused_ ? block_offset(half, block) + block_tokens_ * dims_ + place * 4
                                   : (block * to.strides[0] + place * to.strides[1] + head) * 4;
    std::memcpy(static_cast<std::uint8_t*>(to.data) + to.byte_offset + at, &scale, 4);
  }

  // ---- What
  virtual void write(std::int64_t token, std::int64_t block, std::int64_t place) {
    for (const Half half : {kKeys, kValues})
      for (std::int64_t head = 0; head < heads_ && !(fused_ && half == kValues); ++head)
        write_row(half, token, block, place, head);
  }
  virtual void write_row(Half half, std::int64_t token, std::int64_t block, std::int64_t place,
                         std::int64_t head) {
    const ElementType from = float_type_of(rows(half)), to = cache_type();
    const std::uint8_t* row = bytes_of_tensor(rows(half)) + row_at(half, token, head) * bytes_of(from);
    std::uint8_t* target = static_cast<std::uint8_t*>(cache(half).data) + cache(half).byte_offset +
                           cache_at(half, block, place, head);
    const std::int64_t bytes = bytes_of(to);
    if (!fused_ && !row_scales_ && from == to) {
      std::memcpy(target, row, static_cast<std::size_t>(dims_ * bytes));
      return;
    }
    values_.clear();
    for (std::int64_t d = 0; d < dims_; ++d) values_.push_back(float_at(row + d * bytes_of(from), from));
    if (fused_ || row_scales_) {
      const float scale = scale_of(amax_of(half, token, head));
      for (std::size_t d = 0; d < values_.size(); ++d)
        target[d] = E4M3::encode(static_cast<double>(scaled(values_[d], scale)));
      store_scale(half, block, place, head, scale);
    } else {
      for (std::int64_t d = 0; d < dims_; ++d)
        convert(values_[static_cast<std::size_t>(d)], target + d * bytes, to);
    }
  }
  virtual void convert(float value, std::uint8_t* target, ElementType to) const {
    store_element(target, to, static_cast<double>(value), Overflow::kSaturate);
  }
  // Of values_, the row's.
  virtual float amax_of(Half /*half*/, std::int64_t /*token*/, std::int64_t /*head*/) const {
    float amax = 0;
    for (const float value : values_)
      if (std::fabs(value) > amax) amax = std::fabs(value);
    return amax;
  }
  virtual float scale_of(float amax) const { return std::max(amax, 1e-4f) / 448.0f; }
  virtual float scaled(float value, float scale) const { return value / scale; }

  const assay_call& call_;
  bool fused_, row_scales_;
  std::int64_t tokens_, heads_, dims_, block_tokens_, blocks_;
  std::vector<float> values_;
};

}  // namespace assay::properties
