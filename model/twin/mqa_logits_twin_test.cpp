// The twin against the text of docs/twin.md done naively (one logit at a time, slow dot products, the
// reduction spelled out), on random cases with strides, gaps, dead table entries and specials; against
// the golden model where the answer is exact; and against the kernels' own epilogue functions.
#include "model/twin/mqa_logits_twin.h"

#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "model/core/check.h"
#include "model/core/logits_reduction.h"
#include "model/core/philox.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {
namespace {

constexpr std::uint32_t kPoison = 0xa5a5a5a5u;

// ---- The reduction again, from its description.
struct Reading {  // what a kernel could do instead; the default is the declared order
  bool fused = true;
  bool scale_first = LogitsReduction::kScaling == LogitScaling::kLaneTotals;
  bool neighbours_first = true;  // (t0 + t1) + (t2 + t3), else (t0 + t2) + (t1 + t3)
  bool relu_keeps_nan = false;
};

float naive_logit(const std::vector<float>& scores, const float* weights, float scale,
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

std::uint8_t finite_code(std::uint32_t drawn) {
  const auto code = static_cast<std::uint8_t>(drawn);
  return E4M3::is_nan(code) ? static_cast<std::uint8_t>(code ^ 1) : code;
}

float special_float(std::uint32_t drawn, float otherwise) {
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

std::unique_ptr<PagedCase> make_paged(const PagedShape& shape, std::uint64_t seed) {
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
std::int64_t limit_of(const PagedCase& c, std::int64_t b, std::int64_t i) {
  const ContextView& contexts = c.view.contexts;
  return contexts.columns ? contexts.at(b, static_cast<std::int32_t>(i))
                          : std::max<std::int64_t>(0, std::int64_t{contexts.at(b, 0)} - c.next_n + i + 1);
}

// bf16, rounded from fp32 by the format's own encoder.
std::uint32_t stored_bits(float logit, ElementType type) {
  if (type == ElementType::kBf16) return Bf16::encode(static_cast<double>(logit), Overflow::kInfinity);
  return std::isnan(logit) ? 0x7fffffffu : bit_cast<std::uint32_t>(logit);
}

std::uint32_t read_bits(const std::vector<std::uint32_t>& memory, std::int64_t element, ElementType type) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, reinterpret_cast<const std::byte*>(memory.data()) + element * bytes_of(type),
              static_cast<std::size_t>(bytes_of(type)));
  return bits;
}

// Every element of the output as it must be, poison included.
std::vector<std::uint32_t> expected_paged(const PagedCase& c, ElementType type, std::int64_t row_stride,
                                          bool clean, const Reading& reading = {}) {
  const std::uint32_t poison = type == ElementType::kBf16 ? kPoison & 0xffffu : kPoison;
  std::vector<std::uint32_t> all(static_cast<std::size_t>(c.batch * c.next_n * row_stride), poison);
  const FusedIndexLayout& layout = c.view.cache.layout;
  for (std::int64_t b = 0; b < c.batch; ++b) {
    for (std::int64_t i = 0; i < c.next_n; ++i) {
      const std::int64_t row = b * c.next_n + i, limit = limit_of(c, b, i);
      for (std::int64_t t = 0; t < c.columns; ++t) {
        std::uint32_t& target = all[static_cast<std::size_t>(row * row_stride + t)];
        if (t >= limit) {
          if (clean) target = stored_bits(-HUGE_VALF, type);
          continue;
        }
        const std::int64_t slot = slot_of(c.view.table, b, t, layout.block_tokens);
        const std::int64_t block = slot / layout.block_tokens;
        const auto place = static_cast<std::int32_t>(slot % layout.block_tokens);
        const std::uint8_t* key = c.cache.data() + layout.key_offset(block, place);
        float scale;
        std::memcpy(&scale, c.cache.data() + layout.scale_offset(block, place), 4);
        std::vector<float> scores;
        for (int h = 0; h < c.heads; ++h) {
          const auto* query = reinterpret_cast<const std::uint8_t*>(c.view.q.address({b, i, h, 0}));
          scores.push_back(tensor_core_dot<E4M3>(query, key, c.dims));
        }
        const auto* weights = reinterpret_cast<const float*>(c.view.weights.address({row, 0}));
        target = stored_bits(naive_logit(scores, weights, scale, reading), type);
      }
    }
  }
  return all;
}

struct Output {
  std::vector<std::uint32_t> memory;
  LogitsTarget target;
  Output(std::int64_t rows, std::int64_t columns, std::int64_t row_stride, ElementType type)
      : memory(static_cast<std::size_t>((rows * row_stride * bytes_of(type) + 3) / 4 + 1), kPoison),
        target{memory.data(), type, rows, columns, row_stride} {}
};

std::int64_t differences(const Output& output, const std::vector<std::uint32_t>& expected,
                         std::int64_t* first) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (read_bits(output.memory, static_cast<std::int64_t>(i), output.target.type) == expected[i]) continue;
    if (count++ == 0) *first = static_cast<std::int64_t>(i);
  }
  return count;
}

