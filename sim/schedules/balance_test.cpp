// Balance figures: hand-made loads, and the published table of makespan / ideal for public planners,
// reproduced to the printed digits on mixes whose lengths are fixed.
#include "sim/schedules/balance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace assay {
namespace {

// Halves to even, as the table was printed: 4.125 is 4.12.
double two_digits(double value) { return std::nearbyint(value * 100) / 100; }

TEST(FluidMakespan, EqualLoadsTakeTheirOwnTimeAndALoneLoadRunsAtItsCap) {
  const std::vector<std::int64_t> equal{10, 10, 10, 10};
  EXPECT_DOUBLE_EQ(fluid_makespan(equal, 2), 10);
  const std::vector<std::int64_t> lone{0, 0, 0, 10};
  EXPECT_DOUBLE_EQ(fluid_makespan(lone, 2), 5);
  EXPECT_DOUBLE_EQ(fluid_makespan(lone, 8), 2.5) << "four parts' bandwidth is all there is";
  const std::vector<std::int64_t> mixed{2, 2, 2, 10};  // 2 at rate 1, then 8 alone at rate 2
  EXPECT_DOUBLE_EQ(fluid_makespan(mixed, 2), 6);
}

TEST(Balance, CountsIdlePartsAndDeadSlots) {
  const std::vector<std::int64_t> lengths{8192};
  BalanceScratch scratch;
  const Balance balance = balance_of(planner_named("deepgemm"), DecodeBatch{lengths}, scratch);
  EXPECT_EQ(balance.idle_parts, 100);  // 32 segments of 256 on 132 parts
  EXPECT_EQ(balance.useful_tokens, 8192);
  EXPECT_EQ(balance.scheduled_tokens, 8192);
  EXPECT_DOUBLE_EQ(balance.max_over_mean, 132.0 / 32);
}

TEST(Balance, NoWorkIsPerfectlyBalanced) {
  const std::vector<std::int64_t> lengths{0, 0};
  BalanceScratch scratch;
  for (const Planner& planner : planners()) {
    const Balance balance = balance_of(planner, DecodeBatch{lengths}, scratch);
    EXPECT_EQ(balance.max_over_mean, 1);
    EXPECT_EQ(balance.fluid_over_ideal, 1);
  }
}

// The reference generator of the table: MT19937 seeded from a key array, integers by rejection on the
// top bits. Only here, because the table's lengths were drawn with it.
class ReferenceRandom {
 public:
  explicit ReferenceRandom(std::uint32_t seed) {
    state_[0] = 19650218u;
    for (std::uint32_t i = 1; i < 624; ++i)
      state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
    std::uint32_t i = 1;
    for (int k = 0; k < 624; ++k) {
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + seed;
      if (++i == 624) state_[0] = state_[623], i = 1;
    }
    for (int k = 0; k < 623; ++k) {
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - i;
      if (++i == 624) state_[0] = state_[623], i = 1;
    }
    state_[0] = 0x80000000u;
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    const auto count = static_cast<std::uint32_t>(high - low + 1);
    const int bits = 32 - __builtin_clz(count);
    std::uint32_t drawn = next() >> (32 - bits);
    while (drawn >= count) drawn = next() >> (32 - bits);
    return low + drawn;
  }

