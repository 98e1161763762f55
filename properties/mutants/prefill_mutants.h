// Prefill MQA logits as plain loops with overridable steps, and the mutants made from them.
#pragma once

#include "properties/mutants/paged_kernel.h"

namespace assay::properties::mutants {

class PrefillKernel {
 public:
  explicit PrefillKernel(const assay_call& call)
      : q_(call.inputs[0]),
        keys_(call.inputs[1]),
        scales_(call.inputs[2]),
        weights_(call.inputs[3]),
        starts_(call.inputs[4]),
        ends_(call.inputs[5]),
        logits_(call.outputs[0]),
        rows_(q_.shape[0]),
        heads_(q_.shape[1]),
        dims_(q_.shape[2]),
        columns_(logits_.shape[1]),
        clean_(call.ints[0] != 0),
        compressed_(call.ints[1] != 0) {}
  virtual ~PrefillKernel() = default;
  PrefillKernel(const PrefillKernel&) = delete;
  PrefillKernel& operator=(const PrefillKernel&) = delete;

  void run() {
    for (std::int64_t m = 0; m < rows_; ++m) {
      const std::int64_t begin = start(m), end = std::max(begin, stop(m)),
                         shift = compressed_ ? shift_of(m) : 0;
      for (std::int64_t n = begin; n < end; ++n) store(m, n - shift, logit(m, n));
      if (!clean_) continue;
      for (std::int64_t column = 0; column < columns_; ++column)
        if ((column + shift < begin || column + shift >= end) && cleans(m, begin, end))
          store(m, column, -std::numeric_limits<float>::infinity());
    }
  }

 protected:
  virtual std::int64_t start(std::int64_t m) const { return int_of(starts_, m); }
  virtual std::int64_t stop(std::int64_t m) const { return int_of(ends_, m); }
  virtual std::int64_t shift_of(std::int64_t m) const { return start(m); }
  virtual bool cleans(std::int64_t, std::int64_t, std::int64_t) const { return true; }
  virtual float scale(std::int64_t n) const {
    return load_as<float>(bytes_of_tensor(scales_) + n * scales_.strides[0] * 4);
  }
  virtual std::int64_t key_stride() const { return keys_.strides[0]; }
  virtual float logit(std::int64_t m, std::int64_t n) const {
    const std::uint8_t* key = bytes_of_tensor(keys_) + n * key_stride();
    float sum = 0;
    for (std::int64_t h = 0; h < heads_; ++h) {
      const std::uint8_t* q = bytes_of_tensor(q_) + m * q_.strides[0] + h * q_.strides[1];
      float score = 0;
      for (std::int64_t d = 0; d < dims_; ++d) score += E4M3::decode_float(q[d]) * E4M3::decode_float(key[d]);
      sum += load_as<float>(bytes_of_tensor(weights_) + (m * weights_.strides[0] + h) * 4) *
             (score > 0 ? score : 0.0f);
    }
    return sum * scale(n);
  }
  virtual void store(std::int64_t m, std::int64_t column, float value) {
    store_logit(logits_, m * logits_.strides[0] + column, value);
  }

  const assay_tensor &q_, &keys_, &scales_, &weights_, &starts_, &ends_, &logits_;
  std::int64_t rows_, heads_, dims_, columns_;
  bool clean_, compressed_;
};

// K2: one start for a tile of four rows.
struct K2d : PrefillKernel {
  using PrefillKernel::PrefillKernel;
  std::int64_t shift_of(std::int64_t m) const override {
    const std::int64_t first = start(m / 4 * 4);
    return witnessed(first < start(m)) ? first : start(m);
  }
};
// K4: the range one key short.
struct K4d : PrefillKernel {
  using PrefillKernel::PrefillKernel;
  std::int64_t stop(std::int64_t m) const override {
    const std::int64_t end = PrefillKernel::stop(m);
    return witnessed(end > start(m)) ? end - 1 : end;
  }
};
// K9: offsets of keys from the shape.
struct K11f : PrefillKernel {
  using PrefillKernel::PrefillKernel;
  std::int64_t key_stride() const override {
    return witnessed(keys_.strides[0] != dims_) ? dims_ : keys_.strides[0];
  }
};
// K12: empty rows are not cleaned.
struct K12d : PrefillKernel {
  using PrefillKernel::PrefillKernel;
  bool cleans(std::int64_t, std::int64_t begin, std::int64_t end) const override {
    return !witnessed(end <= begin);
  }
};
// K13: compressed rows guarded below only: they run on to the tile's last key.
struct K13a : PrefillKernel {
  using PrefillKernel::PrefillKernel;
  std::int64_t stop(std::int64_t m) const override {
    std::int64_t last = 0;
    for (std::int64_t other = m / 4 * 4; other < std::min(rows_, m / 4 * 4 + 4); ++other)
      last = std::max(last, PrefillKernel::stop(other));
    const std::int64_t end = PrefillKernel::stop(m);
    return witnessed(compressed_ && end > start(m) && last > end) ? last : end;
  }
};
// K17: the scale of the key before.
struct K17g : PrefillKernel {
  using PrefillKernel::PrefillKernel;
  float scale(std::int64_t n) const override { return PrefillKernel::scale(witnessed(n > 0) ? n - 1 : n); }
};

}  // namespace assay::properties::mutants
