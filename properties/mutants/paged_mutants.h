// The mutants of paged MQA logits: one overridden step each. Letters count the variants of an operator.
#pragma once

#include <unistd.h>

#include <cstdint>

#include "model/core/paged_layout.h"
#include "properties/mutants/paged_kernel.h"

namespace assay::properties::mutants {

inline constexpr std::int64_t kUnit = 256;   // tokens of a schedule's unit
inline constexpr std::int64_t kParts = 132;  // SMs that the planted schedules think of

// K1: an idle part looks up its sequence anyway.
struct K1a : PagedKernel {
  using PagedKernel::PagedKernel;
  void begin() override {
    std::int64_t units = 0;
    for (std::int64_t b = 0; b < batch_; ++b) units += ceil_div(context(b), kUnit);
    if (witnessed(units < kParts)) sink_ = int_of(contexts_, batch_ * contexts_.strides[0]);
  }
  volatile std::int32_t sink_ = 0;
};

// K2: metadata counts atoms of two queries, the kernel walks whole atoms only.
struct K2b : PagedKernel {
  using PagedKernel::PagedKernel;
  void run_row(std::int64_t b, std::int64_t i) override {
    if (!witnessed(next_n_ > 1 && i >= next_n_ / 2 * 2)) PagedKernel::run_row(b, i);
  }
};
struct K2c : PagedKernel {  // one atom of four rows: the fifth query is nobody's
  using PagedKernel::PagedKernel;
  void run_row(std::int64_t b, std::int64_t i) override {
    if (!witnessed(i >= 4)) PagedKernel::run_row(b, i);
  }
};

// K3: units cut with floor; one unit skipped.
struct K3a : PagedKernel {
  using PagedKernel::PagedKernel;
  bool writes(std::int64_t, std::int64_t t, std::int64_t end) override {
    return !witnessed(end > kUnit && t >= end / kUnit * kUnit);
  }
};
struct K3c : PagedKernel {
  using PagedKernel::PagedKernel;
  bool writes(std::int64_t, std::int64_t t, std::int64_t end) override {
    return !witnessed(ceil_div(end, kUnit) == 3 && t / kUnit == 1);
  }
};

// K4: masks off by one, from the wrong end, or not at all on aligned lengths.
struct K4a : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int64_t limit(std::int64_t b, std::int64_t i) const override {
    const std::int64_t end = PagedKernel::limit(b, i);
    // One column more, where the block still has a slot and the row a column.
    return witnessed(end > 0 && end % block_tokens_ != 0 && end < columns_) ? end + 1 : end;
  }
};
struct K4b : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int64_t limit(std::int64_t b, std::int64_t i) const override {
    if (contexts_.ndim == 2 || !witnessed(next_n_ > 1 && 2 * i != next_n_ - 1))
      return PagedKernel::limit(b, i);
    return context(b) - i;
  }
};
struct K4c : PagedKernel {
  using PagedKernel::PagedKernel;
  bool cleans(std::int64_t, std::int64_t, std::int64_t end) override {
    return !witnessed(end > 0 && end % 64 == 0);
  }
};

// K5: the block index one too early or too late at a block's border.
struct K5a : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int32_t block_at(std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    return entry(b, witnessed(t % block_tokens_ == 0 && column > 0) ? column - 1 : column);
  }
};
struct K5b : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int32_t block_at(std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_, last = (context(b) - 1) / block_tokens_;
    return entry(b, witnessed(t % block_tokens_ == block_tokens_ - 1 && column < last) ? column + 1 : column);
  }
};

// K6: indices of the request before; no reload after 32 entries.
struct K6a : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int32_t block_at(std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    const bool stale = b > 0 && column == 0 && context(b - 1) > 0;
    return entry(witnessed(stale && entry(b - 1, 0) != entry(b, 0)) ? b - 1 : b, column);
  }
};
struct K6b : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int32_t block_at(std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    return entry(b, witnessed(column >= 32) ? column % 32 : column);
  }
};

