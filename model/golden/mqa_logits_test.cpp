#include "model/golden/mqa_logits.h"

#include <gtest/gtest.h>

#include <tuple>

#include "model/golden/small_cases.h"

namespace assay {
namespace {

using testing::kInfinity;
using testing::SmallMqa;

std::vector<double> run(const SmallMqa& small, std::int64_t columns, bool clean, int threads = 1) {
  std::vector<double> logits(static_cast<std::size_t>(small.batch) * small.next_n * columns, 12345.0);
  paged_mqa_logits(small.view(), compact_result<2>(logits.data(), {small.batch * small.next_n, columns}),
                   {clean, false}, {threads});
  return logits;
}

constexpr std::int64_t kColumns = 700;

// How many logits differ from the naive loops by more than the stated residual.
std::int64_t wrong_logits(const SmallMqa& small, const std::vector<double>& logits) {
  const std::int64_t columns = kColumns;
  std::int64_t wrong = 0;
  for (std::int32_t b = 0; b < small.batch; ++b)
    for (std::int32_t i = 0; i < small.next_n; ++i)
      for (std::int32_t t = 0; t < columns; ++t) {
        const double got = logits[(b * small.next_n + i) * columns + t];
        if (t >= small.limit(b, i)) {
          wrong += got != -kInfinity;
          continue;
        }
        long double size = 0;
        const long double want = small.naive(b, i, t, &size);
        wrong += !(std::fabs(static_cast<long double>(got) - want) <= (small.heads + 2) * 0x1p-53L * size);
      }
  return wrong;
}

TEST(PagedMqaLogits, EqualsNaiveLoopsWithinTheStatedResidual) {
  // heads, dims, block_tokens, next_n, two-dimensional contexts
  const std::vector<std::tuple<int, int, int, int, bool>> shapes{
      {32, 128, 64, 1, false}, {64, 64, 64, 2, false}, {64, 32, 32, 2, true}, {3, 4, 1, 8, true},
      {1, 12, 16, 3, false},   {33, 20, 7, 4, true},   {600, 8, 16, 2, false}};
  std::uint64_t seed = 1;
  for (const auto& [heads, dims, block_tokens, next_n, two_dimensional] : shapes) {
    SCOPED_TRACE(heads);
    const SmallMqa small({0, 1, 65, 257, 0, 513, 64}, next_n, heads, dims, block_tokens, two_dimensional,
                         seed++);
    EXPECT_EQ(wrong_logits(small, run(small, kColumns, true)), 0);
  }
}

// The canaries: one wrong table entry, a mask one token late, one key bit.
TEST(PagedMqaLogits, ABrokenCopyDiffersFromTheNaiveLoops) {
  const SmallMqa small({300, 100}, 2, 8, 32, 16, false, 4);
  SmallMqa wrong_block = small, wrong_limit = small, wrong_bit = small;
  std::swap(wrong_block.table[3], wrong_block.table[4]);
  EXPECT_GT(wrong_logits(small, run(wrong_block, kColumns, true)), 32);
  wrong_limit.contexts[1] = 99;
  EXPECT_GE(wrong_logits(small, run(wrong_limit, kColumns, true)), 2);
  wrong_bit.cache[small.table[0] * small.block_stride] ^= 0x40;  // 8 binades
  EXPECT_GE(wrong_logits(small, run(wrong_bit, kColumns, true)), 1);
}

TEST(PagedMqaLogits, DoesNotDependOnTheNumberOfThreads) {
  const SmallMqa small({700, 3, 0, 690, 256}, 2, 8, 32, 16, false, 5);
  EXPECT_EQ(run(small, 700, true, 1), run(small, 700, true, 3));
}

TEST(PagedMqaLogits, LeavesEverythingOutsideARowsRangeUntouchedUnlessAskedToClean) {
  const SmallMqa small({5, 0, 2}, 2, 2, 4, 4, false, 3);
  const std::vector<double> logits = run(small, 16, false);
  for (std::int32_t row = 0; row < 6; ++row)
    for (std::int32_t t = small.limit(row / 2, row % 2); t < 16; ++t)
      EXPECT_EQ(logits[row * 16 + t], 12345.0) << row << " " << t;
}

TEST(PagedMqaLogits, OneDimensionalContextsEndOneTokenLaterWithEveryQuery) {
  // L = 8, next_n = 4: query 0 sees t <= 4, query 3 sees all 8 (a bound of L - i would show 8 to query 0).
  const SmallMqa small({8, 2}, 4, 2, 4, 4, false, 3);
  const PagedMqaLogitsCase c = small.view();
  EXPECT_EQ(mqa_row_range(c, 0).end, 5);
  EXPECT_EQ(mqa_row_range(c, 3).end, 8);
  EXPECT_EQ(mqa_row_range(c, 4).end, 0);  // context 2 < next_n: the first queries see nothing
  EXPECT_EQ(mqa_row_range(c, 7).end, 2);
}

TEST(PagedMqaLogits, AZeroQueryGivesZeroAndPowersOfTwoScaleExactly) {
  SmallMqa small({130}, 1, 16, 64, 64, false, 9);
  const std::vector<double> before = run(small, 130, true);
  for (float& w : small.weights) w *= 8;
  const std::vector<double> scaled = run(small, 130, true);
  for (int t = 0; t < 130; ++t) EXPECT_EQ(scaled[t], 8 * before[t]);
  std::fill(small.q.begin(), small.q.end(), std::uint8_t{0});
  for (const double x : run(small, 130, true)) EXPECT_EQ(x, 0.0);
}

TEST(PagedMqaLogits, OneHotQueriesPickSingleKeyElements) {
  SmallMqa small({70}, 1, 4, 8, 16, false, 2);
  std::fill(small.q.begin(), small.q.end(), std::uint8_t{0});
  std::fill(small.weights.begin(), small.weights.end(), 0.0f);
  small.q[2 * 8 + 5] = E4M3::encode(1.0);  // head 2 looks at element 5
  small.weights[2] = 1.0f;
  const std::vector<double> logits = run(small, 70, true);
  for (int t = 0; t < 70; ++t) {
    const std::uint8_t* block = small.cache.data() + small.table[t / 16] * small.block_stride;
    float scale;
    std::memcpy(&scale, block + 16 * 8 + (t % 16) * 4, 4);
    const double key = E4M3::decode(block[(t % 16) * 8 + 5]);
    EXPECT_EQ(logits[t], static_cast<double>(scale) * std::max(0.0, key)) << t;
  }
}

TEST(PagedMqaLogits, ReportsNanProductsAndTreatsThemByTheDeclaredRule) {
  SmallMqa small({300}, 2, 4, 8, 16, false, 2);
  small.cache[small.table[290 / 16] * small.block_stride + (290 % 16) * 8 + 3] = 0x7f;
  PagedMqaLogitsCase c = small.view();
  std::vector<double> logits(600);
  const LogitsReport report =
      paged_mqa_logits(c, compact_result<2>(logits.data(), {2, 300}), {true, false}, {1});
  EXPECT_EQ(report.elements, 299 + 300);
  EXPECT_EQ(report.nan_products, 8);  // four heads of two rows
  ASSERT_TRUE(report.first_nan.has_value());
  EXPECT_EQ(report.first_nan->row, 0);
  EXPECT_EQ(report.first_nan->position, 290);
  EXPECT_EQ(report.first_nan->head, 0);
  EXPECT_EQ(logits[290], 0.0);  // max(0, NaN) = 0
  c.relu_of_nan = ReluOfNan::kNan;
  paged_mqa_logits(c, compact_result<2>(logits.data(), {2, 300}), {true, false}, {1});
  EXPECT_TRUE(std::isnan(logits[290]));
  EXPECT_FALSE(std::isnan(logits[289]));
}

TEST(PagedMqaLogits, ANanScaleReachesItsOwnTokenOnly) {
  SmallMqa small({40}, 1, 4, 8, 16, false, 2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(&small.cache[small.table[1] * small.block_stride + 16 * 8 + 3 * 4], &nan, 4);
  const std::vector<double> logits = run(small, 40, true);
  for (int t = 0; t < 40; ++t) EXPECT_EQ(std::isnan(logits[t]), t == 19) << t;
}

// Prefill: the same numbers through another front end.
struct SmallPrefill {
  std::int32_t queries, keys, heads, dims;
  std::vector<std::uint8_t> q, k;
  std::vector<float> scales, weights;
  std::vector<std::int32_t> starts, ends;

  SmallPrefill(std::int32_t m, std::int32_t n, std::int32_t h, std::int32_t d, std::uint64_t seed)
      : queries(m), keys(n), heads(h), dims(d) {
    const RandomStream random(seed, "small prefill");
    for (int i = 0; i < m * h * d; ++i)
      q.push_back(E4M3::encode(static_cast<double>(random.child(0).normal(i))));
    for (int i = 0; i < n * d; ++i) k.push_back(E4M3::encode(static_cast<double>(random.child(1).normal(i))));
    for (int i = 0; i < n; ++i) scales.push_back(random.child(2).uniform(i) + 0.5f);
    for (int i = 0; i < m * h; ++i) weights.push_back(random.child(3).normal(i));
    for (int i = 0; i < m; ++i) {
      starts.push_back(static_cast<std::int32_t>(random.child(4).below(i, n)));
      ends.push_back(static_cast<std::int32_t>(random.child(5).below(i, n + 1)));
    }
  }
  MqaLogitsCase view() const {
    MqaLogitsCase c;
    c.q = compact_view<3>(q.data(), ElementType::kE4M3, {queries, heads, dims});
    c.keys = compact_view<2>(k.data(), ElementType::kE4M3, {keys, dims});
    c.key_scales = compact_view<1>(scales.data(), ElementType::kFp32, {keys});
    c.weights = compact_view<2>(weights.data(), ElementType::kFp32, {queries, heads});
    c.starts = {starts.data(), queries, 1};
    c.ends = {ends.data(), queries, 1};
    return c;
  }
  long double naive(int m, int n) const {
    long double sum = 0;
    for (int h = 0; h < heads; ++h) {
      long double dot = 0;
      for (int d = 0; d < dims; ++d)
        dot += static_cast<long double>(E4M3::decode(q[(m * heads + h) * dims + d])) *
               static_cast<long double>(E4M3::decode(k[n * dims + d]));
      if (dot > 0) sum += static_cast<long double>(weights[m * heads + h]) * dot;
    }
    return sum * static_cast<long double>(scales[n]);
  }
};

TEST(MqaLogits, EqualsNaiveLoopsAndTheCompressedFormHoldsTheSameNumbers) {
  const SmallPrefill small(45, 620, 24, 20, 11);  // ranges differ inside a tile, about half are empty
  const MqaLogitsCase c = small.view();
  std::vector<double> full(45 * 620), packed(45 * 640);
  mqa_logits(c, compact_result<2>(full.data(), {45, 620}), {true, false}, {2});
  mqa_logits(c, compact_result<2>(packed.data(), {45, 640}), {true, true}, {1});
  for (int m = 0; m < 45; ++m) {
    const int start = small.starts[m], end = small.ends[m];
    for (int n = 0; n < 620; ++n) {
      const bool inside = n >= start && n < end;
      const double want = inside ? static_cast<double>(small.naive(m, n)) : -kInfinity;
      if (inside) {
        ASSERT_NEAR(full[m * 620 + n], want, 1e-12) << m << " " << n;
        ASSERT_EQ(packed[m * 640 + n - start], full[m * 620 + n]);
      } else {
        ASSERT_EQ(full[m * 620 + n], -kInfinity) << m << " " << n;
      }
    }
    for (int n = std::max(0, end - start); n < 640; ++n) ASSERT_EQ(packed[m * 640 + n], -kInfinity);
  }
}

TEST(MqaLogits, AnEmptyRowMayStartPastTheLastColumn) {
  SmallPrefill small(2, 8, 2, 4, 1);
  small.starts = {1000, 3};
  small.ends = {0, 3};
  std::vector<double> logits(16, 7);
  mqa_logits(small.view(), compact_result<2>(logits.data(), {2, 8}), {true, false}, {1});
  for (const double x : logits) EXPECT_EQ(x, -kInfinity);
}

}  // namespace
}  // namespace assay
