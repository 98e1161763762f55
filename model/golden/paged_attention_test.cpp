#include "model/golden/paged_attention.h"

#include <gtest/gtest.h>

#include "model/golden/merge.h"
#include "model/golden/shared_prefix.h"
#include "model/golden/small_cases.h"

namespace assay {
namespace {

using testing::kInfinity;
using testing::SmallAttention;

struct Answer {
  std::vector<double> out, lse;
  AttentionReport report;
};

Answer run(const PagedAttentionCase& c, int threads = 1, bool cascade = false) {
  Answer answer;
  const std::int64_t queries = c.q.shape[0], heads = c.q.shape[1], dims = c.values.layout.dims;
  answer.out.assign(queries * heads * dims, 99);
  answer.lse.assign(queries * heads, 99);
  const auto out = compact_result<3>(answer.out.data(), {queries, heads, dims});
  const auto lse = compact_result<2>(answer.lse.data(), {queries, heads});
  answer.report =
      cascade ? cascade_attention(c, out, lse, {threads}) : paged_attention(c, out, lse, {threads});
  return answer;
}

void expect_naive(const SmallAttention& small) {
  const Answer answer = run(small.view());
  for (std::size_t b = 0; b < small.lengths.size(); ++b)
    for (std::int32_t query = small.q_begin[b]; query < small.q_begin[b + 1]; ++query)
      for (std::int32_t head = 0; head < small.query_heads; ++head) {
        std::vector<long double> want;
        const double lse = static_cast<double>(small.naive(static_cast<std::int32_t>(b), query, head, want));
        const std::size_t row = static_cast<std::size_t>(query) * small.query_heads + head;
        if (lse == -kInfinity) {
          ASSERT_EQ(answer.lse[row], -kInfinity);
        } else {
          ASSERT_NEAR(answer.lse[row], lse, 1e-12) << b << " " << query << " " << head;
        }
        for (std::int32_t d = 0; d < small.value_dims; ++d)
          ASSERT_NEAR(answer.out[row * small.value_dims + d], static_cast<double>(want[d]), 1e-12)
              << b << " " << query << " " << head << " " << d;
      }
}

// lengths with the borders of blocks and tiles in them; decode, append and prefill in one batch.
const std::vector<std::int32_t> kLengths{0, 1, 17, 257, 300, 64, 3};
const std::vector<std::int32_t> kQueries{1, 1, 1, 5, 40, 64, 5};

TEST(PagedAttention, EqualsNaiveLoopsForEveryTypeOrderAndRatio) {
  std::uint64_t seed = 1;
  for (const ElementType type :
       {ElementType::kFp32, ElementType::kBf16, ElementType::kFp16, ElementType::kE4M3, ElementType::kE5M2})
    for (const PagedOrder order : {PagedOrder::kNhd, PagedOrder::kHnd})
      for (const auto& [heads, kv_heads] : {std::pair{4, 4}, {6, 2}, {7, 1}}) {
        SCOPED_TRACE(std::string(name_of(type)) + " " + std::to_string(heads) + "/" +
                     std::to_string(kv_heads));
        expect_naive(SmallAttention(kLengths, kQueries, heads, kv_heads, 16, 24, 16, type, order,
                                    seed % 2 == 0, seed));
        ++seed;
      }
}

TEST(PagedAttention, EqualsNaiveLoopsUnderMasksCapsAndScales) {
  for (const std::int32_t window : {0, 1, 7, 100})
    for (const bool causal : {false, true})
      for (const double soft_cap : {0.0, 2.5}) {
        SmallAttention small(kLengths, kQueries, 4, 2, 8, 8, 16, ElementType::kE4M3, PagedOrder::kHnd, true,
                             77);
        small.causal = causal;
        small.window_tokens = window;
        small.soft_cap = soft_cap;
        small.add_scales(4);
        SCOPED_TRACE(std::to_string(window) + " " + std::to_string(causal) + " " + std::to_string(soft_cap));
        expect_naive(small);
      }
}

TEST(PagedAttention, CausalQueriesAreAlignedWithTheLastToken) {
  SmallAttention small({10, 2}, {4, 4}, 1, 1, 4, 4, 4, ElementType::kFp32, PagedOrder::kNhd, false, 1);
  small.causal = true;
  const PagedAttentionCase c = small.view();
  EXPECT_EQ(visible_tokens(c, 0, 0), (TokenRange{0, 7}));
  EXPECT_EQ(visible_tokens(c, 0, 3), (TokenRange{0, 10}));
  EXPECT_EQ(visible_tokens(c, 1, 4), (TokenRange{0, 0}));  // two tokens, four queries: the first two see none
  EXPECT_EQ(visible_tokens(c, 1, 7), (TokenRange{0, 2}));
  small.window_tokens = 3;
  EXPECT_EQ(visible_tokens(small.view(), 0, 3), (TokenRange{7, 10}));
  const Answer answer = run(small.view());
  EXPECT_EQ(answer.report.empty_rows, 2);
  EXPECT_EQ(answer.lse[4], -kInfinity);
  EXPECT_EQ(answer.out[4 * 4], 0.0);
}

TEST(PagedAttention, AZeroQueryAveragesTheValuesAndOnesStayOnes) {
  SmallAttention small({33}, {1}, 2, 1, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd, false, 6);
  std::fill(small.q.begin(), small.q.end(), std::byte{0});
  Answer answer = run(small.view());
  for (int d = 0; d < 8; ++d) {
    double mean = 0;
    for (int t = 0; t < 33; ++t)
      mean += SmallAttention::get(
                  &small.values[small.value_layout.offset(small.value_table[t / 16], t % 16, 0, d)],
                  ElementType::kBf16) /
              33;
    EXPECT_NEAR(answer.out[d], mean, 1e-15);
  }
  EXPECT_NEAR(answer.lse[0], std::log(33.0), 1e-15);

  SmallAttention ones({300}, {1}, 2, 1, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd, false, 7);
  for (int t = 0; t < 300; ++t)
    for (int d = 0; d < 8; ++d)
      SmallAttention::put(&ones.values[ones.value_layout.offset(ones.value_table[t / 16], t % 16, 0, d)],
                          ElementType::kBf16, 1.0);
  answer = run(ones.view());
  for (const double x : answer.out) EXPECT_NEAR(x, 1.0, 1e-14);
}

TEST(PagedAttention, AOneHotKeyReturnsItsValueRowBitForBit) {
  SmallAttention small({200}, {1}, 1, 1, 8, 8, 16, ElementType::kFp32, PagedOrder::kNhd, false, 8);
  for (int t = 0; t < 200; ++t)
    for (int d = 0; d < 8; ++d)
      SmallAttention::put(&small.keys[small.key_layout.offset(small.key_table[t / 16], t % 16, 0, d)],
                          ElementType::kFp32, t == 150 && d == 2 ? 4000.0 : 0.0);
  for (int d = 0; d < 8; ++d) SmallAttention::put(&small.q[d * 4], ElementType::kFp32, 1.0);
  const Answer answer = run(small.view());
  for (int d = 0; d < 8; ++d)
    EXPECT_EQ(answer.out[d],
              SmallAttention::get(&small.values[small.value_layout.offset(small.value_table[9], 6, 0, d)],
                                  ElementType::kFp32));
  EXPECT_EQ(answer.lse[0], 4000.0 * 0.3);
}

TEST(PagedAttention, ScalingValuesByAPowerOfTwoScalesTheOutputExactly) {
  SmallAttention small({500}, {3}, 4, 2, 8, 8, 16, ElementType::kE4M3, PagedOrder::kNhd, false, 12);
  const Answer before = run(small.view());
  PagedAttentionCase c = small.view();
  const float four = 4;
  c.values.scales = {&four, 0, 0, 0};  // per tensor
  const Answer after = run(c);
  for (std::size_t i = 0; i < before.out.size(); ++i) EXPECT_EQ(after.out[i], 4 * before.out[i]);
  EXPECT_EQ(after.lse, before.lse);
}

TEST(PagedAttention, DoesNotDependOnTheNumberOfThreadsNorOnPhysicalIds) {
  SmallAttention small(kLengths, kQueries, 6, 2, 16, 16, 16, ElementType::kBf16, PagedOrder::kNhd, false, 3);
  const Answer one = run(small.view(), 1), three = run(small.view(), 3);
  EXPECT_EQ(one.out, three.out);
  EXPECT_EQ(one.lse, three.lse);
  // Move every block to the mirrored id: the same logical sequences elsewhere.
  SmallAttention moved = small;
  for (std::int32_t block = 0; block < small.blocks; ++block) {
    std::memcpy(&moved.keys[(small.blocks - 1 - block) * small.key_layout.block_stride],
                &small.keys[block * small.key_layout.block_stride], small.key_layout.block_stride);
    std::memcpy(&moved.values[(small.blocks - 1 - block) * small.value_layout.block_stride],
                &small.values[block * small.value_layout.block_stride], small.value_layout.block_stride);
  }
  for (std::vector<std::int32_t>* table : {&moved.key_table, &moved.value_table})
    for (std::int32_t& id : *table)
      if (id >= 0 && id < small.blocks) id = small.blocks - 1 - id;
  EXPECT_EQ(run(moved.view()).out, one.out);
}

TEST(PagedAttention, ANanValueReachesExactlyTheRowsThatSeeIt) {
  SmallAttention small({40}, {10}, 2, 1, 8, 8, 16, ElementType::kBf16, PagedOrder::kNhd, false, 5);
  small.causal = true;
  SmallAttention::put(&small.values[small.value_layout.offset(small.value_table[35 / 16], 35 % 16, 0, 3)],
                      ElementType::kBf16, std::numeric_limits<double>::quiet_NaN());
  const Answer answer = run(small.view());
  for (int query = 0; query < 10; ++query)
    for (int head = 0; head < 2; ++head)
      for (int d = 0; d < 8; ++d)
        EXPECT_EQ(std::isnan(answer.out[(query * 2 + head) * 8 + d]), d == 3 && 30 + query >= 35) << query;
  EXPECT_EQ(answer.report.nan_rows, 2 * 5);
  // A NaN key makes the whole row NaN, lse included.
  SmallAttention::put(&small.keys[small.key_layout.offset(small.key_table[0], 0, 0, 0)], ElementType::kBf16,
                      std::numeric_limits<double>::quiet_NaN());
  const Answer all = run(small.view());
  for (const double x : all.lse) EXPECT_TRUE(std::isnan(x));
}

TEST(Merge, JoinsSplitsOfARowAndIgnoresEmptyPartsWhateverTheyHold) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  // Two rows of two dims, three parts; row 1 is empty in all of them.
  const std::vector<float> outs{1, 2, nan, nan, nan, nan, nan, inf, 3, 6, 0, 0};
  const std::vector<float> lses{0, -inf, -inf, -inf, 0, -inf};
  std::vector<double> out(4), lse(2);
  merge_partials(compact_view<4>(outs.data(), ElementType::kFp32, {3, 1, 2, 2}),
                 compact_view<3>(lses.data(), ElementType::kFp32, {3, 1, 2}),
                 compact_result<3>(out.data(), {1, 2, 2}), compact_result<2>(lse.data(), {1, 2}));
  EXPECT_EQ(out, (std::vector<double>{2, 4, 0, 0}));
  EXPECT_DOUBLE_EQ(lse[0], std::log(2.0));
  EXPECT_EQ(lse[1], -kInfinity);
}

TEST(SharedPrefix, FindsNestedGroupsOfEqualLeadingIds) {
  const std::vector<std::int32_t> table{7, 2, 9, 4, 7, 2, 9, 5, 7, 2, 3, -1, 8, 1, -1, -1, 8, 1, 9, 4};
  const BlockTableView keys{table.data(), 4, 4};
  const std::vector<SharedSegment> segments = find_shared_prefixes(keys, keys, {4, 4, 3, 1, 4});
  const std::vector<SharedSegment> want{{0, 0, 2, {0, 1, 2}}, {0, 0, 1, {3, 4}}, {1, 2, 3, {0, 1}}};
  EXPECT_EQ(segments, want);
  EXPECT_EQ(find_shared_prefixes(keys, keys, {4, 4, 3, 1, 4}, 1).size(), 2u);
  // A different V block ends the sharing.
  std::vector<std::int32_t> other = table;
  other[5] = 6;
  EXPECT_EQ(find_shared_prefixes(keys, {other.data(), 4, 4}, {4, 4, 3, 0, 0}),
            (std::vector<SharedSegment>{{0, 0, 1, {0, 1, 2}}, {1, 1, 2, {0, 2}}}));
}

TEST(SharedPrefix, TheCascadeEqualsThePlainResultToTheStatedBit) {
  for (const bool causal : {false, true})
    for (const std::int32_t window : {0, 50}) {
      SmallAttention small({150, 170, 150, 0, 90, 33}, {1, 20, 7, 1, 3, 1}, 6, 2, 16, 16, 16,
                           ElementType::kBf16, PagedOrder::kNhd, false, 21);
      small.causal = causal;
      small.window_tokens = window;
      // Sequences 0, 1, 2, 4 share five blocks; 0 and 2 share nine.
      for (const auto& [sequence, shared] : {std::pair{1, 5}, {2, 9}, {4, 5}})
        for (int i = 0; i < shared; ++i) {
          small.key_table[sequence * small.max_blocks + i] = small.key_table[i];
          small.value_table[sequence * small.max_blocks + i] = small.value_table[i];
        }
      ASSERT_EQ(find_shared_prefixes(small.view()),
                (std::vector<SharedSegment>{{0, 0, 5, {0, 1, 2, 4}}, {1, 5, 9, {0, 2}}}));
      const Answer plain = run(small.view()), cascade = run(small.view(), 2, true);
      // All inputs lie below 6 in magnitude (Philox normals): A <= 0.3 * 16 * 36.
      const double residual = cascade_residual(16, 170, 0.3 * 16 * 36);
      ASSERT_LT(residual, 2.5e-12);
      for (std::size_t i = 0; i < plain.out.size(); ++i)
        ASSERT_NEAR(plain.out[i], cascade.out[i], 6 * residual) << i;
      for (std::size_t i = 0; i < plain.lse.size(); ++i) {
        if (plain.lse[i] == -kInfinity) {
          ASSERT_EQ(cascade.lse[i], -kInfinity);
        } else {
          ASSERT_NEAR(plain.lse[i], cascade.lse[i], residual) << i;
        }
      }
    }
}

// The canary of the cascade: a segment counted twice, or a prefix that is one block too long, must show.
TEST(SharedPrefix, ACascadeOverTheWrongTokensDiffersFromThePlainResult) {
  const SmallAttention small({96, 96}, {1, 1}, 2, 2, 16, 16, 16, ElementType::kBf16, PagedOrder::kNhd, false,
                             22);
  const Answer plain = run(small.view());
  SmallAttention wrong = small;
  for (int i = 0; i < 3; ++i) {  // tables that agree where the contents do not
    wrong.key_table[wrong.max_blocks + i] = wrong.key_table[i];
    wrong.value_table[wrong.max_blocks + i] = wrong.value_table[i];
  }
  const Answer cascade = run(wrong.view(), 1, true);
  double difference = 0;
  for (std::size_t i = 0; i < plain.out.size(); ++i)
    difference = std::max(difference, std::fabs(plain.out[i] - cascade.out[i]));
  EXPECT_GT(difference, 0.01);
}

}  // namespace
}  // namespace assay
