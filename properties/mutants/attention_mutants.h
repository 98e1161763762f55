// The mutants of paged attention: one overridden step each. Letters go on where those of the logits end; K21 is
// the softmax itself.
#pragma once

#include <cstdint>

#include "model/core/paged_layout.h"
#include "properties/mutants/attention_kernel.h"

namespace assay::properties::mutants {

inline constexpr std::int64_t kSplit = 64;  // tokens of a planted split

// K3: splits cut with floor, or overlapping by one token.
struct K3f : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  bool takes(std::int64_t t, Tokens seen) const override {
    return !witnessed(seen.end > kSplit && t >= seen.end / kSplit * kSplit);
  }
};
struct K3g : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void add_value(float p, std::int64_t b, std::int64_t t, std::int64_t kv_head) override {
    AttentionKernel::add_value(p, b, t, kv_head);
    if (!witnessed(t > 0 && t % kSplit == 0)) return;
    l_ += p;
    AttentionKernel::add_value(p, b, t, kv_head);
  }
};

// K4: masks off by one, from the wrong end, or not at all.
struct K4e : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  Tokens visible(std::int64_t b, std::int64_t i) const override {
    Tokens seen = AttentionKernel::visible(b, i);
    if (witnessed(seen.begin < seen.end && seen.end < context(b))) ++seen.end;
    return seen;
  }
};
struct K4f : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t position(std::int64_t b, std::int64_t i) const override {
    return witnessed(context(b) != queries(b)) ? i : AttentionKernel::position(b, i);
  }
};
struct K4g : AttentionKernel {  // lanes behind the end count as scores of 0, where nobody asked for a mask
  using AttentionKernel::AttentionKernel;
  void finish(std::int64_t b, std::int64_t i, std::int64_t h, Tokens seen) override {
    const std::int64_t lanes = ceil_div(seen.end, 16) * 16 - seen.end;
    if (witnessed(!causal_ && seen.begin < seen.end && lanes > 0))
      l_ += static_cast<float>(lanes) * std::exp(std::min(0.0f - m_, 80.0f));
    AttentionKernel::finish(b, i, h, seen);
  }
};
struct K4h : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  Tokens visible(std::int64_t b, std::int64_t i) const override {
    Tokens seen = AttentionKernel::visible(b, i);
    if (witnessed(window_ > 0 && seen.begin > 0 && seen.begin < seen.end)) --seen.begin;
    return seen;
  }
};

// K5: V with the block index before, K with the one behind, at a block's border.
struct K5c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int32_t block_at(Half half, std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    const bool stale = half == kValues && t % block_tokens_ == 0 && column > 0;
    return entry(half, b, witnessed(stale) ? column - 1 : column);
  }
};
struct K5d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int32_t block_at(Half half, std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_, last = (context(b) - 1) / block_tokens_;
    const bool early = half == kKeys && t % block_tokens_ == block_tokens_ - 1 && column < last;
    return entry(half, b, witnessed(early) ? column + 1 : column);
  }
};

// K6: the first block id of the sequence before; V through the table of K.
struct K6c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int32_t block_at(Half half, std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    const bool stale = b > 0 && column == 0 && context(b - 1) > 0;
    return entry(half, witnessed(stale && entry(half, b - 1, 0) != entry(half, b, 0)) ? b - 1 : b, column);
  }
};
struct K6d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int32_t block_at(Half half, std::int64_t b, std::int64_t t) override {
    const std::int64_t column = t / block_tokens_;
    const std::int32_t own = entry(half, b, column), other = entry(kKeys, b, column);
    return witnessed(own != other) ? other : own;
  }
};

// K7: dead slots of the last block masked by multiplication; the tail bounded in blocks.
struct K7d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void finish(std::int64_t b, std::int64_t i, std::int64_t h, Tokens seen) override {
    const std::int64_t last = context(b);
    if (witnessed(seen.begin < seen.end && seen.end == last && last % block_tokens_ != 0))
      for (std::int64_t t = last; t % block_tokens_ != 0; ++t)
        AttentionKernel::add_value(0.0f, b, t, kv_head_of(h));
    AttentionKernel::finish(b, i, h, seen);
  }
  std::int32_t block_at(Half half, std::int64_t b, std::int64_t t) override {
    return entry(half, b, std::min(t, context(b) - 1) / block_tokens_);
  }
};
struct K7e : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  Tokens visible(std::int64_t b, std::int64_t i) const override {
    Tokens seen = AttentionKernel::visible(b, i);
    const std::int64_t whole = ceil_div(context(b), block_tokens_) * block_tokens_;
    if (witnessed(seen.begin < seen.end && seen.end == context(b) && whole > seen.end)) seen.end = whole;
    return seen;
  }
};

