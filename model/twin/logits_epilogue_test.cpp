// The declared order of a logit's reduction: what a kernel compiles is what the twin computes, every head
// has one place, and the output conversions are the formats' own.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "model/core/float_formats.h"
#include "model/core/logits_reduction.h"
#include "model/core/philox.h"
#include "model/twin/mqa_logits_twin.h"

namespace assay::twin {
namespace {

// What a kernel compiles (lane_total over registers, quad_logit) is what the twin computes.
template <int kHeads>
void check_kernel_epilogue() {
  const RandomStream random(static_cast<std::uint64_t>(kHeads), "epilogue");
  std::vector<float> scores, weights, scales;
  for (int i = 0; i < kHeads * kTileTokens; ++i)
    scores.push_back(random.normal(static_cast<std::uint64_t>(i)) * 100);
  for (int i = 0; i < kHeads; ++i) weights.push_back(random.normal(i + 100000) / 3);
  for (int i = 0; i < kTileTokens; ++i) scales.push_back(random.uniform(i + 200000));
  float logits[kTileTokens];
  reduce_tile(scores.data(), weights.data(), scales.data(), kHeads, logits);
  for (int t = 0; t < kTileTokens; ++t) {
    float totals[LogitsReduction::kLanes];
    for (int lane = 0; lane < LogitsReduction::kLanes; ++lane) {
      float held[kHeads / 4], own[kHeads / 4];
      for (int i = 0; i < kHeads / 4; ++i) {
        const int head = LogitsReduction::head_of_accumulator(lane, i);
        held[i] = scores[head * kTileTokens + t];
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

}  // namespace
}  // namespace assay::twin
