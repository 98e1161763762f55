// Paged attention as plain loops with one overridable step per line of the contract: the correct kernel that
// attention mutants are made from.
//
//   for b, i, h:  for tiles of 16 tokens in [begin, end):   s = cap(scale * q.k)
//                   m' = max(m, s);  alpha = e^(m - m')
//                   l = l alpha + sum p;  o = o alpha + sum p v        p = e^(s - m')
//                 out = o / l;  lse = m + ln l                         nothing seen: 0 and -inf
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/float_formats.h"
#include "properties/cases/elements.h"
#include "properties/mutants/paged_kernel.h"
#include "properties/mutants/witness.h"

namespace assay::properties {

inline ElementType float_type_of(const assay_tensor& t) {
  if (t.dtype.code == ASSAY_TYPE_BFLOAT) return ElementType::kBf16;
  return t.dtype.bits == 16 ? ElementType::kFp16 : ElementType::kFp32;
}
inline float float_at(const void* address, ElementType type) {
  switch (type) {
    case ElementType::kBf16: return Bf16::decode_float(load_as<Bf16::Code>(address));
    case ElementType::kFp16: return Fp16::decode_float(load_as<Fp16::Code>(address));
    default: return load_as<float>(address);
  }
}

class AttentionKernel {
 public:
  enum Half { kKeys, kValues };

  explicit AttentionKernel(const assay_call& call)
      : call_(call),
        q_(call.inputs[0]),
        q_begin_(call.inputs[1]),
        contexts_(call.inputs[6]),
        out_(call.outputs[0]),
        lse_(call.outputs[1]),
        heads_first_(call.ints[2] != 0),
        batch_(contexts_.shape[0]),
        heads_(q_.shape[1]),
        dims_(q_.shape[2]),
        block_tokens_(call.inputs[2].shape[heads_first_ ? 2 : 1]),
        kv_heads_(call.inputs[2].shape[heads_first_ ? 1 : 2]),
        window_(call.ints[1]),
        causal_(call.ints[0] != 0),
        sum_(static_cast<std::size_t>(dims_)) {}
  virtual ~AttentionKernel() = default;
  AttentionKernel(const AttentionKernel&) = delete;
  AttentionKernel& operator=(const AttentionKernel&) = delete;

  virtual void run() {
    begin();
    for (std::int64_t b = 0; b < batch_; ++b)
      for (std::int64_t i = 0; i < queries(b); ++i)
        for (std::int64_t h = 0; h < heads_; ++h) run_head(b, i, h);
  }

 protected:
  struct Tokens {
    std::int64_t begin, end;
  };

  virtual void begin() {}
  std::int64_t queries(std::int64_t b) const { return int_of(q_begin_, b + 1) - int_of(q_begin_, b); }
  std::int64_t row_of(std::int64_t b, std::int64_t i) const { return int_of(q_begin_, b) + i; }
  virtual std::int64_t context(std::int64_t b) const { return int_of(contexts_, b * contexts_.strides[0]); }
  virtual std::int64_t position(std::int64_t b, std::int64_t i) const { return context(b) - queries(b) + i; }
  virtual Tokens visible(std::int64_t b, std::int64_t i) const {
    Tokens seen{0, context(b)};
    if (causal_) seen.end = std::min(seen.end, position(b, i) + 1);
    if (window_ > 0) seen.begin = std::max<std::int64_t>(0, position(b, i) - window_ + 1);
    return seen.begin < seen.end ? seen : Tokens{0, 0};
  }
  virtual std::int64_t tile_tokens(std::int64_t /*b*/) const { return 16; }

  virtual void run_head(std::int64_t b, std::int64_t i, std::int64_t h) {
    const Tokens seen = visible(b, i);
    m_ = -std::numeric_limits<float>::infinity();
    l_ = 0;
    std::fill(sum_.begin(), sum_.end(), 0.0f);
    const std::int64_t tile = tile_tokens(b);
    for (std::int64_t t = seen.begin; t < seen.end; t += tile)
      run_tile(b, i, h, {t, std::min(t + tile, seen.end)}, seen);
    finish(b, i, h, seen);
  }
  virtual void run_tile(std::int64_t b, std::int64_t i, std::int64_t h, Tokens tile, Tokens seen) {
    const std::int64_t kv_head = kv_head_of(h);
    float largest = m_;
    scores_.clear();
    for (std::int64_t t = tile.begin; t < tile.end; ++t) {
      scores_.push_back(takes(t, seen) ? score(b, i, h, t, kv_head)
                                       : -std::numeric_limits<float>::infinity());
      largest = std::max(largest, scores_.back());
    }
    if (largest == -std::numeric_limits<float>::infinity()) return;
    const float alpha = std::exp(m_ - largest);
    rescale(alpha);
    m_ = largest;
    for (std::int64_t t = tile.begin; t < tile.end; ++t) {
      if (!takes(t, seen)) continue;
      const float p = probability(scores_[static_cast<std::size_t>(t - tile.begin)] - m_);
      l_ += p;
      add_value(p, b, t, kv_head);
    }
  }
  virtual bool takes(std::int64_t /*t*/, Tokens /*seen*/) const { return true; }
  virtual void rescale(float alpha) {
    l_ *= alpha;
    for (float& value : sum_) value *= alpha;
  }
  virtual float probability(float below_maximum) const { return std::exp(below_maximum); }
  virtual void add_value(float p, std::int64_t b, std::int64_t t, std::int64_t kv_head) {
    const std::uint8_t* row = token(kValues, b, t, kv_head);
    const ElementType type = float_type_of(cache(kValues));
    for (std::size_t d = 0; d < sum_.size(); ++d)
      sum_[d] += p * float_at(row + static_cast<std::int64_t>(d) * bytes_of(type), type);
  }

