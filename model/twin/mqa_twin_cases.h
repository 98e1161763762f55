// For the twin's tests: the reduction spelled out a second time, from docs/twin.md, and random paged cases
// that own their memory: strides with gaps, dead table entries, NaN in every byte that nobody may read.
#pragma once

#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "model/core/logits_reduction.h"
#include "model/core/philox.h"
#include "model/twin/mqa_logits_twin.h"

namespace assay::twin {

// ---- The reduction again, from its description.
struct Reading {  // what a kernel could do instead; the default is the declared order
  bool fused = true;
  bool scale_first = LogitsReduction::kScaling == LogitScaling::kLaneTotals;
  bool neighbours_first = true;  // (t0 + t1) + (t2 + t3), else (t0 + t2) + (t1 + t3)
  bool relu_keeps_nan = false;
};

inline float naive_logit(const std::vector<float>& scores, const float* weights, float scale,
                         const Reading& reading = {}) {
  const int heads = static_cast<int>(scores.size()), groups = heads / 8;
  float lanes[4];
  for (int q = 0; q < 4; ++q) {
    std::vector<float> level;
    for (int c = 0; c < LogitsReduction::kChains; ++c) {
      bool begun = false;
      float chain = 0;
      for (int j = c / 2; j < groups; j += LogitsReduction::kChains / 2) {
        const int h = 8 * j + 2 * q + c % 2;
        float s = scores[static_cast<std::size_t>(h)];
        if (!(s > 0) && !(reading.relu_keeps_nan && std::isnan(s))) s = 0;
        const float w = weights[h];
        chain = !begun ? s * w : reading.fused ? std::fmaf(s, w, chain) : chain + s * w;
        begun = true;
      }
      if (begun) level.push_back(chain);
    }
    while (level.size() > 1) {
      std::vector<float> next;
      for (std::size_t i = 0; i + 1 < level.size(); i += 2) next.push_back(level[i] + level[i + 1]);
      if (level.size() % 2) next.push_back(level.back());
      level = next;
    }
    lanes[q] = reading.scale_first ? level[0] * scale : level[0];
  }
  const float total = reading.neighbours_first ? (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
                                               : (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  return reading.scale_first ? total : total * scale;
}

// ---- A case that owns its memory.
struct PagedCase {
  std::int64_t batch, next_n;
  int heads, dims;
  std::vector<std::uint8_t> q, cache;
  std::vector<float> weights;
  std::vector<std::int32_t> table, contexts;
  PagedMqaLogitsCase view;
  std::int64_t columns = 0;

  PagedCase(const PagedCase&) = delete;
  PagedCase() = default;
  PagedCase(PagedCase&&) = default;
};

struct PagedShape {
  std::int64_t batch = 3, next_n = 1;
  int heads = 64, dims = 128;
  std::int32_t block_tokens = 64;
  std::int32_t largest_context = 300;
  bool two_dimensional = false;
  bool specials = false;
};

inline std::uint8_t finite_code(std::uint32_t drawn) {
  const auto code = static_cast<std::uint8_t>(drawn);
  return E4M3::is_nan(code) ? static_cast<std::uint8_t>(code ^ 1) : code;
}

inline float special_float(std::uint32_t drawn, float otherwise) {
  switch (drawn % 40) {
    case 0: return 0.0f;
    case 1: return -0.0f;
    case 2: return std::numeric_limits<float>::infinity();
    case 3: return -std::numeric_limits<float>::infinity();
    case 4: return std::numeric_limits<float>::quiet_NaN();
    case 5: return bit_cast<float>(0xff800001u);  // a signalling NaN
    case 6: return std::numeric_limits<float>::denorm_min();
    case 7: return -std::numeric_limits<float>::max();
    case 8: return 1e-40f;
    default: return otherwise;
  }
}

inline std::unique_ptr<PagedCase> make_paged(const PagedShape& shape, std::uint64_t seed) {
  const RandomStream random(seed, "paged twin case");
  auto made = std::make_unique<PagedCase>();
  PagedCase& c = *made;
  c.batch = shape.batch, c.next_n = shape.next_n, c.heads = shape.heads, c.dims = shape.dims;
  const std::int64_t rows = c.batch * c.next_n;
  const std::int32_t max_blocks =
      static_cast<std::int32_t>(ceil_div(shape.largest_context, shape.block_tokens)) + 2;
  const std::int64_t live = c.batch * max_blocks, blocks = live + 5;

  // q inside wider rows, keys in blocks with gaps; everything between holds NaN.
  const std::int64_t head_stride = c.dims + 16;
  c.q.assign(static_cast<std::size_t>(rows * c.heads * head_stride), 0x7f);
  const RandomStream of_q = random.child(1), of_keys = random.child(2), of_scales = random.child(3);
  for (std::int64_t r = 0; r < rows * c.heads; ++r) {
    for (int d = 0; d < c.dims; ++d) {
      const auto drawn = of_q.u32(static_cast<std::uint64_t>(r * c.dims + d));
      const bool any = shape.specials && (drawn >> 8) % 2000 == 0;
      c.q[static_cast<std::size_t>(r * head_stride + d)] = any ? 0xff : finite_code(drawn);
    }
  }
  FusedIndexLayout layout = make_fused_index_layout(shape.block_tokens, c.dims);
  layout.block_stride += 64;
  c.cache.assign(static_cast<std::size_t>(blocks * layout.block_stride), 0xff);
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (std::int32_t slot = 0; slot < shape.block_tokens; ++slot) {
      const auto token = static_cast<std::uint64_t>(block * shape.block_tokens + slot);
      for (int d = 0; d < c.dims; ++d) {
        const auto drawn = of_keys.u32(token * 128 + static_cast<std::uint64_t>(d));
        const bool any = shape.specials && (drawn >> 8) % 2000 == 0;
        c.cache[static_cast<std::size_t>(layout.key_offset(block, slot, d))] =
            any ? 0x7f : finite_code(drawn);
      }
      float scale =
          std::ldexp(1 + of_scales.uniform(token * 2), static_cast<int>(of_scales.below(token, 24)) - 12);
      if (shape.specials) scale = special_float(of_scales.u32(token * 2 + 1), scale);
      std::memcpy(c.cache.data() + layout.scale_offset(block, slot), &scale, 4);
    }
  }
  const RandomStream of_weights = random.child(4);
  const std::int64_t weight_stride = c.heads + 3;
  c.weights.assign(static_cast<std::size_t>(rows * weight_stride), std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int h = 0; h < c.heads; ++h) {
      const auto index = static_cast<std::uint64_t>(r * c.heads + h);
      float weight = of_weights.normal(index) * 0.3f;
      // Specials in every fourth row only: one of them decides a whole row.
      if (shape.specials && r % 4 == 3) weight = special_float(of_weights.u32(index), weight);
      c.weights[static_cast<std::size_t>(r * weight_stride + h)] = weight;
    }
  }

  const RandomStream of_tables = random.child(5);
  const std::int64_t table_stride = max_blocks + 1;
  c.table.assign(static_cast<std::size_t>(c.batch * table_stride), -1);
  for (std::int64_t b = 0; b < c.batch; ++b) {
    const auto length = static_cast<std::int32_t>(of_tables.below(
        static_cast<std::uint64_t>(1000 + b), static_cast<std::uint64_t>(shape.largest_context) + 1));
    for (std::int32_t j = 0; j < max_blocks; ++j) {
      const std::int64_t index = b * max_blocks + j;
      const bool dead = j >= ceil_div(length, shape.block_tokens);
      c.table[static_cast<std::size_t>(b * table_stride + j)] =
          dead ? (j % 2 ? INT_MAX : -1) : static_cast<std::int32_t>((index * 7 + 3) % blocks);
    }
    if (!shape.two_dimensional) {
      c.contexts.push_back(length);
    } else {
      for (std::int64_t i = 0; i + 1 < c.next_n; ++i) {
        c.contexts.push_back(static_cast<std::int32_t>(of_tables.below(
            static_cast<std::uint64_t>(5000 + b * 8 + i), static_cast<std::uint64_t>(length) + 1)));
      }
      c.contexts.push_back(length);
    }
    c.columns = std::max<std::int64_t>(c.columns, length);
  }
  c.columns += 9;

  c.view.q = {c.q.data(),
              ElementType::kE4M3,
              {c.batch, c.next_n, c.heads, c.dims},
              {c.next_n * c.heads * head_stride, c.heads * head_stride, head_stride, 1}};
  c.view.weights = {c.weights.data(), ElementType::kFp32, {rows, c.heads}, {weight_stride, 1}};
  c.view.cache = {c.cache.data(), layout, blocks};
  c.view.table = {c.table.data(), table_stride, max_blocks};
  const auto columns = static_cast<std::int32_t>(shape.two_dimensional ? c.next_n : 0);
  c.view.contexts = {c.contexts.data(), c.batch, columns, columns == 0 ? 1 : columns, 1};
  return made;
}

// The limit of a row, from contracts section 3.
inline std::int64_t limit_of(const PagedCase& c, std::int64_t b, std::int64_t i) {
  const ContextView& contexts = c.view.contexts;
  return contexts.columns ? contexts.at(b, static_cast<std::int32_t>(i))
                          : std::max<std::int64_t>(0, std::int64_t{contexts.at(b, 0)} - c.next_n + i + 1);
}

// bf16, rounded from fp32 by the format's own encoder.
inline std::uint32_t stored_bits(float logit, ElementType type) {
  if (type == ElementType::kBf16) return Bf16::encode(static_cast<double>(logit), Overflow::kInfinity);
  return std::isnan(logit) ? 0x7fffffffu : bit_cast<std::uint32_t>(logit);
}

inline std::uint32_t read_bits(const std::vector<std::uint32_t>& memory, std::int64_t element,
                               ElementType type) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, reinterpret_cast<const std::byte*>(memory.data()) + element * bytes_of(type),
              static_cast<std::size_t>(bytes_of(type)));
  return bits;
}

}  // namespace assay::twin
