// Small random cases for the tests of the golden model, and the naive answers to them: plain loops in
// long double, addresses written out by hand, no Eigen, nothing shared with the code under test but
// the views. Test code only.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "model/core/philox.h"
#include "model/golden/mqa_logits.h"
#include "model/golden/paged_attention.h"

namespace assay::testing {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Owns a paged MQA logits case. Blocks are handed out in a shuffled order; everything dead is poison:
// NaN codes in unused slots, alternating -1 and INT_MAX in dead table entries.
struct SmallMqa {
  std::int32_t batch, next_n, heads, dims, block_tokens;
  std::vector<std::int32_t> contexts;  // [B] or [B, next_n]
  bool two_dimensional = false;
  std::int64_t block_stride = 0;
  std::int32_t blocks = 0, max_blocks = 0;
  std::vector<std::uint8_t> q, cache;
  std::vector<float> weights;
  std::vector<std::int32_t> table;

  SmallMqa(std::vector<std::int32_t> lengths, std::int32_t next_n_, std::int32_t heads_, std::int32_t dims_,
           std::int32_t block_tokens_, bool two_dimensional_, std::uint64_t seed)
      : batch(static_cast<std::int32_t>(lengths.size())),
        next_n(next_n_),
        heads(heads_),
        dims(dims_),
        block_tokens(block_tokens_),
        two_dimensional(two_dimensional_) {
    block_stride = static_cast<std::int64_t>(block_tokens) * (dims + 4) + 52;
    for (const std::int32_t length : lengths) {
      const std::int32_t live = (length + block_tokens - 1) / block_tokens;
      max_blocks = std::max(max_blocks, live + 1);
      blocks += live;
      for (std::int32_t i = 0; i < (two_dimensional ? next_n : 1); ++i)
        contexts.push_back(two_dimensional ? std::max(0, length - 2 * (next_n - 1 - i)) : length);
    }
    blocks += 2;
    const RandomStream random(seed, "small mqa");
    std::vector<std::int32_t> order(blocks);
    for (std::int32_t i = 0; i < blocks; ++i) order[i] = i;
    for (std::int32_t i = blocks - 1; i > 0; --i) std::swap(order[i], order[random.child(0).below(i, i + 1)]);
    table.assign(static_cast<std::size_t>(batch) * (max_blocks + 3), 0);
    for (std::size_t i = 0; i < table.size(); ++i)
      table[i] = i % 2 ? -1 : std::numeric_limits<std::int32_t>::max();
    cache.assign(blocks * block_stride, 0x7f);
    q.resize(static_cast<std::size_t>(batch) * next_n * heads * dims);
    weights.resize(static_cast<std::size_t>(batch) * next_n * heads);
    for (std::size_t i = 0; i < q.size(); ++i)
      q[i] = E4M3::encode(static_cast<double>(random.child(1).normal(i)));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = random.child(2).normal(i);
    std::int32_t next = 0;
    std::uint64_t drawn = 0;
    for (std::int32_t b = 0; b < batch; ++b)
      for (std::int32_t t = 0; t < lengths[b]; ++t) {
        if (t % block_tokens == 0) table[b * (max_blocks + 3) + t / block_tokens] = order[next++];
        const std::int64_t block = table[b * (max_blocks + 3) + t / block_tokens];
        std::uint8_t* at = cache.data() + block * block_stride;
        for (std::int32_t d = 0; d < dims; ++d)
          at[(t % block_tokens) * dims + d] =
              E4M3::encode(static_cast<double>(random.child(3).normal(drawn++) * 4));
        const float scale = 0.25f + random.child(4).uniform(drawn);
        std::memcpy(at + block_tokens * dims + (t % block_tokens) * 4, &scale, 4);
      }
  }

