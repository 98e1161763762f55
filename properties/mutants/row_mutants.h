// The mutants of merge and cache write: one overridden step each. Letters go on where those of attention end.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "properties/mutants/row_kernels.h"

namespace assay::properties::mutants {

// ---- Merge

// K7: the out of a part that saw nothing masked by multiplication.
struct K7f : MergeKernel {
  using MergeKernel::MergeKernel;
  bool takes(int part) const override { return MergeKernel::takes(part) || witnessed(true); }
};

// K11: strides of part b taken from part a; that of the resulting lse from its shape.
struct K11n : MergeKernel {
  using MergeKernel::MergeKernel;
  std::int64_t out_at(int which, std::int64_t row, std::int64_t head) const override {
    const std::int64_t own = MergeKernel::out_at(which, row, head), other = MergeKernel::out_at(0, row, head);
    return witnessed(which == 1 && own != other) ? other : own;
  }
};
struct K11o : MergeKernel {
  using MergeKernel::MergeKernel;
  std::int64_t lse_at(int which, std::int64_t row, std::int64_t head) const override {
    const std::int64_t own = MergeKernel::lse_at(which, row, head);
    return witnessed(which == 2 && own != row * heads_ + head) ? row * heads_ + head : own;
  }
};

// K12: where both parts saw nothing, nothing is written.
struct K12g : MergeKernel {
  using MergeKernel::MergeKernel;
  void store(std::int64_t row, std::int64_t head, const std::vector<float>& values, float total) override {
    if (!witnessed(nobody())) MergeKernel::store(row, head, values, total);
  }
};

// K18: a reciprocal where there are several rows.
struct K18e : MergeKernel {
  using MergeKernel::MergeKernel;
  float divided(float sum) const override {
    const float own = MergeKernel::divided(sum), other = sum * (1.0f / (weight_[0] + weight_[1]));
    return witnessed(rows_ > 1 && own != other) ? other : own;
  }
};

// K20: weights rounded to bf16; the result rounded twice.
struct K20d : MergeKernel {
  using MergeKernel::MergeKernel;
  float weight(int part) const override {
    const float own = MergeKernel::weight(part),
                rounded = Bf16::decode_float(Bf16::encode(static_cast<double>(own)));
    return witnessed(own != rounded) ? rounded : own;
  }
};
struct K20e : MergeKernel {
  using MergeKernel::MergeKernel;
  float divided(float sum) const override {
    const float own = MergeKernel::divided(sum);
    const auto wide = static_cast<double>(own);
    const bool to_bf16 = float_type_of(out(2)) == ElementType::kBf16;
    const float first =
        to_bf16 ? Fp16::decode_float(Fp16::encode(wide)) : Bf16::decode_float(Bf16::encode(wide));
    const bool same = to_bf16 && Bf16::encode(static_cast<double>(first)) == Bf16::encode(wide);
    return witnessed(first != own && !same) ? first : own;
  }
};

// K21: the softmax of two.
struct K21h : MergeKernel {  // no maximum: e^lse
  using MergeKernel::MergeKernel;
  float weight(int part) const override {
    witnessed(std::fabs(largest_) > 80.0f);
    return std::exp(lse_[part]);
  }
  float merged_lse() const override { return std::log(weight_[0] + weight_[1]); }
};
struct K21i : MergeKernel {  // -inf - -inf
  using MergeKernel::MergeKernel;
  bool nobody() const override { return MergeKernel::nobody() && !witnessed(true); }
};
struct K21j : MergeKernel {  // the mean
  using MergeKernel::MergeKernel;
  float weight(int part) const override {
    return takes(part) ? (witnessed(lse_[0] != lse_[1]) ? 1.0f : MergeKernel::weight(part)) : 0.0f;
  }
  float merged_lse() const override {
    return largest_ + std::log(MergeKernel::weight(0) + MergeKernel::weight(1));
  }
};
struct K21k : MergeKernel {  // the larger lse
  using MergeKernel::MergeKernel;
  float merged_lse() const override {
    const float own = MergeKernel::merged_lse();
    return witnessed(own != largest_) ? largest_ : own;
  }
};
struct K21l : MergeKernel {  // a finite number for -inf
  using MergeKernel::MergeKernel;
  float merged_lse() const override { return nobody() ? -1e4f : MergeKernel::merged_lse(); }
  void store(std::int64_t row, std::int64_t head, const std::vector<float>& values, float total) override {
    MergeKernel::store(row, head, values, witnessed(nobody()) ? -1e4f : total);
  }
};
struct K21m : MergeKernel {
  using MergeKernel::MergeKernel;
  float merged_lse() const override {
    const float natural = MergeKernel::merged_lse(), base2 = natural * 1.44269504f;
    return witnessed(base2 != natural) ? base2 : natural;
  }
};
struct K21n : MergeKernel {
  using MergeKernel::MergeKernel;
  float divided(float sum) const override {
    const float own = MergeKernel::divided(sum);
    return witnessed(own != sum) ? sum : own;
  }
};
struct K21o : MergeKernel {  // the weight of a for b, and of b for a
  using MergeKernel::MergeKernel;
  float weight(int part) const override {
    return MergeKernel::weight(witnessed(lse_[0] != lse_[1] && takes(0) && takes(1)) ? 1 - part : part);
  }
};

// ---- Cache write

// K5: a block's last slot in the block behind; every place one too far. K6: the block of the token before.
struct K5e : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t block_of(std::int64_t slot) const override {
    const std::int64_t block = CacheWriteKernel::block_of(slot);
    return witnessed(place_of(slot) == block_tokens_ - 1 && block + 1 < blocks_) ? block + 1 : block;
  }
};
struct K5f : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t place_of(std::int64_t slot) const override {
    return (slot + (witnessed(block_tokens_ > 1) ? 1 : 0)) % block_tokens_;
  }
};
struct K6e : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void write(std::int64_t token, std::int64_t block, std::int64_t place) override {
    const bool stale = place == 0 && last_ >= 0 && last_ != block;
    CacheWriteKernel::write(token, witnessed(stale) ? last_ : block, place);
    last_ = block;
  }
  std::int64_t last_ = -1;
};

