// The kill matrix of attention: an emulated kernel with one of thirteen bugs, judged by the bound.
#include "model/bounds/attention_bound.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/bounds/emulated_attention.h"

namespace assay {
namespace {

using testing::AttentionBug;
using testing::EmulatedAttention;
using testing::KernelOutput;

// The sanitizer run is slow; the facts hold at the smaller length as well.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int32_t kTokens = 1024;
#else
constexpr std::int32_t kTokens = 8192;
#endif

AttentionShape shape_of(std::int32_t tokens, std::int32_t heads = 8, std::int32_t batch = 4) {
  AttentionShape shape;
  shape.query_heads = shape.kv_heads = heads;
  shape.contexts.assign(batch, tokens);
  return shape;
}

// The bounds of a lane, computed once; any number of outputs can then be judged.
struct JudgedLane {
  AttentionLaneCase lane_case;
  std::vector<double> out, bound, lse, lse_bound;

  JudgedLane(AttentionLane lane, const AttentionShape& shape, const Arithmetic& arithmetic = {})
      : lane_case(make_attention_lane(lane, shape, 7)) {
    const std::int64_t rows = lane_case.queries(), heads = shape.query_heads, dims = shape.dims;
    out.resize(rows * heads * dims);
    bound.resize(out.size());
    lse.resize(rows * heads);
    lse_bound.resize(lse.size());
    attention_with_bounds(lane_case.problem(), compact_result<3>(out.data(), {rows, heads, dims}),
                          compact_result<3>(bound.data(), {rows, heads, dims}),
                          compact_result<2>(lse.data(), {rows, heads}),
                          compact_result<2>(lse_bound.data(), {rows, heads}), arithmetic, {2});
  }
  ComparisonReport judge_out(const KernelOutput& got) const {
    ComparisonReport report({"query", "head", "dim"});
    const std::int64_t heads = lane_case.shape.query_heads, dims = lane_case.shape.dims;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::int64_t index = static_cast<std::int64_t>(i);
      report.add({index / dims / heads, index / dims % heads, index % dims}, out[i], bound[i],
                 Bf16::decode(got.out[i]), ElementType::kBf16);
    }
    return report;
  }
  ComparisonReport judge_lse(const KernelOutput& got) const {
    ComparisonReport report({"query", "head", ""});
    const std::int64_t heads = lane_case.shape.query_heads;
    for (std::size_t i = 0; i < lse.size(); ++i)
      report.add({static_cast<std::int64_t>(i) / heads, static_cast<std::int64_t>(i) % heads, 0}, lse[i],
                 lse_bound[i], static_cast<double>(got.lse[i]), ElementType::kFp32);
    return report;
  }
};

TEST(AttentionBound, GaussianInputsKillAllThirteenBugs) {
  const JudgedLane judged(AttentionLane::kGaussian, shape_of(kTokens));
  const EmulatedAttention kernel(judged.lane_case);
  const ComparisonReport right = judged.judge_out(kernel.run(AttentionBug::kNone));
  EXPECT_TRUE(right.passed()) << right.summary();
  RecordProperty("none", std::to_string(right.worst_headroom()));
  std::printf("%-32s r %.2f   lse r %.2f\n", "none (correct kernel)", right.worst_headroom(),
              judged.judge_lse(kernel.run(AttentionBug::kNone)).worst_headroom());
  for (const AttentionBug bug : testing::kAttentionBugs) {
    const KernelOutput got = kernel.run(bug);
    const ComparisonReport report = judged.judge_out(got);
    EXPECT_FALSE(report.passed()) << name_of(bug) << ": " << report.summary();
    std::printf("%-32s r %.1f   lse r %.1f\n", name_of(bug), report.worst_headroom(),
                judged.judge_lse(got).worst_headroom());
  }
}

// Why there is a bound at all: at this length the usual absolute and relative 1e-2 forgives most of the
// bugs, and the loosest of the three classic levels forgives some.
TEST(AttentionBound, TheUsualTolerancesForgiveBugsThatTheBoundKills) {
  const JudgedLane judged(AttentionLane::kGaussian, shape_of(kTokens));
  const EmulatedAttention kernel(judged.lane_case);
  int killed_by_bound = 0, killed_by_allclose = 0, killed_by_loose = 0;
  for (const AttentionBug bug : testing::kAttentionBugs) {
    const KernelOutput got = kernel.run(bug);
    ToleranceReport tolerance;
    bool close = true;
    for (std::size_t i = 0; i < judged.out.size(); ++i) {
      const double value = Bf16::decode(got.out[i]);
      tolerance.add(judged.out[i], value);
      close = close && std::fabs(value - judged.out[i]) <= 1e-2 + 1e-2 * std::fabs(judged.out[i]);
    }
    killed_by_bound += !judged.judge_out(got).passed();
    killed_by_allclose += !close;
    killed_by_loose += tolerance.mismatches(2) > 0;
    std::printf("%-32s allclose 1e-2 %-5s loose %lld of %lld\n", name_of(bug), close ? "-" : "kill",
                static_cast<long long>(tolerance.mismatches(2)), static_cast<long long>(tolerance.count()));
  }
  EXPECT_EQ(killed_by_bound, 13);
  EXPECT_LT(killed_by_allclose, killed_by_bound);
  EXPECT_LE(killed_by_loose, killed_by_bound);
  std::printf("killed of 13: bound %d, allclose 1e-2 %d, loose %d\n", killed_by_bound, killed_by_allclose,
              killed_by_loose);
}

TEST(AttentionBound, TheCorrectKernelIsFlaggedOnNoLane) {
  for (const AttentionLane lane : kAttentionLanes)
    for (const std::int32_t tokens : {std::int32_t{1000}, kTokens}) {
      const JudgedLane judged(lane, shape_of(tokens, 4, 2));
      const KernelOutput got = EmulatedAttention(judged.lane_case).run(AttentionBug::kNone);
      const ComparisonReport out = judged.judge_out(got), lse = judged.judge_lse(got);
      EXPECT_TRUE(out.passed()) << name_of(lane) << " " << tokens << ": " << out.summary();
      EXPECT_TRUE(lse.passed()) << name_of(lane) << " " << tokens << ": " << lse.summary();
      EXPECT_LE(out.worst_headroom(), 0.6) << name_of(lane) << " " << tokens;
      std::printf("%-12s n %5d  r %.2f   lse r %.2f\n", name_of(lane), tokens, out.worst_headroom(),
                  lse.worst_headroom());
    }
}

TEST(AttentionBound, TheCorrectKernelIsFlaggedForNoCacheTypeRatioOrOrder) {
  for (const ElementType type : {ElementType::kFp32, ElementType::kFp16, ElementType::kE4M3})
    for (const AttentionLane lane : kAttentionLanes) {
      AttentionShape shape = shape_of(700, 4, 1);
      shape.kv_heads = 2;
      shape.dims = 64;
      shape.block_tokens = 16;
      shape.type = type;
      shape.order = PagedOrder::kHnd;
      shape.combined_tables = true;
      const JudgedLane judged(lane, shape);
      const KernelOutput got = EmulatedAttention(judged.lane_case).run(AttentionBug::kNone);
      EXPECT_TRUE(judged.judge_out(got).passed())
          << name_of(type) << " " << name_of(lane) << ": " << judged.judge_out(got).summary();
      EXPECT_TRUE(judged.judge_lse(got).passed())
          << name_of(type) << " " << name_of(lane) << ": " << judged.judge_lse(got).summary();
    }
}

TEST(AttentionBound, TheCorrectKernelOnTensorCoresIsFlaggedOnNoLane) {
  Arithmetic arithmetic;
  arithmetic.accumulator = Accumulator::kTensorCore16;
  for (const AttentionLane lane : kAttentionLanes) {
    const JudgedLane judged(lane, shape_of(1500, 2, 1), arithmetic);
    EmulatedAttention kernel(judged.lane_case);
    kernel.accumulator = Accumulator::kTensorCore16;
    kernel.splits = 1;  // the longest chain of truncations
    const KernelOutput got = kernel.run(AttentionBug::kNone);
    EXPECT_TRUE(judged.judge_out(got).passed()) << name_of(lane) << ": " << judged.judge_out(got).summary();
    EXPECT_TRUE(judged.judge_lse(got).passed()) << name_of(lane) << ": " << judged.judge_lse(got).summary();
  }
}

// fp8 P: the output alone is nearly blind on gaussian inputs, so other lanes must see.
TEST(AttentionBound, WithFp8ProbabilitiesTheCorrectKernelIsFlaggedOnNoLane) {
  for (const double p_scale : {1.0, 256.0}) {
    Arithmetic arithmetic;
    arithmetic.p_type = ElementType::kE4M3;
    arithmetic.p_scale = p_scale;
    for (const AttentionLane lane : kAttentionLanes) {
      const JudgedLane judged(lane, shape_of(kTokens / 4, 2, 1), arithmetic);
      EmulatedAttention kernel(judged.lane_case);
      kernel.p_type = ElementType::kE4M3;
      kernel.p_scale = static_cast<float>(p_scale);
      const KernelOutput got = kernel.run(AttentionBug::kNone);
      EXPECT_TRUE(judged.judge_out(got).passed()) << name_of(lane) << ": " << judged.judge_out(got).summary();
      EXPECT_TRUE(judged.judge_lse(got).passed()) << name_of(lane) << ": " << judged.judge_lse(got).summary();
    }
  }
}

TEST(AttentionBound, WithFp8ProbabilitiesNeedleHeavyTailAndLseSeeWhatGaussianCannot) {
  for (const double p_scale : {1.0, 256.0}) {
    Arithmetic arithmetic;
    arithmetic.p_type = ElementType::kE4M3;
    arithmetic.p_scale = p_scale;
    const auto judged_bug = [&](AttentionLane lane, AttentionBug bug, bool lse) {
      const JudgedLane judged(lane, shape_of(kTokens, 2, 1), arithmetic);
      EmulatedAttention kernel(judged.lane_case);
      kernel.p_type = ElementType::kE4M3;
      kernel.p_scale = static_cast<float>(p_scale);
      if (lane == AttentionLane::kNeedle)
        kernel.bug_token = static_cast<int>(needle_position(judged.lane_case, lane, 7, 0, 0));
      const KernelOutput got = kernel.run(bug);
      return lse ? judged.judge_lse(got) : judged.judge_out(got);
    };
    EXPECT_FALSE(judged_bug(AttentionLane::kNeedle, AttentionBug::kOneTokenFromWrongSlot, false).passed());
    EXPECT_FALSE(judged_bug(AttentionLane::kNeedle, AttentionBug::kLastTokenDropped, false).passed());
    EXPECT_FALSE(judged_bug(AttentionLane::kHeavyTail, AttentionBug::kNotRescaledOnce, false).passed());
    EXPECT_FALSE(judged_bug(AttentionLane::kGaussian, AttentionBug::kScaleOnePercentOff, true).passed());
    // Blind here, which is why the other lanes exist.
    EXPECT_TRUE(judged_bug(AttentionLane::kGaussian, AttentionBug::kLastTokenDropped, false).passed());
  }
}

// The canary of the grouping: roundings of equal scores are not independent. Were every token a group of
// its own, the correct kernel would be flagged on the two-plateau lane.
TEST(AttentionBound, ABoundThatTakesTiedRoundingsForIndependentFlagsTheCorrectKernel) {
  const JudgedLane judged(AttentionLane::kTwoPlateau, shape_of(kTokens, 4, 2));
  const KernelOutput got = EmulatedAttention(judged.lane_case).run(AttentionBug::kNone);
  double worst = 0;
  for (std::size_t i = 0; i < judged.out.size(); ++i) {
    // p is close to 1 / n and |v| close to 1.2 here: sum (u_P p v)^2 is close to 2^-16 * 1.5 / n.
    const double independent = 6 / std::sqrt(3.0) * 0x1p-8 * std::sqrt(1.5 / kTokens);
    worst = std::max(
        worst,
        judge_element(judged.out[i], independent, Bf16::decode(got.out[i]), ElementType::kBf16).headroom);
  }
  EXPECT_GT(worst, 1.0);
}

TEST(AttentionBound, AnAddressLaneNamesTheBlockAndSlotThatWereRead) {
  AttentionShape shape = shape_of(700, 2, 2);
  shape.combined_tables = true;
  const AttentionLaneCase lane_case = make_attention_lane(AttentionLane::kAddress, shape, 3);
  const EmulatedAttention kernel(lane_case);
  for (const bool wrong : {false, true}) {
    const KernelOutput got = kernel.run(wrong ? AttentionBug::kValuesFromWrongPage : AttentionBug::kNone);
    for (std::int64_t query = 0; query < 2; ++query)
      for (std::int32_t head = 0; head < 2; ++head) {
        std::vector<double> out(128);
        for (int d = 0; d < 128; ++d) out[d] = Bf16::decode(got.out[(query * 2 + head) * 128 + d]);
        const auto place = decode_value_address(out.data(), 128, 64);
        ASSERT_TRUE(place.has_value());
        const std::int64_t position = needle_position(lane_case, AttentionLane::kAddress, 3, query, head);
        const std::int64_t read = wrong && position / 64 == 1 ? position - 64 : position;
        EXPECT_EQ(place->block, lane_case.value_table[query * lane_case.max_blocks + read / 64]);
        EXPECT_EQ(place->slot, read % 64);
      }
  }
}

TEST(AttentionBound, ReportsDoNotDependOnTheNumberOfThreads) {
  AttentionShape shape = shape_of(700, 6, 3);
  shape.kv_heads = 3;
  shape.queries = {1, 4, 2};
  const AttentionLaneCase lane_case = make_attention_lane(AttentionLane::kGaussian, shape, 3);
  const std::vector<std::uint16_t> got(7 * 6 * 128, Bf16::encode(0.01));
  const auto with = [&](int threads) {
    return judge_attention(lane_case.problem(), compact_view<3>(got.data(), ElementType::kBf16, {7, 6, 128}),
                           {}, {}, {threads});
  };
  const AttentionComparison one = with(1), three = with(3);
  EXPECT_FALSE(one.out.passed());
  EXPECT_EQ(one.out.summary(), three.out.summary());
  EXPECT_EQ(one.tolerance.text(), three.tolerance.text());
}

TEST(AttentionBound, RowsThatSeeNothingAreComparedByClass) {
  AttentionShape shape = shape_of(0, 1, 2);
  shape.contexts = {0, 5};
  const AttentionLaneCase lane_case = make_attention_lane(AttentionLane::kGaussian, shape, 3);
  const JudgedLane judged(AttentionLane::kGaussian, shape);
  KernelOutput got = EmulatedAttention(judged.lane_case).run(AttentionBug::kNone);
  const auto compare = [&] {
    return judge_attention(judged.lane_case.problem(),
                           compact_view<3>(got.out.data(), ElementType::kBf16, {2, 1, 128}),
                           compact_view<2>(got.lse.data(), ElementType::kFp32, {2, 1}), {}, {2});
  };
  EXPECT_TRUE(compare().out.passed());
  EXPECT_TRUE(compare().lse.passed());
  EXPECT_EQ(compare().tolerance.mismatches(2), 0);
  got.lse[0] = -5e4f;
  got.out[3] = 0x7fff;
  EXPECT_EQ(compare().lse.wrong(ElementClass::kInfinite), 1);
  EXPECT_EQ(compare().out.wrong(ElementClass::kNotANumber), 1);
}

}  // namespace
}  // namespace assay