  PagedMqaLogitsCase view() const {
    PagedMqaLogitsCase c;
    c.q = compact_view<4>(q.data(), ElementType::kE4M3, {batch, next_n, heads, dims});
    c.weights = compact_view<2>(weights.data(), ElementType::kFp32, {batch * next_n, heads});
    c.cache = {cache.data(), {block_tokens, dims, block_stride}, blocks};
    c.table = {table.data(), max_blocks + 3, max_blocks};
    c.contexts = {contexts.data(), batch, two_dimensional ? next_n : 0, two_dimensional ? next_n : 1, 1};
    return c;
  }
  std::int32_t limit(std::int32_t b, std::int32_t i) const {
    return two_dimensional ? contexts[b * next_n + i] : std::max(0, contexts[b] - next_n + i + 1);
  }
  // The logit and the size of the sum it came from (for the tolerance).
  long double naive(std::int32_t b, std::int32_t i, std::int32_t t, long double* size = nullptr) const {
    const std::int64_t block = table[b * (max_blocks + 3) + t / block_tokens];
    const std::uint8_t* at = cache.data() + block * block_stride;
    float scale;
    std::memcpy(&scale, at + block_tokens * dims + (t % block_tokens) * 4, 4);
    long double sum = 0, total = 0;
    for (std::int32_t h = 0; h < heads; ++h) {
      const std::size_t row = (static_cast<std::size_t>(b) * next_n + i) * heads + h;
      long double dot = 0;
      for (std::int32_t d = 0; d < dims; ++d)
        dot += static_cast<long double>(E4M3::decode(q[row * dims + d])) *
               static_cast<long double>(E4M3::decode(at[(t % block_tokens) * dims + d]));
      if (dot > 0) sum += static_cast<long double>(weights[row]) * dot;
      if (dot > 0) total += std::fabs(static_cast<long double>(weights[row]) * dot);
    }
    if (size != nullptr) *size = total * static_cast<long double>(scale);
    return sum * static_cast<long double>(scale);
  }
};

// Owns a paged attention case of any element type.
struct SmallAttention {
  std::int32_t query_heads, kv_heads, dims, value_dims, block_tokens;
  ElementType type;
  PagedOrder order;
  std::vector<std::int32_t> lengths, q_begin;
  std::vector<std::int32_t> key_table, value_table;
  std::int32_t max_blocks = 1, blocks = 0;
  std::vector<std::byte> q, keys, values;
  std::vector<float> key_scales, value_scales;  // per (block, slot, head), empty = none
  PagedLayout key_layout, value_layout;
  bool causal = false;
  std::int32_t window_tokens = 0;
  double soft_cap = 0, softmax_scale = 0.3;

  static void put(std::byte* at, ElementType type, double value) {
    const auto write = [&](auto code) { std::memcpy(at, &code, sizeof code); };
    switch (type) {
      case ElementType::kFp32: return write(static_cast<float>(value));
      case ElementType::kBf16: return write(Bf16::encode(value));
      case ElementType::kFp16: return write(Fp16::encode(value));
      case ElementType::kE4M3: return write(E4M3::encode(value));
      case ElementType::kE5M2: return write(E5M2::encode(value));
    }
  }
  static double get(const std::byte* at, ElementType type) {
    const auto read = [&](auto code) {
      std::memcpy(&code, at, sizeof code);
      return code;
    };
    switch (type) {
      case ElementType::kFp32: return static_cast<double>(read(float{}));
      case ElementType::kBf16: return Bf16::decode(read(Bf16::Code{}));
      case ElementType::kFp16: return Fp16::decode(read(Fp16::Code{}));
      case ElementType::kE4M3: return E4M3::decode(read(E4M3::Code{}));
      case ElementType::kE5M2: return E5M2::decode(read(E5M2::Code{}));
    }
    return 0;
  }

