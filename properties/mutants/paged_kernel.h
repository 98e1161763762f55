// Paged MQA logits as plain loops with one overridable step per line of the contract: the correct kernel
// that paged mutants are made from. A mutant is a subclass that overrides one step.
//
//   for b, i:  for t < limit(b, i):  block_at(b, t) -> data_of(block) -> score, relu, weight, scale -> store
//
// The correct class itself is a kernel under test, too (mutant:none): a fault must come from the override.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "gpu/api/assay_kernel.h"
#include "model/core/float_formats.h"
#include "model/core/logits_reduction.h"
#include "properties/mutants/witness.h"

namespace assay::properties {

inline const std::uint8_t* bytes_of_tensor(const assay_tensor& t) {
  return static_cast<const std::uint8_t*>(t.data) + t.byte_offset;
}
template <typename T>
T load_as(const void* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}
inline std::int32_t int_of(const assay_tensor& t, std::int64_t element) {
  return load_as<std::int32_t>(bytes_of_tensor(t) + element * 4);
}
inline void store_logit(const assay_tensor& logits, std::int64_t element, float value) {
  std::uint8_t* base = static_cast<std::uint8_t*>(logits.data) + logits.byte_offset;
  if (logits.dtype.bits == 32) {
    const std::uint32_t bits = fp32_output_bits(value);
    std::memcpy(base + element * 4, &bits, 4);
  } else {
    const std::uint16_t bits = bf16_output_bits(value);
    std::memcpy(base + element * 2, &bits, 2);
  }
}

class PagedKernel {
 public:
  explicit PagedKernel(const assay_call& call)
      : q_(call.inputs[0]),
        weights_(call.inputs[1]),
        cache_(call.inputs[2]),
        table_(call.inputs[3]),
        contexts_(call.inputs[4]),
        logits_(call.outputs[0]),
        batch_(q_.shape[0]),
        next_n_(q_.shape[1]),
        heads_(q_.shape[2]),
        dims_(q_.shape[3]),
        block_tokens_(call.ints[0]),
        columns_(logits_.shape[1]),
        clean_(call.ints[1] != 0) {}
  virtual ~PagedKernel() = default;
  PagedKernel(const PagedKernel&) = delete;
  PagedKernel& operator=(const PagedKernel&) = delete;

  virtual void run() {
    begin();
    for (std::int64_t b = 0; b < batch_; ++b)
      for (std::int64_t i = 0; i < next_n_; ++i) run_row(b, i);
  }

 protected:
  virtual void begin() {}
  virtual void run_row(std::int64_t b, std::int64_t i) {
    const std::int64_t row = b * next_n_ + i, end = limit(b, i);
    for (std::int64_t t = 0; t < end; ++t)
      if (writes(row, t, end)) store(row, t, logit(b, i, t));
    if (!clean_) return;
    for (std::int64_t t = std::max<std::int64_t>(end, 0); t < columns_; ++t)
      if (cleans(row, t, end)) store(row, t, masked(b, i, t));
  }
  // The first column that the row does not see.
  virtual std::int64_t limit(std::int64_t b, std::int64_t i) const {
    if (contexts_.ndim == 2) return int_of(contexts_, b * contexts_.strides[0] + i * contexts_.strides[1]);
    return context(b) - next_n_ + i + 1;
  }
  std::int64_t context(std::int64_t b) const {
    const std::int64_t last = contexts_.ndim == 2 ? (next_n_ - 1) * contexts_.strides[1] : 0;
    return int_of(contexts_, b * contexts_.strides[0] + last);
  }
  virtual std::int32_t entry(std::int64_t b, std::int64_t column) const {
    return int_of(table_, b * table_.strides[0] + column);
  }
  virtual std::int32_t block_at(std::int64_t b, std::int64_t t) { return entry(b, t / block_tokens_); }
  virtual const std::uint8_t* data_of(std::int64_t block) const {
    return bytes_of_tensor(cache_) + block * cache_.strides[0];
  }
  virtual float scale(const std::uint8_t* block, std::int64_t slot) const {
    return load_as<float>(block + block_tokens_ * dims_ + slot * 4);
  }
  virtual float decode(std::uint8_t code) const { return E4M3::decode_float(code); }
  virtual float relu(float score) const { return score > 0 ? score : 0.0f; }
  virtual const std::uint8_t* query(std::int64_t b, std::int64_t i, std::int64_t h) const {
    return bytes_of_tensor(q_) + b * q_.strides[0] + i * q_.strides[1] + h * q_.strides[2];
  }
  virtual float weight(std::int64_t row, std::int64_t h) const {
    return load_as<float>(bytes_of_tensor(weights_) + (row * weights_.strides[0] + h) * 4);
  }
  virtual std::int64_t head_count() const { return heads_; }
  virtual float head_sum(std::int64_t b, std::int64_t i, const std::uint8_t* key) const {
    float sum = 0;
    for (std::int64_t h = 0; h < head_count(); ++h)
      sum += weight(b * next_n_ + i, h) * relu(score(query(b, i, h), key));
    return sum;
  }
  float score(const std::uint8_t* q, const std::uint8_t* key) const {
    float sum = 0;
    for (std::int64_t d = 0; d < dims_; ++d) sum += decode(q[d]) * decode(key[d]);
    return sum;
  }
  virtual float logit(std::int64_t b, std::int64_t i, std::int64_t t) {
    const std::uint8_t* block = data_of(block_at(b, t));
    const std::int64_t slot = t % block_tokens_;
    return head_sum(b, i, block + slot * dims_) * scale(block, slot);
  }
  virtual float masked(std::int64_t, std::int64_t, std::int64_t) {
    return -std::numeric_limits<float>::infinity();
  }
  virtual bool writes(std::int64_t /*row*/, std::int64_t /*t*/, std::int64_t /*end*/) { return true; }
  virtual bool cleans(std::int64_t /*row*/, std::int64_t /*t*/, std::int64_t /*end*/) { return true; }
  virtual void store(std::int64_t row, std::int64_t t, float value) {
    store_logit(logits_, row * logits_.strides[0] + t, value);
  }

  const assay_tensor &q_, &weights_, &cache_, &table_, &contexts_, &logits_;
  std::int64_t batch_, next_n_, heads_, dims_, block_tokens_, columns_;
  bool clean_;
};

}  // namespace assay::properties