  virtual std::int64_t kv_head_of(std::int64_t h) const { return h / (heads_ / kv_heads_); }
  virtual const std::uint8_t* query(std::int64_t row, std::int64_t h) const {
    return bytes_of_tensor(q_) + (row * q_.strides[0] + h * q_.strides[1]) * bytes_of(float_type_of(q_));
  }
  virtual float score(std::int64_t b, std::int64_t i, std::int64_t h, std::int64_t t, std::int64_t kv_head) {
    const std::uint8_t *q = query(row_of(b, i), h), *k = token(kKeys, b, t, kv_head);
    const ElementType q_type = float_type_of(q_), k_type = float_type_of(cache(kKeys));
    float dot = 0;
    for (std::int64_t d = 0; d < dims_; ++d)
      dot += float_at(q + d * bytes_of(q_type), q_type) * float_at(k + d * bytes_of(k_type), k_type);
    return capped(dot * scale());
  }
  virtual float scale() const { return static_cast<float>(call_.reals[0]); }
  virtual float capped(float score) const {
    const auto cap = static_cast<float>(call_.reals[1]);
    return cap > 0 ? cap * std::tanh(score / cap) : score;
  }

  const assay_tensor& cache(Half half) const { return call_.inputs[half == kKeys ? 2 : 3]; }
  const assay_tensor& table(Half half) const { return call_.inputs[half == kKeys ? 4 : 5]; }
  virtual std::int32_t entry(Half half, std::int64_t b, std::int64_t column) const {
    return int_of(table(half), b * table(half).strides[0] + column);
  }
  virtual std::int32_t block_at(Half half, std::int64_t b, std::int64_t t) {
    return entry(half, b, t / block_tokens_);
  }
  virtual std::int64_t block_offset(Half half, std::int64_t block) const {
    return block * cache(half).strides[0] * bytes_of(float_type_of(cache(half)));
  }
  virtual std::int64_t slot_stride(Half half) const { return cache(half).strides[heads_first_ ? 2 : 1]; }
  virtual std::int64_t head_stride(Half half) const { return cache(half).strides[heads_first_ ? 1 : 2]; }
  const std::uint8_t* token(Half half, std::int64_t b, std::int64_t t, std::int64_t kv_head) {
    return slot_address(half, block_at(half, b, t), t % block_tokens_, kv_head);
  }
  const std::uint8_t* slot_address(Half half, std::int64_t block, std::int64_t slot,
                                   std::int64_t kv_head) const {
    return bytes_of_tensor(cache(half)) + block_offset(half, block) +
           (slot * slot_stride(half) + kv_head * head_stride(half)) * bytes_of(float_type_of(cache(half)));
  }

  virtual float lse() const { return m_ + std::log(l_); }
  virtual void finish(std::int64_t b, std::int64_t i, std::int64_t h, Tokens seen) {
    const bool empty = seen.begin == seen.end;
    for (float& value : sum_) value = empty ? 0.0f : value / l_;
    store(row_of(b, i), h, empty ? -std::numeric_limits<float>::infinity() : lse());
  }
  virtual std::int64_t out_row_stride() const { return out_.strides[0]; }
  virtual std::int64_t out_head_stride() const { return out_.strides[1]; }
  virtual std::int64_t lse_stride() const { return lse_.strides[0]; }
  virtual void store(std::int64_t row, std::int64_t h, float lse) {
    const ElementType type = float_type_of(out_);
    std::uint8_t* to = static_cast<std::uint8_t*>(out_.data) + out_.byte_offset +
                       (row * out_row_stride() + h * out_head_stride()) * bytes_of(type);
    for (std::size_t d = 0; d < sum_.size(); ++d)
      store_element(to + static_cast<std::int64_t>(d) * bytes_of(type), type, static_cast<double>(sum_[d]),
                    Overflow::kInfinity);
    std::memcpy(static_cast<std::uint8_t*>(lse_.data) + lse_.byte_offset + (row * lse_stride() + h) * 4, &lse,
                4);
  }

  const assay_call& call_;
  const assay_tensor &q_, &q_begin_, &contexts_, &out_, &lse_;
  bool heads_first_;
  std::int64_t batch_, heads_, dims_, block_tokens_, kv_heads_, window_;
  bool causal_;
  float m_ = 0, l_ = 0;
  std::vector<float> sum_, scores_;
};

}  // namespace assay::properties