// K7: the tail bounded in blocks; a mask by arithmetic, so that NaN of a dead slot survives it.
struct K7a : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int64_t limit(std::int64_t b, std::int64_t i) const override {
    const std::int64_t end = PagedKernel::limit(b, i);
    const std::int64_t whole =
        std::min(ceil_div(std::max<std::int64_t>(end, 0), block_tokens_) * block_tokens_, columns_);
    return witnessed(end > 0 && whole > end) ? whole : end;
  }
};
struct K7b : PagedKernel {
  using PagedKernel::PagedKernel;
  float masked(std::int64_t b, std::int64_t i, std::int64_t t) override {
    const float infinity = PagedKernel::masked(b, i, t);
    if (!witnessed(t / block_tokens_ < ceil_div(context(b), block_tokens_))) return infinity;
    return logit(b, i, t) * 0.0f + infinity;
  }
};

struct K7c : PagedKernel {  // a dead byte that moves the result inside its bound
  using PagedKernel::PagedKernel;
  float logit(std::int64_t b, std::int64_t i, std::int64_t t) override {
    const float value = PagedKernel::logit(b, i, t);
    const std::int64_t dead = context(b) % block_tokens_;
    if (!witnessed(dead != 0)) return value;
    const std::uint8_t byte = data_of(block_at(b, context(b) - 1))[dead * dims_];
    return value * (1.0f + static_cast<float>(byte & 1) * 0x1p-23f);
  }
};

// K8: the table one column too far; the block behind a dead entry.
struct K8a : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int32_t block_at(std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    if (witnessed(column == (context(b) - 1) / block_tokens_)) prefetched_ = entry(b, column + 1);
    return entry(b, column);
  }
  volatile std::int32_t prefetched_ = 0;
};
struct K8b : PagedKernel {
  using PagedKernel::PagedKernel;
  void run_row(std::int64_t b, std::int64_t i) override {
    const std::int64_t blocks = ceil_div(context(b), block_tokens_);
    if (witnessed(blocks < table_.shape[1])) warmed_ = *data_of(entry(b, blocks));
    PagedKernel::run_row(b, i);
  }
  volatile std::uint8_t warmed_ = 0;
};

// K9: offsets of blocks in 32 bits.
struct K9a : PagedKernel {
  using PagedKernel::PagedKernel;
  const std::uint8_t* data_of(std::int64_t block) const override {
    const std::int64_t offset = block * cache_.strides[0];
    const auto narrow = static_cast<std::int32_t>(static_cast<std::uint32_t>(offset));
    return bytes_of_tensor(cache_) + (witnessed(narrow != offset) ? narrow : offset);
  }
};
struct K9b : PagedKernel {
  using PagedKernel::PagedKernel;
  const std::uint8_t* data_of(std::int64_t block) const override {
    const std::int64_t offset = block * cache_.strides[0];
    const auto narrow = static_cast<std::uint32_t>(offset);
    return bytes_of_tensor(cache_) + (witnessed(narrow != offset) ? narrow : offset);
  }
};

// K10: offsets of output rows in 32 bits: wrapped, or the store given up.
struct K10a : PagedKernel {
  using PagedKernel::PagedKernel;
  void store(std::int64_t row, std::int64_t t, float value) override {
    const std::int64_t bytes = logits_.dtype.bits / 8, offset = (row * logits_.strides[0] + t) * bytes;
    const auto narrow = static_cast<std::int32_t>(static_cast<std::uint32_t>(offset));
    store_logit(logits_, witnessed(narrow != offset) ? narrow / bytes : offset / bytes, value);
  }
};
struct K10b : PagedKernel {
  using PagedKernel::PagedKernel;
  void store(std::int64_t row, std::int64_t t, float value) override {
    const std::int64_t offset = (row * logits_.strides[0] + t) * (logits_.dtype.bits / 8);
    if (!witnessed(offset > std::numeric_limits<std::int32_t>::max())) PagedKernel::store(row, t, value);
  }
};

