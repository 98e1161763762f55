// The kill matrix of MQA logits: an emulated kernel with one of seven bugs, judged by the bound.
#include "model/bounds/mqa_bound.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>

#include "model/bounds/emulated_mqa.h"
#include "model/core/philox.h"

namespace assay {
namespace {

using testing::EmulatedMqa;
using testing::MqaBug;

const float kMinusInfinity = -std::numeric_limits<float>::infinity();

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int32_t kTokens = 300;
#else
constexpr std::int32_t kTokens = 1500;
#endif

MqaShape shape_of(std::int32_t tokens) {
  MqaShape shape;
  shape.contexts = {tokens, tokens / 2 + 3, 1, 0};
  return shape;
}

LogitsComparison judged(const MqaLaneCase& lane_case, const std::vector<float>& got, std::int64_t columns,
                        Accumulator accumulator, bool exact) {
  Arithmetic arithmetic;
  arithmetic.accumulator = accumulator;
  LogitsJudgement judgement;
  judgement.outside = OutsideRule::kClean;
  judgement.exact = exact;
  return judge_logits(lane_case.problem(),
                      compact_view<2>(got.data(), ElementType::kFp32, {lane_case.rows(), columns}),
                      arithmetic, judgement, {2});
}

bool exact_lane(MqaLane lane) {
  return lane == MqaLane::kExactQk || lane == MqaLane::kExactW || lane == MqaLane::kAddress;
}

TEST(MqaBound, TheCorrectKernelIsFlaggedOnNoLane) {
  for (const Accumulator accumulator : {Accumulator::kFp32, Accumulator::kTensorCoreFp8})
    for (const MqaLane lane : kMqaLanes)
      for (const std::int32_t dims : {32, 128}) {
        MqaShape shape = shape_of(300);
        shape.dims = dims;
        shape.next_n = dims == 32 ? 2 : 1;
        shape.contexts_2d = dims == 32;
        const MqaLaneCase lane_case = make_mqa_lane(lane, shape, 3);
        const EmulatedMqa kernel(lane_case, accumulator);
        const LogitsComparison right = judged(lane_case, kernel.run(MqaBug::kNone, kMinusInfinity),
                                              kernel.columns, accumulator, exact_lane(lane));
        EXPECT_TRUE(right.bound.passed())
            << name_of(accumulator) << " " << name_of(lane) << ": " << right.bound.summary();
        EXPECT_EQ(right.golden.nan_products, 0);
        std::printf("%-6s %-11s D %3d  r %.2f\n", name_of(accumulator), name_of(lane), dims,
                    right.bound.worst_headroom());
      }
}

// Positive inputs: every truncation of every head errs the same way, the case that an unbiased error
// model would flag.
TEST(MqaBound, TheCorrectTruncatingKernelIsNotFlaggedWhenAllSignsAgree) {
  MqaLaneCase lane_case = make_mqa_lane(MqaLane::kGaussian, shape_of(300), 3);
  for (std::uint8_t& code : lane_case.q) code &= 0x7f;
  for (float& weight : lane_case.weights) weight = std::fabs(weight);
  const FusedIndexLayout layout = make_fused_index_layout(64, 128);
  for (std::int32_t block = 0; block < lane_case.blocks; ++block)
    for (std::int64_t i = 0; i < layout.key_bytes(); ++i)
      lane_case.cache[block * layout.block_stride + i] &= 0x7f;
  const EmulatedMqa kernel(lane_case, Accumulator::kTensorCoreFp8);
  const LogitsComparison right = judged(lane_case, kernel.run(MqaBug::kNone, kMinusInfinity), kernel.columns,
                                        Accumulator::kTensorCoreFp8, false);
  EXPECT_TRUE(right.bound.passed()) << right.bound.summary();
  std::printf("all positive: r %.2f\n", right.bound.worst_headroom());
}

TEST(MqaBound, GaussianInputsKillEveryBugOfAKernelThatAddsInFp32) {
  const MqaLaneCase lane_case = make_mqa_lane(MqaLane::kGaussian, shape_of(kTokens), 3);
  const EmulatedMqa kernel(lane_case, Accumulator::kFp32);
  for (const MqaBug bug : testing::kMqaBugs) {
    const LogitsComparison report =
        judged(lane_case, kernel.run(bug, kMinusInfinity), kernel.columns, Accumulator::kFp32, false);
    EXPECT_FALSE(report.bound.passed()) << name_of(bug) << ": " << report.bound.summary();
    std::printf("fp32   %-28s r %.3g\n", name_of(bug), report.bound.worst_headroom());
  }
}

TEST(MqaBound, WithTheFp8TensorCoreGaussianAndExactLanesTogetherKillEveryBug) {
  struct Lane {
    MqaLane lane;
    MqaLaneCase lane_case;
    EmulatedMqa kernel;
    Lane(MqaLane which, const MqaShape& shape)
        : lane(which),
          lane_case(make_mqa_lane(which, shape, 3)),
          kernel(lane_case, Accumulator::kTensorCoreFp8) {}
  };
  Lane gaussian(MqaLane::kGaussian, shape_of(kTokens));
  Lane exact_qk(MqaLane::kExactQk, shape_of(300));
  Lane exact_w(MqaLane::kExactW, shape_of(300));
  // The sparse lane's bugs hit a head that has a weight.
  exact_qk.kernel.bug_head = 0;
  while (exact_qk.lane_case.weights[exact_qk.kernel.bug_head] == 0) ++exact_qk.kernel.bug_head;
  const auto killed = [&](const Lane& lane, MqaBug bug) {
    const LogitsComparison report =
        judged(lane.lane_case, lane.kernel.run(bug, kMinusInfinity), lane.kernel.columns,
               Accumulator::kTensorCoreFp8, exact_lane(lane.lane));
    std::printf("fp8tc  %-28s %-9s r %.3g\n", name_of(bug), name_of(lane.lane),
                report.bound.worst_headroom());
    return !report.bound.passed();
  };
  for (const MqaBug bug : testing::kMqaBugs) {
    const bool in_gaussian = killed(gaussian, bug), in_qk = killed(exact_qk, bug),
               in_w = killed(exact_w, bug);
    switch (bug) {
      case MqaBug::kProductsRoundedToBf16:  // within the tensor core's own error on gaussian inputs
        EXPECT_FALSE(in_gaussian);
        EXPECT_TRUE(in_qk);
        break;
      case MqaBug::kWeightsRoundedToBf16:
        EXPECT_FALSE(in_gaussian);
        EXPECT_TRUE(in_w);
        break;
      case MqaBug::kReluMissing:
      case MqaBug::kHeadDropped:
        EXPECT_TRUE(in_gaussian) << name_of(bug);
        EXPECT_TRUE(in_w) << name_of(bug);
        break;
      default: EXPECT_TRUE(in_gaussian && in_qk && in_w) << name_of(bug);
    }
  }
}

TEST(MqaBound, MasksAndCanariesAreComparedBitForBit) {
  MqaShape shape = shape_of(100);
  shape.contexts = {100, 40};
  shape.heads = 8;
  shape.dims = 32;
  const MqaLaneCase lane_case = make_mqa_lane(MqaLane::kGaussian, shape, 3);
  const EmulatedMqa kernel(lane_case, Accumulator::kFp32);
  const auto compare = [&](const std::vector<float>& got, OutsideRule rule) {
    LogitsJudgement judgement;
    judgement.outside = rule;
    judgement.may_write_unit = 64;
    judgement.canary = 0x7fc0dead;
    return judge_logits(lane_case.problem(), compact_view<2>(got.data(), ElementType::kFp32, {2, 100}), {},
                        judgement, {1})
        .bound;
  };
  std::vector<float> clean = kernel.run(MqaBug::kNone, kMinusInfinity);
  EXPECT_TRUE(compare(clean, OutsideRule::kClean).passed());
  clean[100 + 40] = -3e38f;
  EXPECT_EQ(compare(clean, OutsideRule::kClean).wrong(ElementClass::kMaskBroken), 1);

  std::vector<float> untouched = kernel.run(MqaBug::kNone, bit_cast<float>(std::uint32_t{0x7fc0dead}));
  EXPECT_TRUE(compare(untouched, OutsideRule::kUntouched).passed());
  untouched[100 + 63] = 1;  // inside the unit that row 1 ends in
  EXPECT_TRUE(compare(untouched, OutsideRule::kUntouched).passed());
  untouched[100 + 64] = 1;
  const ComparisonReport report = compare(untouched, OutsideRule::kUntouched);
  EXPECT_EQ(report.wrong(ElementClass::kStrayWrite), 1);
  EXPECT_EQ(report.worst()->at, (Coordinates{1, 64, 0}));
}

TEST(MqaBound, AnAddressLaneNamesTheBlockAndSlotThatWereRead) {
  const MqaLaneCase lane_case = make_mqa_lane(MqaLane::kAddress, shape_of(300), 3);
  const EmulatedMqa kernel(lane_case, Accumulator::kTensorCoreFp8);
  const std::vector<float> got = kernel.run(MqaBug::kStaleToken, kMinusInfinity);
  for (std::int64_t t = 0; t < 300; ++t) {
    const std::int64_t read = t == 150 ? 149 : t;
    const auto place = decode_logit_address(static_cast<double>(got[t]), 64);
    ASSERT_TRUE(place.has_value());
    EXPECT_EQ(place->block, lane_case.table[read / 64]);
    EXPECT_EQ(place->slot, read % 64);
  }
}

TEST(MqaBound, PrefillIsJudgedInFullAndInCompressedForm) {
  const std::int32_t queries = 20, keys = 300, heads = 8, dims = 32;
  const RandomStream random(4, "prefill");
  std::vector<std::uint8_t> q, k;
  std::vector<float> scales, weights;
  std::vector<std::int32_t> starts, ends;
  for (int i = 0; i < queries * heads * dims; ++i)
    q.push_back(E4M3::encode(static_cast<double>(random.child(0).normal(i))));
  for (int i = 0; i < keys * dims; ++i)
    k.push_back(E4M3::encode(static_cast<double>(random.child(1).normal(i))));
  for (int i = 0; i < keys; ++i) scales.push_back(0.5f + random.child(2).uniform(i));
  for (int i = 0; i < queries * heads; ++i) weights.push_back(random.child(3).normal(i));
  for (int i = 0; i < queries; ++i) {
    starts.push_back(10 * i);
    ends.push_back(i == 7 ? 0 : 10 * i + 100);  // row 7 is empty
  }
  MqaLogitsCase problem;
  problem.q = compact_view<3>(q.data(), ElementType::kE4M3, {queries, heads, dims});
  problem.keys = compact_view<2>(k.data(), ElementType::kE4M3, {keys, dims});
  problem.key_scales = compact_view<1>(scales.data(), ElementType::kFp32, {keys});
  problem.weights = compact_view<2>(weights.data(), ElementType::kFp32, {queries, heads});
  problem.starts = {starts.data(), queries, 1};
  problem.ends = {ends.data(), queries, 1};
  for (const bool compressed : {false, true}) {
    const std::int64_t columns = compressed ? 128 : keys;
    std::vector<double> golden(queries * columns);
    mqa_logits(problem, compact_result<2>(golden.data(), {queries, columns}), {true, compressed}, {1});
    // bf16 output, rounded once: with exact judgement not one element may differ.
    std::vector<std::uint16_t> got;
    for (const double x : golden) got.push_back(Bf16::encode(x, Overflow::kInfinity));
    LogitsJudgement judgement;
    judgement.outside = OutsideRule::kClean;
    judgement.compressed = compressed;
    judgement.exact = true;
    const auto compare = [&] {
      return judge_logits(problem, compact_view<2>(got.data(), ElementType::kBf16, {queries, columns}), {},
                          judgement, {2});
    };
    LogitsComparison report = compare();
    EXPECT_TRUE(report.bound.passed()) << report.bound.summary();
    EXPECT_EQ(report.golden.elements, 19 * 100);
    EXPECT_EQ(report.bound.count(), queries * columns);
    const std::int64_t column = compressed ? 5 : 35;  // row 3, position 35
    got[3 * columns + column] ^= 1;
    report = compare();
    EXPECT_EQ(report.bound.wrong(), 1);
    EXPECT_EQ(report.bound.worst()->at, (Coordinates{3, 35, 0}));
    got[7 * columns + 90] = 0;  // a number in the empty row
    EXPECT_EQ(compare().bound.wrong(ElementClass::kMaskBroken), 1);
  }
}

TEST(MqaBound, ReportsDoNotDependOnTheNumberOfThreads) {
  const MqaLaneCase lane_case = make_mqa_lane(MqaLane::kHeavyTail, shape_of(700), 3);
  const EmulatedMqa kernel(lane_case, Accumulator::kFp32);
  const std::vector<float> got = kernel.run(MqaBug::kStaleToken, kMinusInfinity);
  const auto with = [&](int threads) {
    return judge_logits(lane_case.problem(),
                        compact_view<2>(got.data(), ElementType::kFp32, {lane_case.rows(), kernel.columns}),
                        {}, {}, {threads});
  };
  const LogitsComparison one = with(1), three = with(3);
  EXPECT_EQ(one.bound.summary(), three.bound.summary());
  EXPECT_EQ(one.tolerance.text(), three.tolerance.text());
}

}  // namespace
}  // namespace assay