// K9: block offsets in 32 bits.
struct K9e : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t block_offset(Half half, std::int64_t block) const override {
    const std::int64_t offset = CacheWriteKernel::block_offset(half, block);
    const auto narrow = static_cast<std::int32_t>(static_cast<std::uint32_t>(offset));
    return witnessed(narrow != offset) ? narrow : offset;
  }
};

// K11: strides taken from shapes, or from the neighbour.
struct K11p : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t block_stride(Half half) const override {
    const std::int64_t given = CacheWriteKernel::block_stride(half),
                       own = fused_ ? cache(half).shape[1] : block_tokens_ * heads_ * dims_;
    return witnessed(blocks_ > 1 && own != given) ? own : given;
  }
};
struct K11q : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t block_stride(Half half) const override {
    const std::int64_t own = CacheWriteKernel::block_stride(half),
                       other = CacheWriteKernel::block_stride(kKeys);
    return witnessed(blocks_ > 1 && own != other) ? other : own;
  }
};
struct K11r : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t row_at(Half half, std::int64_t token, std::int64_t head) const override {
    const std::int64_t given = CacheWriteKernel::row_at(half, token, head);
    const std::int64_t own = (token * heads_ + head) * dims_;
    return witnessed(own != given) ? own : given;
  }
};
struct K11s : CacheWriteKernel {  // [block, slot, head] read as [block, head, slot]
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t cache_at(Half half, std::int64_t block, std::int64_t place, std::int64_t head) const override {
    if (!witnessed(!fused_ && half == kValues && heads_ > 1 && block_tokens_ > 1))
      return CacheWriteKernel::cache_at(half, block, place, head);
    const std::int64_t slot_stride = cache(half).strides[1], head_stride = cache(half).strides[2];
    return block_offset(half, block) + (place * head_stride + head * slot_stride) * bytes_of(cache_type());
  }
};

// K12: everything behind the first skipped token missing; the last token; what is left of a vector.
struct K12h : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void run() override {
    for (std::int64_t token = 0; token < tokens_; ++token) {
      const std::int64_t slot = slot_of(token);
      if (witnessed(slot < 0)) return;
      write(token, block_of(slot), place_of(slot));
    }
  }
};
struct K12i : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void write(std::int64_t token, std::int64_t block, std::int64_t place) override {
    if (!witnessed(token > 0 && token + 1 == tokens_)) CacheWriteKernel::write(token, block, place);
  }
};
struct K12j : CacheWriteKernel {
  explicit K12j(const assay_call& call) : CacheWriteKernel(call) {
    if (witnessed(tokens_ > 0 && dims_ % 32 != 0)) dims_ = dims_ / 32 * 32;
  }
};

// K13: skipped tokens written to slot 0, or counted from the pool's end; one element too many.
struct K13f : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t slot_of(std::int64_t token) const override {
    const std::int64_t slot = CacheWriteKernel::slot_of(token);
    return witnessed(slot < 0 && blocks_ > 0) ? 0 : slot;
  }
};
struct K13g : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  std::int64_t slot_of(std::int64_t token) const override {
    const std::int64_t slot = CacheWriteKernel::slot_of(token), capacity = blocks_ * block_tokens_;
    return witnessed(slot < 0 && slot + capacity >= 0) ? slot + capacity : slot;
  }
};
struct K13h : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void write_row(Half half, std::int64_t token, std::int64_t block, std::int64_t place,
                 std::int64_t head) override {
    CacheWriteKernel::write_row(half, token, block, place, head);
    if (!witnessed(!fused_ && head + 1 == heads_)) return;
    std::uint8_t* row = static_cast<std::uint8_t*>(cache(half).data) + cache(half).byte_offset +
                        cache_at(half, block, place, head);
    const std::int64_t bytes = bytes_of(cache_type());
    std::memcpy(row + dims_ * bytes, row, static_cast<std::size_t>(bytes));
  }
};