// K11: strides taken from shapes.
struct K11a : PagedKernel {
  using PagedKernel::PagedKernel;
  const std::uint8_t* data_of(std::int64_t block) const override {
    const std::int64_t compact = block_tokens_ * (dims_ + 4);
    return bytes_of_tensor(cache_) +
           block * (witnessed(compact != cache_.strides[0] && block > 0) ? compact : cache_.strides[0]);
  }
};
struct K11b : PagedKernel {
  using PagedKernel::PagedKernel;
  float weight(std::int64_t row, std::int64_t h) const override {
    const std::int64_t stride =
        witnessed(weights_.strides[0] != heads_ && row > 0) ? heads_ : weights_.strides[0];
    return load_as<float>(bytes_of_tensor(weights_) + (row * stride + h) * 4);
  }
};
struct K11c : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int32_t entry(std::int64_t b, std::int64_t column) const override {
    const std::int64_t stride =
        witnessed(table_.strides[0] != table_.shape[1] && b > 0) ? table_.shape[1] : table_.strides[0];
    return int_of(table_, b * stride + column);
  }
};
struct K11d : PagedKernel {
  using PagedKernel::PagedKernel;
  void store(std::int64_t row, std::int64_t t, float value) override {
    store_logit(
        logits_,
        row * (witnessed(logits_.strides[0] != columns_ && row > 0) ? columns_ : logits_.strides[0]) + t,
        value);
  }
};
struct K11e : PagedKernel {
  using PagedKernel::PagedKernel;
  const std::uint8_t* query(std::int64_t b, std::int64_t i, std::int64_t h) const override {
    const bool gaps = q_.strides[2] != dims_ && h > 0;
    return bytes_of_tensor(q_) + b * q_.strides[0] + i * q_.strides[1] +
           h * (witnessed(gaps) ? dims_ : q_.strides[2]);
  }
};

// K12: elements that are sometimes not written.
struct K12a : PagedKernel {
  using PagedKernel::PagedKernel;
  bool writes(std::int64_t row, std::int64_t t, std::int64_t end) override {
    return !witnessed(row + 1 == batch_ * next_n_ && t + 1 == end);
  }
};
struct K12b : PagedKernel {
  using PagedKernel::PagedKernel;
  bool writes(std::int64_t row, std::int64_t t, std::int64_t) override {
    return !witnessed((static_cast<std::uint64_t>(row * 7919 + t) * 0x9e3779b97f4a7c15ull >> 40) % 997 == 0);
  }
};
struct K12c : PagedKernel {
  using PagedKernel::PagedKernel;
  bool cleans(std::int64_t, std::int64_t, std::int64_t end) override { return !witnessed(end <= 0); }
};

// K13: no upper bound on the store: whole units, whatever the row holds.
struct K13b : PagedKernel {
  using PagedKernel::PagedKernel;
  void run_row(std::int64_t b, std::int64_t i) override {
    PagedKernel::run_row(b, i);
    const std::int64_t end = limit(b, i), whole = ceil_div(std::max<std::int64_t>(end, 0), kUnit) * kUnit;
    for (std::int64_t t = std::max(end, columns_); t < whole; ++t)
      if (witnessed(true)) store(b * next_n_ + i, t, 0.0f);
  }
};

struct K13c : PagedKernel {  // a byte in front of the output
  using PagedKernel::PagedKernel;
  void begin() override {
    if (witnessed(batch_ > 0 && columns_ > 0))
      *(static_cast<volatile std::uint8_t*>(logits_.data) + logits_.byte_offset - 1) = 0;
  }
};

// K15: heads lost, weights of another query, a number of heads that must be a power of two.
struct K15a : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int64_t head_count() const override { return witnessed(heads_ > 8) ? heads_ - 8 : heads_; }
};
struct K15b : PagedKernel {
  using PagedKernel::PagedKernel;
  float weight(std::int64_t row, std::int64_t h) const override {
    return PagedKernel::weight(witnessed(row % next_n_ != 0) ? row - row % next_n_ : row, h);
  }
};
struct K15c : PagedKernel {
  using PagedKernel::PagedKernel;
  std::int64_t head_count() const override {
    std::int64_t power = 1;
    while (power * 2 <= heads_) power *= 2;
    return witnessed(power != heads_) ? power : heads_;
  }
};

