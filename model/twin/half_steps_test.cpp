// The vector form of the bf16 and fp16 step against the slow reference: random steps of every family,
// every question of the probes (specials, subnormal results, overflow), both ways of loading a tile,
// and lane counts that do not fill a vector.
#include "model/twin/half_steps.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "model/core/philox.h"
#include "model/twin/probes.h"

namespace assay::twin {
namespace {

template <typename Format>
StepOperands operands() {
  const ElementType type = Format::kBias == 127 ? ElementType::kBf16 : ElementType::kFp16;
  return {type, type};
}

template <typename Format>
class HalfSteps : public testing::Test {};
using Formats = testing::Types<Bf16, Fp16>;
TYPED_TEST_SUITE(HalfSteps, Formats);

// Each probe in a lane of its own needs a shared side of its own: one tile per probe, one lane among
// lanes of other content.
TYPED_TEST(HalfSteps, EveryProbeIsAnsweredAsTheSlowStepDoes) {
  using Code = typename TypeParam::Code;
  auto probes = step_probes(operands<TypeParam>());
  for (const StepProbe& probe : random_step_probes(operands<TypeParam>(), 21, 20000)) probes.push_back(probe);
  HalfTile<TypeParam> tile;
  for (std::size_t i = 0; i < 2 * probes.size(); ++i) {
    const std::size_t p = i / 2;
    std::vector<std::vector<Code>> lanes(1 + p % 21, std::vector<Code>(16));
    std::vector<const Code*> columns;
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      std::memcpy(lanes[l].data(), probes[(p + l) % probes.size()].a.data(), kStepBytes);
      columns.push_back(lanes[l].data());
    }
    Code shared[16];
    std::memcpy(shared, probes[p].b.data(), kStepBytes);
    tile.load_lanes(columns.data(), 16, static_cast<int>(lanes.size()));
    std::vector<float> accumulators, expected;
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      accumulators.push_back(bit_cast<float>(probes[(p + l) % probes.size()].accumulator));
      expected.push_back(tensor_core_step<TypeParam>(lanes[l].data(), shared, accumulators[l]));
    }
    ASSERT_EQ(bit_cast<std::uint32_t>(expected[0]), probes[p].expected);
    tile.accumulate(shared, accumulators.data(), i % 2 ? HalfPath::kFastest : HalfPath::kPortable);
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      ASSERT_EQ(bit_cast<std::uint32_t>(accumulators[l]), bit_cast<std::uint32_t>(expected[l]))
          << "probe " << p << " \"" << probes[(p + l) % probes.size()].question << "\" lane " << l;
    }
  }
}

TYPED_TEST(HalfSteps, RowsAndLanesAreTheSameTileAndStepsRunInTheOrderOfK) {
  using Code = typename TypeParam::Code;
  const RandomStream random(4, "half tiles");
  for (const int lanes : {1, 8, 16, 64, 100, 128}) {
    constexpr int kDepth = 64;
    std::vector<Code> codes(kDepth * lanes), transposed(codes.size()), shared;
    for (int k = 0; k < kDepth; ++k) {
      for (int lane = 0; lane < lanes; ++lane) {
        const auto at = static_cast<std::size_t>(k) * lanes + lane;
        codes[at] = TypeParam::encode(static_cast<double>(random.normal(at)) * (k % 3 ? 1 : 1e-3));
        transposed[lane * kDepth + k] = k == 17 ? Code{0} : codes[at];
      }
      shared.push_back(
          TypeParam::encode(static_cast<double>(random.normal(static_cast<std::uint64_t>(k) + 90000))));
    }
    std::vector<const Code*> rows, columns;
    for (int k = 0; k < kDepth; ++k) rows.push_back(k == 17 ? nullptr : codes.data() + k * lanes);
    for (int lane = 0; lane < lanes; ++lane) columns.push_back(transposed.data() + lane * kDepth);
    HalfTile<TypeParam> by_rows, by_lanes;
    by_rows.load_rows(rows.data(), kDepth, lanes);
    by_lanes.load_lanes(columns.data(), kDepth, lanes);
    std::vector<float> first(static_cast<std::size_t>(lanes)), second(first);
    by_rows.accumulate(shared.data(), first.data());
    by_lanes.accumulate(shared.data(), second.data(), HalfPath::kPortable);
    for (int lane = 0; lane < lanes; ++lane) {
      const float expected =
          tensor_core_dot<TypeParam>(columns[static_cast<std::size_t>(lane)], shared.data(), kDepth);
      ASSERT_EQ(bit_cast<std::uint32_t>(first[static_cast<std::size_t>(lane)]),
                bit_cast<std::uint32_t>(expected))
          << lane;
      ASSERT_EQ(bit_cast<std::uint32_t>(second[static_cast<std::size_t>(lane)]),
                bit_cast<std::uint32_t>(expected))
          << lane;
    }
  }
}

}  // namespace
}  // namespace assay::twin
