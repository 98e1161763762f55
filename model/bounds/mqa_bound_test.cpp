// The kill matrix of MQA logits: an emulated kernel with one of seven bugs, judged by the bound.
#include "model/bounds/mqa_bound.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>

#include "model/bounds/emulated_mqa.h"

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
