// The same numbers through views with gaps: every stride of every operand is larger than its shape asks
// for, by another amount each, and what lies in the gaps is poison. Random small shapes.
#include <gtest/gtest.h>

#include <limits>

#include "model/golden/small_cases.h"

namespace assay {
namespace {

using testing::SmallAttention;
using testing::SmallMqa;

// Copies [rows, width] elements of `bytes` each into rows of `stride` elements; gaps hold 0xff.
std::vector<std::byte> with_gaps(const void* data, std::int64_t rows, std::int64_t width, std::int64_t stride,
                                 int bytes) {
  std::vector<std::byte> result(rows * stride * bytes, std::byte{0xff});
  for (std::int64_t row = 0; row < rows; ++row)
    std::memcpy(&result[row * stride * bytes], static_cast<const std::byte*>(data) + row * width * bytes,
                width * bytes);
  return result;
}

TEST(StridedViews, LogitsOfAStridedCaseAreThoseOfTheCompactOne) {
  const RandomStream random(1, "shapes");
  for (std::uint64_t round = 0; round < 100; ++round) {
    const auto draw = [&](std::uint64_t what, std::uint64_t bound) {
      return static_cast<std::int32_t>(random.child(round).below(what, bound));
    };
    const std::int32_t batch = draw(0, 4), next_n = 1 + draw(1, 4), heads = 1 + draw(2, 9),
                       dims = 4 * (1 + draw(3, 5));
    std::vector<std::int32_t> lengths;
    for (std::int32_t b = 0; b < batch; ++b)
      lengths.push_back(draw(10 + b, 3) == 0 ? draw(20 + b, 3) : draw(30 + b, 300));
    const SmallMqa small(lengths, next_n, heads, dims, 1 + draw(4, 20), draw(5, 2) == 1, round);
    const std::int64_t rows = static_cast<std::int64_t>(batch) * next_n, columns = 310;
    PagedMqaLogitsCase c = small.view();
    std::vector<double> compact(rows * columns, 7), strided(rows * (columns + 9), 7);
    paged_mqa_logits(c, compact_result<2>(compact.data(), {rows, columns}), {true, false}, {1});
    for (std::int64_t i = 0; i < rows * columns; ++i) {
      const std::int32_t row = static_cast<std::int32_t>(i / columns),
                         t = static_cast<std::int32_t>(i % columns);
      if (t < small.limit(row / next_n, row % next_n)) {
        ASSERT_NEAR(compact[i], static_cast<double>(small.naive(row / next_n, row % next_n, t)), 1e-11)
            << round;
      } else {
        ASSERT_EQ(compact[i], -testing::kInfinity) << round;
      }
    }
    // q [B, next_n, H, D] with a gap after every head and after every sequence.
    const std::int64_t per_head = dims + 3, per_sequence = next_n * heads * per_head + 11;
    std::vector<std::byte> q(batch * per_sequence, std::byte{0xff});
    for (std::int64_t row = 0; row < rows * heads; ++row)
      std::memcpy(&q[row / (next_n * heads) * per_sequence + row % (next_n * heads) * per_head],
                  &small.q[row * dims], dims);
    c.q.data = q.data();
    c.q.stride = {per_sequence, heads * per_head, per_head, 1};
    const std::vector<std::byte> weights = with_gaps(small.weights.data(), rows, heads, heads + 5, 4);
    c.weights.data = weights.data();
    c.weights.stride = {heads + 5, 1};
    // A column slice of a wider length tensor.
    const std::int64_t width = std::max(c.contexts.columns, 1);
    const std::vector<std::byte> contexts = with_gaps(small.contexts.data(), batch, width, width + 6, 4);
    c.contexts.data = reinterpret_cast<const std::int32_t*>(contexts.data());
    c.contexts.row_stride = width + 6;
    paged_mqa_logits(c, {strided.data(), {rows, columns}, {columns + 9, 1}}, {true, false}, {2});
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t t = 0; t < columns + 9; ++t)
        ASSERT_EQ(strided[row * (columns + 9) + t], t < columns ? compact[row * columns + t] : 7) << round;
  }
}

TEST(StridedViews, AttentionOfAStridedCaseIsThatOfTheCompactOne) {
  const RandomStream random(2, "shapes");
  for (std::uint64_t round = 0; round < 100; ++round) {
    const auto draw = [&](std::uint64_t what, std::uint64_t bound) {
      return static_cast<std::int32_t>(random.child(round).below(what, bound));
    };
    const std::int32_t batch = draw(0, 4), kv_heads = 1 + draw(1, 10), heads = kv_heads * (1 + draw(2, 4));
    const std::int32_t dims = 1 + draw(3, 20), value_dims = 1 + draw(4, 20);
    std::vector<std::int32_t> lengths, queries;
    for (std::int32_t b = 0; b < batch; ++b) {
      lengths.push_back(draw(10 + b, 4) == 0 ? 0 : draw(20 + b, 200));
      queries.push_back(draw(30 + b, 6));
    }
    const ElementType type = draw(5, 2) == 0 ? ElementType::kBf16 : ElementType::kFp32;
    SmallAttention small(lengths, queries, heads, kv_heads, dims, value_dims, 1 + draw(6, 20), type,
                         draw(7, 2) == 0 ? PagedOrder::kNhd : PagedOrder::kHnd, draw(8, 2) == 0, round);
    small.causal = draw(9, 2) == 0;
    small.window_tokens = draw(40, 3) == 0 ? 1 + draw(41, 50) : 0;
    const std::int64_t total = small.q_begin.back();
    PagedAttentionCase c = small.view();
    std::vector<double> out(total * heads * value_dims), lse(total * heads),
        strided(total * heads * (value_dims + 2), 7), strided_lse(total * heads * 2, 7);
    paged_attention(c, compact_result<3>(out.data(), {total, heads, value_dims}),
                    compact_result<2>(lse.data(), {total, heads}), {1});
    for (std::int32_t b = 0; b < batch; ++b)
      for (std::int32_t query = small.q_begin[b]; query < small.q_begin[b + 1]; ++query)
        for (std::int32_t head = 0; head < heads; ++head) {
          std::vector<long double> want;
          const long double want_lse = small.naive(b, query, head, want);
          const std::int64_t row = static_cast<std::int64_t>(query) * heads + head;
          if (std::isinf(want_lse)) {
            ASSERT_EQ(lse[row], -testing::kInfinity);
          } else {
            ASSERT_NEAR(lse[row], static_cast<double>(want_lse), 1e-12) << round;
          }
          for (std::int32_t d = 0; d < value_dims; ++d)
            ASSERT_NEAR(out[row * value_dims + d], static_cast<double>(want[d]), 1e-12) << round;
        }
    const std::vector<std::byte> q = with_gaps(small.q.data(), total * heads, dims, dims + 3, bytes_of(type));
    c.q.data = q.data();
    c.q.stride = {heads * (dims + 3), dims + 3, 1};
    paged_attention(
        c, {strided.data(), {total, heads, value_dims}, {heads * (value_dims + 2), value_dims + 2, 1}},
        {strided_lse.data(), {total, heads}, {heads * 2, 2}}, {3});
    for (std::int64_t row = 0; row < total * heads; ++row) {
      ASSERT_EQ(strided_lse[row * 2], lse[row]) << round;
      ASSERT_EQ(strided_lse[row * 2 + 1], 7);
      for (std::int64_t d = 0; d < value_dims + 2; ++d)
        ASSERT_EQ(strided[row * (value_dims + 2) + d], d < value_dims ? out[row * value_dims + d] : 7)
            << round;
    }
  }
}

}  // namespace
}  // namespace assay
