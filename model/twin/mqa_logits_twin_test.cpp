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
#include "model/twin/mqa_twin_cases.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {
namespace {

constexpr std::uint32_t kPoison = 0xa5a5a5a5u;

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