// K16: the relu.
struct K16a : PagedKernel {
  using PagedKernel::PagedKernel;
  float relu(float score) const override { return witnessed(score < 0) ? score : PagedKernel::relu(score); }
};
struct K16b : PagedKernel {
  using PagedKernel::PagedKernel;
  float relu(float score) const override { return score; }
  float head_sum(std::int64_t b, std::int64_t i, const std::uint8_t* key) const override {
    const float sum = PagedKernel::head_sum(b, i, key);
    return witnessed(true) && sum > 0 ? sum : 0.0f;
  }
};
struct K16c : PagedKernel {
  using PagedKernel::PagedKernel;
  float relu(float score) const override {
    return witnessed(score != score) ? score : PagedKernel::relu(score);
  }
};

// K17: scales and codes.
struct K17a : PagedKernel {
  using PagedKernel::PagedKernel;
  float scale(const std::uint8_t* block, std::int64_t slot) const override {
    return PagedKernel::scale(block, witnessed(slot > 0) ? slot - 1 : slot);
  }
};
struct K17b : PagedKernel {
  using PagedKernel::PagedKernel;
  float scale(const std::uint8_t* block, std::int64_t slot) const override {
    return PagedKernel::scale(block, witnessed(slot > 0) ? 0 : slot);
  }
};
struct K17c : PagedKernel {
  using PagedKernel::PagedKernel;
  float scale(const std::uint8_t* block, std::int64_t slot) const override {
    (void)witnessed(PagedKernel::scale(block, slot) != 1.0f);
    return 1.0f;
  }
};
struct K17d : PagedKernel {
  using PagedKernel::PagedKernel;
  float decode(std::uint8_t code) const override {
    return witnessed((code & 0x7f) == 0x7f) ? (code & 0x80 ? -480.0f : 480.0f) : PagedKernel::decode(code);
  }
};
struct K17e : PagedKernel {  // the other bias: every value halved
  using PagedKernel::PagedKernel;
  float decode(std::uint8_t code) const override {
    const float value = PagedKernel::decode(code);
    return witnessed(value != 0) ? value * 0.5f : value;
  }
};
struct K17f : PagedKernel {
  using PagedKernel::PagedKernel;
  float decode(std::uint8_t code) const override {
    const float value = PagedKernel::decode(code);
    return witnessed(value > 240 || value < -240) ? (value > 0 ? 240.0f : -240.0f) : value;
  }
};

// K18: an order of summation that depends on who else is in the batch.
struct K18a : PagedKernel {
  using PagedKernel::PagedKernel;
  float head_sum(std::int64_t b, std::int64_t i, const std::uint8_t* key) const override {
    if (!witnessed(batch_ > 1)) return PagedKernel::head_sum(b, i, key);
    float sum = 0;
    for (std::int64_t h = heads_; h-- > 0;)
      sum += weight(b * next_n_ + i, h) * relu(score(query(b, i, h), key));
    return sum;
  }
};
struct K18b : PagedKernel {  // and on how many queries come together
  using PagedKernel::PagedKernel;
  float head_sum(std::int64_t b, std::int64_t i, const std::uint8_t* key) const override {
    if (!witnessed(next_n_ > 1)) return PagedKernel::head_sum(b, i, key);
    float even = 0, odd = 0;
    for (std::int64_t h = 0; h < heads_; ++h)
      (h % 2 == 0 ? even : odd) += weight(b * next_n_ + i, h) * relu(score(query(b, i, h), key));
    return even + odd;
  }
};

