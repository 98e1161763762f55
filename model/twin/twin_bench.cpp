// How fast the twin predicts. items_per_second counts head-dot-products: (query head, token) pairs of
// D elements each. docs/twin.md holds the measured figures.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "model/core/philox.h"
#include "model/twin/fp8_scores.h"
#include "model/twin/tensor_core.h"

namespace assay::twin {
namespace {

std::vector<std::uint8_t> random_codes(std::size_t count, const char* purpose) {
  const RandomStream random(1, purpose);
  std::vector<std::uint8_t> codes(count);
  for (std::size_t i = 0; i < count; ++i) codes[i] = E4M3::encode(static_cast<double>(random.normal(i)) * 8);
  return codes;
}

void slow_reference(benchmark::State& state) {
  const int dims = static_cast<int>(state.range(0));
  const auto a = random_codes(static_cast<std::size_t>(dims), "a"),
             b = random_codes(static_cast<std::size_t>(dims), "b");
  for (auto _ : state) benchmark::DoNotOptimize(tensor_core_dot<E4M3>(a.data(), b.data(), dims));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(slow_reference)->Arg(128);

void score_path(benchmark::State& state, ScorePath path) {
  if (!is_supported(path)) {
    state.SkipWithError("this processor does not have it");
    return;
  }
  constexpr int kHeads = 64;
  const int dims = static_cast<int>(state.range(0));
  const auto q = random_codes(static_cast<std::size_t>(kHeads * dims), "q");
  const auto k = random_codes(static_cast<std::size_t>(kTileTokens * dims), "k");
  std::array<const std::uint8_t*, kTileTokens> keys;
  for (int t = 0; t < kTileTokens; ++t)
    keys[static_cast<std::size_t>(t)] = k.data() + static_cast<std::ptrdiff_t>(t) * dims;
  const auto tile = std::make_unique<KeyTile>();
  load_keys<E4M3>(keys, dims, *tile);
  QueryHeads queries;
  queries.load<E4M3>(q.data(), kHeads, dims, dims);
  std::vector<float> scores(static_cast<std::size_t>(kHeads) * kTileTokens);
  for (auto _ : state) {
    score_tile<E4M3>(queries, *tile, path, scores.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kHeads * kTileTokens);
}
BENCHMARK_CAPTURE(score_path, portable, ScorePath::kPortable)->Arg(128);
BENCHMARK_CAPTURE(score_path, avx2, ScorePath::kAvx2)->Arg(32)->Arg(64)->Arg(128);
BENCHMARK_CAPTURE(score_path, avx512, ScorePath::kAvx512)->Arg(32)->Arg(64)->Arg(128);

}  // namespace
}  // namespace assay::twin