// K8: the table read one column too far, and the block behind it touched.
struct K8c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void run_head(std::int64_t b, std::int64_t i, std::int64_t h) override {
    AttentionKernel::run_head(b, i, h);
    if (witnessed(h == 0)) sink_ = entry(kValues, b, ceil_div(context(b), block_tokens_));
  }
  volatile std::int32_t sink_ = 0;
};
struct K8d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void run_head(std::int64_t b, std::int64_t i, std::int64_t h) override {
    AttentionKernel::run_head(b, i, h);
    const std::int64_t column = ceil_div(context(b), block_tokens_);
    if (witnessed(h == 0 && column < table(kKeys).shape[1]))
      sink_ = *slot_address(kKeys, entry(kKeys, b, column), 0, 0);
  }
  volatile std::uint8_t sink_ = 0;
};

// K9: block offsets in 32 bits.
struct K9c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t block_offset(Half half, std::int64_t block) const override {
    const std::int64_t offset = AttentionKernel::block_offset(half, block);
    const auto narrow = static_cast<std::int32_t>(static_cast<std::uint32_t>(offset));
    return witnessed(half == kKeys && narrow != offset) ? narrow : offset;
  }
};
struct K9d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t block_offset(Half half, std::int64_t block) const override {
    const std::int64_t offset = AttentionKernel::block_offset(half, block);
    const auto narrow = static_cast<std::uint32_t>(offset);
    return witnessed(half == kValues && narrow != offset) ? narrow : offset;
  }
};

// K11: strides taken from shapes, or from the neighbour.
struct K11g : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t block_offset(Half half, std::int64_t block) const override {
    const std::int64_t given = AttentionKernel::block_offset(half, block);
    const std::int64_t own = block * block_tokens_ * kv_heads_ * dims_ * bytes_of(float_type_of(cache(half)));
    return witnessed(half == kValues && own != given) ? own : given;
  }
};
struct K11h : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t head_stride(Half half) const override {
    const std::int64_t given = AttentionKernel::head_stride(half),
                       own = heads_first_ ? block_tokens_ * dims_ : dims_;
    return witnessed(kv_heads_ > 1 && own != given) ? own : given;
  }
};
struct K11i : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  const std::uint8_t* query(std::int64_t row, std::int64_t h) const override {
    const std::int64_t own = heads_ * dims_;
    if (!witnessed(row > 0 && own != q_.strides[0])) return AttentionKernel::query(row, h);
    return bytes_of_tensor(q_) + (row * own + h * q_.strides[1]) * bytes_of(float_type_of(q_));
  }
};
struct K11j : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t out_row_stride() const override {
    const std::int64_t own = heads_ * dims_;
    return witnessed(out_.shape[0] > 1 && own != out_.strides[0]) ? own : out_.strides[0];
  }
};
struct K11k : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int32_t entry(Half half, std::int64_t b, std::int64_t column) const override {
    const std::int64_t other = table(kKeys).strides[0];
    if (!witnessed(half == kValues && b > 0 && table(half).strides[0] != other))
      return AttentionKernel::entry(half, b, column);
    return int_of(table(half), b * other + column);
  }
};
struct K11l : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t lse_stride() const override {
    return witnessed(lse_.shape[0] > 1 && lse_.strides[0] != heads_) ? heads_ : lse_.strides[0];
  }
};
struct K11m : AttentionKernel {  // [block, slot, head] read as [block, head, slot]
  using AttentionKernel::AttentionKernel;
  std::int64_t slot_stride(Half half) const override {
    return witnessed(differs(half)) ? AttentionKernel::head_stride(half) : AttentionKernel::slot_stride(half);
  }
  std::int64_t head_stride(Half half) const override {
    return differs(half) ? AttentionKernel::slot_stride(half) : AttentionKernel::head_stride(half);
  }
  bool differs(Half half) const { return half == kValues && kv_heads_ > 1 && block_tokens_ > 1; }
};

// K12: queries that see nothing are skipped; of the last sequence only the first query is done.
struct K12e : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void finish(std::int64_t b, std::int64_t i, std::int64_t h, Tokens seen) override {
    if (!witnessed(seen.begin == seen.end)) AttentionKernel::finish(b, i, h, seen);
  }
};
struct K12f : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void run_head(std::int64_t b, std::int64_t i, std::int64_t h) override {
    if (!witnessed(b + 1 == batch_ && i > 0)) AttentionKernel::run_head(b, i, h);
  }
};