// K19: state that outlives a call; an input that is changed.
struct K19a : PagedKernel {  // a tile counter that nobody resets
  using PagedKernel::PagedKernel;
  void begin() override { ++calls; }
  bool writes(std::int64_t row, std::int64_t t, std::int64_t) override {
    return !witnessed(calls % 2 == 0 && row == 0 && t == 0);
  }
  static inline std::int64_t calls = 0;
};
struct K19b : PagedKernel {  // the longest length of the first call, kept for ever
  using PagedKernel::PagedKernel;
  void begin() override {
    std::int64_t now = 0;
    for (std::int64_t b = 0; b < batch_; ++b) now = std::max(now, context(b));
    if (longest < 0 && now > 0) longest = now;
  }
  bool writes(std::int64_t, std::int64_t t, std::int64_t) override {
    return !witnessed(longest >= 0 && t >= longest);
  }
  static inline std::int64_t longest = -1;
};
struct K19c : PagedKernel {
  using PagedKernel::PagedKernel;
  void begin() override {
    if (!witnessed(batch_ > 0)) return;
    auto* first =
        reinterpret_cast<std::int32_t*>(static_cast<std::uint8_t*>(contexts_.data) + contexts_.byte_offset);
    *const_cast<volatile std::int32_t*>(first) = *first;
  }
};

struct K19d : PagedKernel {  // the answer of the call before, when the pointers and shapes are the same
  using PagedKernel::PagedKernel;
  void run() override {
    const bool known = answered == q_.data && rows == batch_ * next_n_ && stride == logits_.strides[0];
    const auto bytes =
        static_cast<std::size_t>(rows > 0 && columns_ > 0 ? (rows - 1) * stride + columns_ : 0) *
        (logits_.dtype.bits / 8u);
    if (witnessed(known && !clean_ && bytes > 0 && bytes <= sizeof answer && bytes == kept)) {
      for (std::int64_t b = 0; b < batch_; ++b)
        for (std::int64_t i = 0; i < next_n_; ++i) {
          const std::int64_t begin = (b * next_n_ + i) * stride,
                             count = std::max<std::int64_t>(limit(b, i), 0);
          const auto size = static_cast<std::size_t>(logits_.dtype.bits / 8);
          std::memcpy(static_cast<std::uint8_t*>(logits_.data) + static_cast<std::size_t>(begin) * size,
                      answer + static_cast<std::size_t>(begin) * size,
                      static_cast<std::size_t>(count) * size);
        }
      return;
    }
    PagedKernel::run();
    answered = q_.data;
    rows = batch_ * next_n_;
    stride = logits_.strides[0];
    const std::size_t now =
        static_cast<std::size_t>(rows > 0 && columns_ > 0 ? (rows - 1) * stride + columns_ : 0) *
        (logits_.dtype.bits / 8u);
    kept = now <= sizeof answer ? now : 0;
    std::memcpy(answer, logits_.data, kept);
  }
  static inline const void* answered = nullptr;
  static inline std::int64_t rows = 0, stride = 0;
  static inline std::size_t kept = 0;
  static inline std::uint8_t answer[1 << 20];
};
struct K19e : PagedKernel {  // out through the back door
  using PagedKernel::PagedKernel;
  void begin() override {
    if (witnessed(batch_ > 0)) _exit(0);
  }
};

// K20: another arithmetic than the one that is claimed: fp32 where the twin truncates; weights in bf16.
struct K20a : PagedKernel {
  using PagedKernel::PagedKernel;
  float head_sum(std::int64_t b, std::int64_t i, const std::uint8_t* key) const override {
    (void)witnessed(true);
    return PagedKernel::head_sum(b, i, key);
  }
};
struct K20b : PagedKernel {
  using PagedKernel::PagedKernel;
  float weight(std::int64_t row, std::int64_t h) const override {
    const float exact = PagedKernel::weight(row, h);
    const auto rounded = static_cast<float>(Bf16::decode(Bf16::encode(static_cast<double>(exact))));
    return witnessed(rounded != exact) ? rounded : exact;
  }
};

}  // namespace assay::properties::mutants