  SmallAttention(std::vector<std::int32_t> lengths_, std::vector<std::int32_t> queries,
                 std::int32_t query_heads_, std::int32_t kv_heads_, std::int32_t dims_,
                 std::int32_t value_dims_, std::int32_t block_tokens_, ElementType type_, PagedOrder order_,
                 bool combined, std::uint64_t seed)
      : query_heads(query_heads_),
        kv_heads(kv_heads_),
        dims(dims_),
        value_dims(value_dims_),
        block_tokens(block_tokens_),
        type(type_),
        order(order_),
        lengths(std::move(lengths_)) {
    const std::int32_t batch = static_cast<std::int32_t>(lengths.size());
    q_begin.push_back(0);
    for (const std::int32_t n : queries) q_begin.push_back(q_begin.back() + n);
    for (const std::int32_t length : lengths) {
      max_blocks = std::max(max_blocks, (length + block_tokens - 1) / block_tokens);
      blocks += (length + block_tokens - 1) / block_tokens;
    }
    blocks += 2;
    const int bytes = bytes_of(type);
    key_layout = make_paged_layout(order, block_tokens, kv_heads, dims, bytes);
    value_layout = make_paged_layout(order, block_tokens, kv_heads, value_dims, bytes);
    key_layout.block_stride += 8 * bytes;  // a strided view of a larger pool
    const RandomStream random(seed, "small attention");
    q.resize(static_cast<std::size_t>(q_begin.back()) * query_heads * dims * bytes);
    for (std::size_t i = 0; i < q.size() / bytes; ++i)
      put(&q[i * bytes], type, static_cast<double>(random.child(0).normal(i)));
    // Poison everywhere first: 0xff is NaN in every one of the types.
    keys.assign(blocks * key_layout.block_stride, std::byte{0xff});
    values.assign(blocks * value_layout.block_stride, std::byte{0xff});
    std::vector<std::int32_t> key_order(blocks), value_order(blocks);
    for (std::int32_t i = 0; i < blocks; ++i) key_order[i] = value_order[i] = i;
    for (std::int32_t i = blocks - 1; i > 0; --i) {
      std::swap(key_order[i], key_order[random.child(1).below(i, i + 1)]);
      std::swap(value_order[i], value_order[random.child(combined ? 2 : 1).below(i, i + 1)]);
    }
    key_table.assign(static_cast<std::size_t>(batch) * max_blocks, std::numeric_limits<std::int32_t>::max());
    value_table.assign(key_table.size(), -1);
    std::int32_t next = 0;
    std::uint64_t drawn = 0;
    for (std::int32_t b = 0; b < batch; ++b)
      for (std::int32_t t = 0; t < lengths[b]; ++t) {
        const std::size_t entry = static_cast<std::size_t>(b) * max_blocks + t / block_tokens;
        if (t % block_tokens == 0) {
          key_table[entry] = key_order[next];
          value_table[entry] = value_order[next++];
        }
        for (std::int32_t h = 0; h < kv_heads; ++h) {
          for (std::int32_t d = 0; d < dims; ++d)
            put(&keys[key_layout.offset(key_table[entry], t % block_tokens, h, d)], type,
                static_cast<double>(random.child(3).normal(drawn++)));
          for (std::int32_t d = 0; d < value_dims; ++d)
            put(&values[value_layout.offset(value_table[entry], t % block_tokens, h, d)], type,
                static_cast<double>(random.child(4).normal(drawn++)));
        }
      }
  }
  void add_scales(std::uint64_t seed) {
    const RandomStream random(seed, "scales");
    key_scales.resize(static_cast<std::size_t>(blocks) * block_tokens * kv_heads);
    value_scales.resize(key_scales.size());
    for (std::size_t i = 0; i < key_scales.size(); ++i) {
      key_scales[i] = 0.5f + random.uniform(2 * i);
      value_scales[i] = 0.5f + random.uniform(2 * i + 1);
    }
  }
  PagedAttentionCase view() const {
    PagedAttentionCase c;
    c.q = compact_view<3>(q.data(), type, {q_begin.back(), query_heads, dims});
    c.q_begin = {q_begin.data(), static_cast<std::int64_t>(q_begin.size()), 1};
    c.contexts = {lengths.data(), static_cast<std::int64_t>(lengths.size()), 1};
    c.keys = {keys.data(), type, key_layout, blocks, {key_table.data(), max_blocks, max_blocks}, {}};
    c.values = {values.data(), type, value_layout, blocks, {value_table.data(), max_blocks, max_blocks}, {}};
    if (!key_scales.empty()) {
      c.keys.scales = {key_scales.data(), block_tokens * kv_heads, kv_heads, 1};
      c.values.scales = {value_scales.data(), block_tokens * kv_heads, kv_heads, 1};
    }
    c.softmax_scale = softmax_scale;
    c.causal = causal;
    c.window_tokens = window_tokens;
    c.soft_cap = soft_cap;
    return c;
  }
  // out[value_dims] and the lse of one query head, by two passes over the tokens.
  long double naive(std::int32_t sequence, std::int32_t query, std::int32_t head,
                    std::vector<long double>& out) const {
    const std::int32_t length = lengths[sequence], n = q_begin[sequence + 1] - q_begin[sequence];
    const std::int32_t position = length - n + (query - q_begin[sequence]);
    const std::int32_t kv_head = head / (query_heads / kv_heads);
    const int bytes = bytes_of(type);
    std::vector<long double> scores(length, -static_cast<long double>(kInfinity));
    long double maximum = -static_cast<long double>(kInfinity);
    const auto scale = [&](const std::vector<float>& scales, std::int32_t block, std::int32_t slot) {
      return scales.empty()
                 ? 1.0L
                 : static_cast<long double>(scales[(block * block_tokens + slot) * kv_heads + kv_head]);
    };
    for (std::int32_t t = 0; t < length; ++t) {
      if (causal && t > position) continue;
      if (window_tokens > 0 && t <= position - window_tokens) continue;
      const std::int32_t block = key_table[sequence * max_blocks + t / block_tokens], slot = t % block_tokens;
      long double dot = 0;
      for (std::int32_t d = 0; d < dims; ++d)
        dot += static_cast<long double>(get(
                   &q[((static_cast<std::size_t>(query) * query_heads + head) * dims + d) * bytes], type)) *
               static_cast<long double>(get(&keys[key_layout.offset(block, slot, kv_head, d)], type));
      long double score = dot * scale(key_scales, block, slot) * static_cast<long double>(softmax_scale);
      if (soft_cap > 0)
        score = static_cast<long double>(soft_cap) * std::tanh(score / static_cast<long double>(soft_cap));
      scores[t] = score;
      maximum = std::max(maximum, score);
    }
    long double total = 0;
    out.assign(value_dims, 0);
    for (std::int32_t t = 0; t < length; ++t) {
      if (scores[t] == -static_cast<long double>(kInfinity)) continue;
      const std::int32_t block = value_table[sequence * max_blocks + t / block_tokens],
                         slot = t % block_tokens;
      const long double p = std::exp(scores[t] - maximum);
      total += p;
      for (std::int32_t d = 0; d < value_dims; ++d)
        out[d] += p * scale(value_scales, block, slot) *
                  static_cast<long double>(get(&values[value_layout.offset(block, slot, kv_head, d)], type));
    }
    if (total == 0) return -static_cast<long double>(kInfinity);
    for (long double& x : out) x /= total;
    return maximum + std::log(total);
  }
};

}  // namespace assay::testing