// K13: one lse too many, into a gap.
struct K13e : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void store(std::int64_t row, std::int64_t h, float lse) override {
    AttentionKernel::store(row, h, lse);
    if (!witnessed(h + 1 == heads_ && heads_ % 8 != 0 && lse_.strides[0] > heads_)) return;
    std::memcpy(
        static_cast<std::uint8_t*>(lse_.data) + lse_.byte_offset + (row * lse_.strides[0] + h + 1) * 4, &lse,
        4);
  }
};

// K15: head groups of powers of two; eight heads of a KV head at most.
struct K15d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t kv_head_of(std::int64_t h) const override {
    std::int64_t group = 1;
    while (group * 2 <= heads_ / kv_heads_) group *= 2;
    const std::int64_t own = std::min(h / group, kv_heads_ - 1), right = AttentionKernel::kv_head_of(h);
    return witnessed(own != right) ? own : right;
  }
};
struct K15e : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void run_head(std::int64_t b, std::int64_t i, std::int64_t h) override {
    if (!witnessed(h % (heads_ / kv_heads_) >= 8)) AttentionKernel::run_head(b, i, h);
  }
};

// K18: the order of summation depends on who else is there.
struct K18c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t tile_tokens(std::int64_t) const override { return witnessed(batch_ > 1) ? 24 : 16; }
};
struct K18d : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  std::int64_t tile_tokens(std::int64_t b) const override { return witnessed(queries(b) > 1) ? 24 : 16; }
};

// K19: a sum that is not reset between heads.
struct K19g : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  void finish(std::int64_t b, std::int64_t i, std::int64_t h, Tokens seen) override {
    if (witnessed(h > 0 && seen.begin < seen.end)) l_ += left_;
    left_ = l_;
    AttentionKernel::finish(b, i, h, seen);
  }
  float left_ = 0;
};

// K20: P rounded to bf16 where fp32 is claimed.
struct K20c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  float probability(float below_maximum) const override {
    const float p = AttentionKernel::probability(below_maximum);
    const float rounded = Bf16::decode_float(Bf16::encode(static_cast<double>(p)));
    return witnessed(rounded != p) ? rounded : p;
  }
};

struct K20h : AttentionKernel {  // right, but not in the twin's order
  using AttentionKernel::AttentionKernel;
  float probability(float below_maximum) const override {
    (void)witnessed(true);
    return AttentionKernel::probability(below_maximum);
  }
};

// K21: the softmax.
struct K21a : AttentionKernel {  // the sum of V keeps its old scale
  using AttentionKernel::AttentionKernel;
  void rescale(float alpha) override {
    witnessed(alpha != 1.0f && l_ != 0.0f);
    l_ *= alpha;
  }
};
struct K21b : AttentionKernel {  // the sum of p does
  using AttentionKernel::AttentionKernel;
  void rescale(float alpha) override {
    const float before = l_;
    AttentionKernel::rescale(alpha);
    if (witnessed(alpha != 1.0f && before != 0.0f)) l_ = before;
  }
};
struct K21c : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  float lse() const override {
    const float natural = AttentionKernel::lse(), base2 = natural * 1.44269504f;
    return witnessed(base2 != natural) ? base2 : natural;
  }
};
struct K21d : AttentionKernel {  // 1 / sqrt(D) whatever is given
  using AttentionKernel::AttentionKernel;
  float scale() const override {
    const float own = 1.0f / std::sqrt(static_cast<float>(dims_)), given = AttentionKernel::scale();
    return witnessed(own != given) ? own : given;
  }
};
struct K21e : AttentionKernel {
  using AttentionKernel::AttentionKernel;
  float capped(float score) const override {
    const float cap = AttentionKernel::capped(score);
    return witnessed(cap != score) ? score : cap;
  }
};
struct K21f : AttentionKernel {  // a finite number instead of -inf
  using AttentionKernel::AttentionKernel;
  void store(std::int64_t row, std::int64_t h, float lse) override {
    AttentionKernel::store(row, h, witnessed(std::isinf(lse)) ? -5e4f : lse);
  }
};
struct K21g : AttentionKernel {  // p has a floor
  using AttentionKernel::AttentionKernel;
  float probability(float below_maximum) const override {
    return AttentionKernel::probability(witnessed(below_maximum < -8.0f) ? -8.0f : below_maximum);
  }
};

}  // namespace assay::properties::mutants