void check_paged(const PagedShape& shape, std::uint64_t seed) {
  const auto made = make_paged(shape, seed);
  const PagedCase& c = *made;
  for (const ElementType type : {ElementType::kFp32, ElementType::kBf16}) {
    const bool clean = (seed + (type == ElementType::kBf16)) % 2 == 0;
    const std::int64_t row_stride = c.columns + 7;
    const auto expected = expected_paged(c, type, row_stride, clean);
    for (const ScorePath path : {ScorePath::kPortable, ScorePath::kAvx2, ScorePath::kAvx512}) {
      if (!is_supported(path)) continue;
      Output output(c.batch * c.next_n, c.columns, row_stride, type);
      predict_paged_mqa_logits(c.view, output.target, {clean, false}, {1 + static_cast<int>(seed % 3)}, path);
      std::int64_t at = 0;
      ASSERT_EQ(differences(output, expected, &at), 0)
          << name_of(type) << " " << name_of(path) << " seed " << seed << " H " << c.heads << " D " << c.dims
          << " row " << at / row_stride << " column " << at % row_stride << ": got " << std::hex
          << read_bits(output.memory, at, type) << ", expected " << expected[static_cast<std::size_t>(at)];
    }
  }
}

TEST(MqaLogitsTwin, EveryShapeAndOutputTypeEqualsTheNaiveReading) {
  std::uint64_t seed = 0;
  for (const int dims : {32, 64, 96, 128}) {
    for (const int heads : {8, 16, 24, 32, 40, 64, 128}) {
      PagedShape shape;
      shape.dims = dims, shape.heads = heads;
      shape.next_n = 1 + static_cast<std::int64_t>(seed % 4);
      shape.batch = 2;
      shape.block_tokens = std::array{64, 32, 128, 16, 1}[seed % 5];
      shape.largest_context = 90 + static_cast<std::int32_t>(seed % 7) * 11;
      shape.two_dimensional = seed % 3 == 1;
      check_paged(shape, ++seed);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(MqaLogitsTwin, SpecialsEverywhereEqualTheNaiveReading) {
  for (std::uint64_t seed = 100; seed < 116; ++seed) {
    PagedShape shape;
    shape.specials = true;
    shape.batch = 4;
    shape.next_n = 1 + static_cast<std::int64_t>(seed % 2);
    shape.dims = std::array{32, 64, 128}[seed % 3];
    shape.heads = seed % 2 ? 32 : 64;
    shape.largest_context = 140;
    check_paged(shape, seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(MqaLogitsTwin, AnEmptyBatchAndEmptyRowsAreLegal) {
  PagedShape shape;
  shape.largest_context = 0;
  check_paged(shape, 7);
  shape.batch = 0;
  check_paged(shape, 8);
  shape.batch = 2, shape.next_n = 4, shape.largest_context = 3;  // rows whose limit would be negative
  for (std::uint64_t seed = 0; seed < 6; ++seed) check_paged(shape, seed);
}

// Canaries: other orders of the same operations give other bits.
TEST(MqaLogitsTwinCanaries, EveryOtherOrderIsToldApart) {
  constexpr bool kScaleFirst = Reading{}.scale_first;
  const Reading readings[] = {{false, kScaleFirst, true, false},
                              {true, !kScaleFirst, true, false},
                              {true, kScaleFirst, false, false}};
  PagedShape shape;
  shape.largest_context = 200;
  const auto made = make_paged(shape, 42);
  const auto truth = expected_paged(*made, ElementType::kFp32, made->columns, false);
  for (const Reading& reading : readings) {
    const auto other = expected_paged(*made, ElementType::kFp32, made->columns, false, reading);
    std::size_t differing = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) differing += truth[i] != other[i];
    EXPECT_GT(differing, truth.size() / 20) << &reading - readings;
  }
  // NaN keys: a relu that keeps NaN differs.
  shape.specials = true;
  const auto special = make_paged(shape, 43);
  EXPECT_NE(expected_paged(*special, ElementType::kFp32, special->columns, false),
            expected_paged(*special, ElementType::kFp32, special->columns, false,
                           {true, Reading{}.scale_first, true, true}));
}

// Small integers: every order is exact, so the twin must agree with the golden model to the last bit.
TEST(MqaLogitsTwin, EqualsTheGoldenModelWhereTheAnswerIsExact) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    PagedShape shape;
    shape.next_n = 1 + static_cast<std::int64_t>(seed % 2);
    shape.heads = seed % 2 ? 32 : 64;
    shape.dims = std::array{32, 64, 128}[seed % 3];
    const auto made = make_paged(shape, seed);
    PagedCase& c = *made;
    const RandomStream random(seed, "small integers");
    const std::uint8_t digits[] = {0x00, 0x38, 0xb8, 0x40};  // 0, 1, -1, 2
    for (std::size_t i = 0; i < c.q.size(); ++i) c.q[i] = digits[random.u32(i) % 4];
    const FusedIndexLayout& layout = c.view.cache.layout;
    for (std::int64_t block = 0; block < c.view.cache.blocks; ++block) {
      for (std::int64_t at = 0; at < layout.key_bytes(); ++at) {
        const std::int64_t offset = block * layout.block_stride + at;
        c.cache[static_cast<std::size_t>(offset)] =
            digits[random.u32(static_cast<std::uint64_t>(offset) + 1000000) % 4];
      }
      for (std::int32_t slot = 0; slot < layout.block_tokens; ++slot) {
        const float scale = slot % 2 ? 0.5f : 2.0f;
        std::memcpy(c.cache.data() + layout.scale_offset(block, slot), &scale, 4);
      }
    }
    for (std::size_t i = 0; i < c.weights.size(); ++i) {
      c.weights[i] = static_cast<float>(static_cast<int>(random.u32(i + 5000000) % 7) - 3);
    }
    const std::int64_t rows = c.batch * c.next_n;
    std::vector<double> golden(static_cast<std::size_t>(rows * c.columns));
    paged_mqa_logits(c.view, compact_result<2>(golden.data(), {rows, c.columns}), {true, false}, {1});
    Output output(rows, c.columns, c.columns, ElementType::kFp32);
    predict_paged_mqa_logits(c.view, output.target, {true, false}, {1});
    for (std::size_t i = 0; i < golden.size(); ++i) {
      const float got = bit_cast<float>(output.memory[i]);
      ASSERT_EQ(static_cast<double>(got), golden[i]) << "seed " << seed << " element " << i;
    }
  }
}

// The prefill kernel is the same arithmetic over other addresses: pack a case both ways.
TEST(MqaLogitsTwin, PrefillEqualsTheNaiveReading) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const RandomStream random(seed, "prefill twin");
    const std::int64_t m = 37, n = 1 + static_cast<std::int64_t>(random.below(0, 900));
    const int heads = std::array{8, 32, 64}[seed % 3], dims = std::array{128, 64, 32}[seed % 3];
    std::vector<std::uint8_t> q, k;
    for (std::int64_t i = 0; i < m * heads * dims; ++i)
      q.push_back(finite_code(random.child(1).u32(static_cast<std::uint64_t>(i))));
    for (std::int64_t i = 0; i < n * dims; ++i)
      k.push_back(finite_code(random.child(2).u32(static_cast<std::uint64_t>(i))));
    std::vector<float> scales, weights;
    for (std::int64_t i = 0; i < n; ++i)
      scales.push_back(special_float(random.child(3).u32(static_cast<std::uint64_t>(i)), 0.37f));
    for (std::int64_t i = 0; i < m * heads; ++i)
      weights.push_back(random.child(4).normal(static_cast<std::uint64_t>(i)));
    std::vector<std::int32_t> starts, ends;
    std::int64_t widest = 0;
    for (std::int64_t r = 0; r < m; ++r) {
      starts.push_back(static_cast<std::int32_t>(
          random.child(5).below(static_cast<std::uint64_t>(r), static_cast<std::uint64_t>(n) + 1)));
      ends.push_back(static_cast<std::int32_t>(
          random.child(6).below(static_cast<std::uint64_t>(r), static_cast<std::uint64_t>(n) + 1)));
      widest = std::max<std::int64_t>(widest, ends.back() - starts.back());
    }
    MqaLogitsCase problem;
    problem.q = compact_view<3>(q.data(), ElementType::kE4M3, {m, heads, dims});
    problem.keys = compact_view<2>(k.data(), ElementType::kE4M3, {n, dims});
    problem.key_scales = compact_view<1>(scales.data(), ElementType::kFp32, {n});
    problem.weights = compact_view<2>(weights.data(), ElementType::kFp32, {m, heads});
    problem.starts = {starts.data(), m, 1};
    problem.ends = {ends.data(), m, 1};
    for (const bool compressed : {false, true}) {
      for (const bool clean : {false, true}) {
        const ElementType type = (seed + clean) % 2 ? ElementType::kFp32 : ElementType::kBf16;
        const std::int64_t columns = compressed ? widest + 2 : n, stride = columns + 3;
        const std::uint32_t poison = type == ElementType::kBf16 ? kPoison & 0xffffu : kPoison;
        std::vector<std::uint32_t> expected(static_cast<std::size_t>(m * stride), poison);
        for (std::int64_t r = 0; r < m; ++r) {
          std::uint32_t* row = expected.data() + r * stride;
          if (clean) std::fill(row, row + columns, stored_bits(-HUGE_VALF, type));
          for (std::int64_t t = starts[static_cast<std::size_t>(r)]; t < ends[static_cast<std::size_t>(r)];
               ++t) {
            std::vector<float> scores;
            for (int h = 0; h < heads; ++h) {
              scores.push_back(
                  tensor_core_dot<E4M3>(q.data() + (r * heads + h) * dims, k.data() + t * dims, dims));
            }
            row[compressed ? t - starts[static_cast<std::size_t>(r)] : t] = stored_bits(
                naive_logit(scores, weights.data() + r * heads, scales[static_cast<std::size_t>(t)]), type);
          }
        }
        Output output(m, columns, stride, type);
        predict_mqa_logits(problem, output.target, {clean, compressed}, {2});
        std::int64_t at = 0;
        ASSERT_EQ(differences(output, expected, &at), 0)
            << "seed " << seed << " compressed " << compressed << " row " << at / stride << " column "
            << at % stride;
      }
    }
  }
}

// What a kernel compiles (lane_total over registers, quad_logit) is what the twin computes.
template <int kHeads>
void check_kernel_epilogue() {
  const RandomStream random(static_cast<std::uint64_t>(kHeads), "epilogue");
  std::vector<float> scores, weights, scales;
  for (int i = 0; i < kHeads * kTileTokens; ++i)
    scores.push_back(random.normal(static_cast<std::uint64_t>(i)) * 100);
  for (int i = 0; i < kHeads; ++i)
    weights.push_back(random.normal(static_cast<std::uint64_t>(i + 100000)) / 3);
  for (int i = 0; i < kTileTokens; ++i)
    scales.push_back(random.uniform(static_cast<std::uint64_t>(i + 200000)));
  float logits[kTileTokens];
  reduce_tile(scores.data(), weights.data(), scales.data(), kHeads, logits);
  for (int t = 0; t < kTileTokens; ++t) {
    float totals[LogitsReduction::kLanes];
    for (int lane = 0; lane < LogitsReduction::kLanes; ++lane) {
      float held[kHeads / 4], own[kHeads / 4];
      for (int i = 0; i < kHeads / 4; ++i) {
        const int head = LogitsReduction::head_of_accumulator(lane, i);
        held[i] = scores[static_cast<std::size_t>(head * kTileTokens + t)];
        own[i] = weights[static_cast<std::size_t>(head)];
      }
      totals[lane] = lane_total<kHeads>(held, own);
    }
    ASSERT_EQ(bit_cast<std::uint32_t>(quad_logit(totals, scales[static_cast<std::size_t>(t)])),
              bit_cast<std::uint32_t>(logits[t]))
        << "H " << kHeads << " token " << t;
  }
}

TEST(LogitsReductionOrder, TheKernelsEpilogueIsTheTwins) {
  check_kernel_epilogue<8>();
  check_kernel_epilogue<16>();
  check_kernel_epilogue<24>();
  check_kernel_epilogue<32>();
  check_kernel_epilogue<40>();
  check_kernel_epilogue<64>();
  check_kernel_epilogue<128>();
}

TEST(LogitsReductionOrder, EveryHeadHasExactlyOnePlace) {
  for (int heads = 8; heads <= 128; heads += 8) {
    std::vector<int> seen(static_cast<std::size_t>(heads));
    for (int lane = 0; lane < LogitsReduction::kLanes; ++lane) {
      int own = 0;
      for (int chain = 0; chain < LogitsReduction::chains(heads); ++chain) {
        const int length = LogitsReduction::chain_length(heads, chain);
        EXPECT_GT(length, 0);
        own += length;
        for (int p = 0; p < length; ++p)
          ++seen[static_cast<std::size_t>(LogitsReduction::head_of(lane, chain, p))];
      }
      EXPECT_EQ(own, LogitsReduction::heads_per_lane(heads));
    }
    for (const int times : seen) EXPECT_EQ(times, 1) << heads;
  }
}

TEST(LogitsReductionOrder, Bf16OutputIsRoundedOnceLikeTheFormat) {
  const RandomStream random(5, "bf16 output");
  for (std::uint64_t i = 0; i < 200000; ++i) {
    std::uint32_t bits = random.u32(i);
    if (i % 3 == 0) bits = (bits & 0xffff0000u) | (i % 2 ? 0x8000u : 0x7fffu);
    const float value = bit_cast<float>(bits);
    ASSERT_EQ(bf16_output_bits(value), Bf16::encode(static_cast<double>(value), Overflow::kInfinity))
        << std::hex << bits;
  }
  EXPECT_EQ(bf16_output_bits(std::numeric_limits<float>::max()), Bf16::kInfinity);
  EXPECT_EQ(fp32_output_bits(bit_cast<float>(0xff800001u)), 0x7fffffffu);
  EXPECT_EQ(fp32_output_bits(-0.0f), 0x80000000u);
}

TEST(MqaLogitsTwinRefusals, NameThePlaceAndTouchNothing) {
  PagedShape shape;
  const auto made = make_paged(shape, 3);
  const auto refuses = [&](const std::function<void(PagedMqaLogitsCase&, LogitsTarget&)>& change,
                           const char* place) {
    Output output(made->batch * made->next_n, made->columns, made->columns, ElementType::kFp32);
    PagedMqaLogitsCase view = made->view;
    change(view, output.target);
    try {
      predict_paged_mqa_logits(view, output.target, {true, false}, {1});
      FAIL() << place << " was accepted";
    } catch (const InputError& error) {
      EXPECT_NE(error.place().find(place), std::string::npos) << error.what();
    }
    for (const std::uint32_t word : output.memory) ASSERT_EQ(word, kPoison);
  };
  refuses([](auto&, LogitsTarget& t) { t.type = ElementType::kFp16; }, "logits");
  refuses([](auto&, LogitsTarget& t) { t.columns = 1; }, "columns");
  refuses([](auto&, LogitsTarget& t) { t.row_stride = t.columns - 1; }, "row_stride");
  refuses([](auto&, LogitsTarget& t) { t.rows += 1; }, "rows");
  refuses([](PagedMqaLogitsCase& v, auto&) { v.relu_of_nan = ReluOfNan::kNan; }, "relu_of_nan");
  refuses([](PagedMqaLogitsCase& v, auto&) { v.q.shape[2] = v.weights.shape[1] = 12; }, "heads");
}

}  // namespace
}  // namespace assay::twin