// K15: the last head dropped; V written from K.
struct K15f : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void write_row(Half half, std::int64_t token, std::int64_t block, std::int64_t place,
                 std::int64_t head) override {
    if (!witnessed(heads_ > 1 && head + 1 == heads_))
      CacheWriteKernel::write_row(half, token, block, place, head);
  }
};
struct K15g : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void write_row(Half half, std::int64_t token, std::int64_t block, std::int64_t place,
                 std::int64_t head) override {
    CacheWriteKernel::write_row(half, token, block, place, head);
    if (!witnessed(half == kValues)) return;
    const auto bytes = static_cast<std::size_t>(dims_ * bytes_of(cache_type()));
    const auto base = [&](Half which) {
      return static_cast<std::uint8_t*>(cache(which).data) + cache(which).byte_offset +
             cache_at(which, block, place, head);
    };
    std::memcpy(base(kValues), base(kKeys), bytes);
  }
};

// K17: scales.
struct K17h : CacheWriteKernel {  // no floor: rows of zeros are 0 / 0
  using CacheWriteKernel::CacheWriteKernel;
  float scale_of(float amax) const override {
    return witnessed(amax < 1e-4f) ? amax / 448.0f : CacheWriteKernel::scale_of(amax);
  }
};
struct K17i : CacheWriteKernel {  // another format's largest number
  using CacheWriteKernel::CacheWriteKernel;
  float scale_of(float amax) const override {
    witnessed(true);
    return std::max(amax, 1e-4f) / 240.0f;
  }
};
struct K17j : CacheWriteKernel {  // one amax for all heads: that of the first
  using CacheWriteKernel::CacheWriteKernel;
  float amax_of(Half half, std::int64_t token, std::int64_t head) const override {
    const float own = CacheWriteKernel::amax_of(half, token, head);
    if (head == 0) first_ = own;
    return witnessed(own != first_) ? first_ : own;
  }
  mutable float first_ = 0;
};
struct K17k : CacheWriteKernel {  // NaN enters the amax
  using CacheWriteKernel::CacheWriteKernel;
  float amax_of(Half half, std::int64_t token, std::int64_t head) const override {
    float amax = CacheWriteKernel::amax_of(half, token, head);
    for (const float value : values_)
      if (witnessed(std::isnan(value))) amax = value;
    return amax;
  }
  float scale_of(float amax) const override {
    return std::isnan(amax) ? amax : CacheWriteKernel::scale_of(amax);
  }
};
struct K17l : CacheWriteKernel {  // a reciprocal
  using CacheWriteKernel::CacheWriteKernel;
  float scaled(float value, float scale) const override {
    const float own = value / scale, other = value * (1.0f / scale);
    return witnessed(E4M3::encode(static_cast<double>(own)) != E4M3::encode(static_cast<double>(other)))
               ? other
               : own;
  }
};
struct K17m : CacheWriteKernel {  // the scale in the place before
  using CacheWriteKernel::CacheWriteKernel;
  void store_scale(Half half, std::int64_t block, std::int64_t place, std::int64_t head,
                   float scale) const override {
    const bool moves = block_tokens_ > 1 && place > 0;
    CacheWriteKernel::store_scale(half, block, witnessed(moves) ? place - 1 : place, head, scale);
  }
};
struct K17n : CacheWriteKernel {  // beyond 448 is NaN
  using CacheWriteKernel::CacheWriteKernel;
  void convert(float value, std::uint8_t* target, ElementType to) const override {
    CacheWriteKernel::convert(value, target, to);
    if (witnessed(to == ElementType::kE4M3 && std::fabs(value) > 464.0f)) *target |= 0x7f;
  }
};
struct K17o : CacheWriteKernel {  // beyond fp16 is infinite
  using CacheWriteKernel::CacheWriteKernel;
  void convert(float value, std::uint8_t* target, ElementType to) const override {
    if (witnessed(to == ElementType::kFp16 && std::fabs(value) >= 65520.0f))
      store_element(target, to, static_cast<double>(value), Overflow::kInfinity);
    else
      CacheWriteKernel::convert(value, target, to);
  }
};

// K20: truncation; rounding twice.
struct K20f : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void convert(float value, std::uint8_t* target, ElementType to) const override {
    CacheWriteKernel::convert(value, target, to);
    const float stored = to == ElementType::kE4M3 ? E4M3::decode_float(*target) : float_at(target, to);
    if (!witnessed(std::fabs(stored) > std::fabs(value))) return;
    if (to == ElementType::kE4M3) {
      --*target;
    } else {
      const auto code = static_cast<std::uint16_t>(load_as<std::uint16_t>(target) - 1);
      std::memcpy(target, &code, 2);
    }
  }
};
struct K20g : CacheWriteKernel {
  using CacheWriteKernel::CacheWriteKernel;
  void convert(float value, std::uint8_t* target, ElementType to) const override {
    const float first = Bf16::decode_float(Bf16::encode(static_cast<double>(value)));
    witnessed(first != value && to != ElementType::kBf16);
    CacheWriteKernel::convert(first, target, to);
  }
};

}  // namespace assay::properties::mutants