 private:
  std::uint32_t next() {
    if (at_ == 624) {
      for (int k = 0; k < 624; ++k) {
        const std::uint32_t y = (state_[k] & 0x80000000u) | (state_[(k + 1) % 624] & 0x7fffffffu);
        state_[k] = state_[(k + 397) % 624] ^ (y >> 1) ^ ((y & 1) ? 0x9908b0dfu : 0);
      }
      at_ = 0;
    }
    std::uint32_t y = state_[at_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }
  std::uint32_t state_[624];
  int at_ = 624;
};

struct Mixes {
  std::vector<std::vector<std::int64_t>> u8k;  // B = 1, 8, 16, 64, 128, 256, 1024, 4096
  std::vector<std::vector<std::int64_t>> u1k;  // B = 16, 64, 256
};
Mixes mixes() {
  ReferenceRandom random(1);
  Mixes result;
  const auto draw = [&](int batch, int low, int high) {
    std::vector<std::int64_t> lengths;
    for (int i = 0; i < batch; ++i) lengths.push_back(random.between(low, high));
    return lengths;
  };
  for (const int batch : {1, 8, 16, 64, 128, 256, 1024, 4096}) result.u8k.push_back(draw(batch, 5734, 10649));
  for (const int batch : {16, 64, 256}) result.u1k.push_back(draw(batch, 716, 1331));
  return result;
}

const std::vector<std::int64_t> kThunder{4641, 45118, 1730, 1696};
std::vector<std::int64_t> one_long_among_short() {
  std::vector<std::int64_t> lengths(64, 2048);
  lengths[0] = 131072;
  return lengths;
}

// compute-like | fluid for the logits kernels: DeepGEMM, 64-token stream-K, FlashMLA.
struct LogitsRow {
  std::vector<std::int64_t> lengths;
  double deepgemm[2], stream_k[2], flashmla[2];
};

TEST(PublishedBalance, TheLogitsRowsAreReproducedToThePrintedDigits) {
  const Mixes mix = mixes();
  EXPECT_EQ(mix.u8k[0][0], 6834);
  const std::vector<LogitsRow> rows{
      {{8192}, {4.12, 2.06}, {1.03, 1.00}, {2.06, 1.03}},
      {{40960}, {1.65, 1.24}, {1.03, 1.00}, {1.03, 1.00}},
      {mix.u8k[1], {1.47, 1.23}, {1.10, 1.04}, {1.10, 1.00}},
      {mix.u8k[2], {1.11, 1.02}, {1.04, 1.01}, {1.11, 1.00}},
      {mix.u8k[3], {1.05, 1.02}, {1.01, 1.00}, {1.05, 1.00}},
      {mix.u8k[5], {1.02, 1.02}, {1.00, 1.00}, {1.02, 1.01}},
      {mix.u1k[0], {2.10, 1.14}, {1.05, 1.03}, {1.57, 1.03}},
      {mix.u1k[1], {1.51, 1.26}, {1.14, 1.07}, {1.39, 1.04}},
      {mix.u1k[2], {1.15, 1.12}, {1.05, 1.04}, {1.18, 1.09}},
      {kThunder, {1.27, 1.01}, {1.11, 1.03}, {1.11, 1.00}},
  };
  BalanceScratch scratch;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const DecodeBatch batch{rows[i].lengths};
    const auto expect = [&](const char* name, const double(&expected)[2]) {
      const Balance balance = balance_of(planner_named(name), batch, scratch);
      EXPECT_NEAR(two_digits(balance.compute_over_ideal), expected[0], 0.0051) << name << " row " << i;
      EXPECT_NEAR(two_digits(balance.fluid_over_ideal), expected[1], 0.0051) << name << " row " << i;
    };
    expect("deepgemm", rows[i].deepgemm);
    expect("stream-k", rows[i].stream_k);
    expect("flashmla", rows[i].flashmla);
  }
}

TEST(PublishedBalance, TheAttentionRowsAreReproducedToThePrintedDigits) {
  const Mixes mix = mixes();
  struct Row {
    std::vector<std::int64_t> lengths;
    double fi_decode, fi_holistic, fa3_dynamic, fixed, xqa, longest_first;
  };
  const std::vector<Row> rows{
      {mix.u8k[1], 1.07, 1.10, 1.57, 1.26, 1.26, 2.49},
      {mix.u8k[2], 1.08, 1.27, 1.28, 1.44, 1.44, 1.43},
      {mix.u8k[3], 1.23, 1.19, 1.04, 1.15, 1.30, 1.03},
      {mix.u8k[5], 1.11, 1.06, 1.03, 1.04, 1.09, 1.02},
      {{8192}, 1.03, 1.03, 1.29, 1.29, 1.42, 16.5},
      {kThunder, 1.05, 1.11, 1.11, 3.53, 4.67, 14.0},
      {one_long_among_short(), 11.09, 1.02, 1.04, 8.31, 8.57, 8.31},
  };
  BalanceScratch scratch;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const DecodeBatch batch{rows[i].lengths, kH200SmCount, 8, 8};
    const auto expect = [&](const char* name, double expected) {
      const double got = balance_of(planner_named(name), batch, scratch).compute_over_ideal;
      // Printed with two digits, three figures above ten.
      EXPECT_NEAR(got, expected, expected > 12 ? 0.051 : 0.0051) << name << " row " << i;
    };
    expect("flashinfer-decode", rows[i].fi_decode);
    expect("flashinfer-holistic", rows[i].fi_holistic);
    expect("fa3-dynamic", rows[i].fa3_dynamic);
    expect("fa3-static", rows[i].fixed);
    expect("xqa", rows[i].xqa);
    expect("longest-first", rows[i].longest_first);
  }
}

TEST(PublishedBalance, TheLatentAttentionRowsAreReproducedToThePrintedDigits) {
  const Mixes mix = mixes();
  struct Row {
    std::vector<std::int64_t> lengths;
    double flashmla, flashinfer_mla;
  };
  const std::vector<Row> rows{{mix.u8k[0], 1.24, 2.47}, {mix.u8k[3], 1.05, 1.42}, {mix.u8k[4], 1.02, 1.31},
                              {mix.u8k[5], 1.01, 1.17}, {mix.u1k[1], 1.32, 1.53}, {{8192}, 1.55, 2.06},
                              {kThunder, 1.03, 1.27}};
  BalanceScratch scratch;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const DecodeBatch batch{rows[i].lengths, kH200SmCount, 1, 128};
    EXPECT_NEAR(balance_of(planner_named("flashmla"), batch, scratch).compute_over_ideal, rows[i].flashmla,
                0.0051)
        << i;
    EXPECT_NEAR(balance_of(planner_named("flashinfer-mla"), batch, scratch).compute_over_ideal,
                rows[i].flashinfer_mla, 0.0051)
        << i;
  }
}

}  // namespace
}  // namespace assay
