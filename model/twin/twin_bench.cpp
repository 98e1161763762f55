// How fast the twin predicts. items_per_second counts head-dot-products: (query head, token) pairs of
// D elements each. docs/twin.md holds the measured figures.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "model/core/philox.h"
#include "model/twin/fp8_scores.h"
#include "model/twin/half_steps.h"
#include "model/twin/mqa_logits_twin.h"
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
  const auto q = random_codes(kHeads * dims, "q");
  const auto k = random_codes(kTileTokens * dims, "k");
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

// The bf16 step over a tile of 128 lanes and 128 k: items are products of one lane with one shared row.
template <typename Format>
void half_tile(benchmark::State& state) {
  constexpr int kLanes = 128, kDepth = 128;
  const RandomStream random(1, "half");
  std::vector<typename Format::Code> codes, shared;
  for (std::uint64_t i = 0; i < kLanes * kDepth; ++i)
    codes.push_back(Format::encode(static_cast<double>(random.normal(i))));
  for (std::uint64_t i = 0; i < kDepth; ++i)
    shared.push_back(Format::encode(static_cast<double>(random.normal(i + 99999))));
  std::vector<const typename Format::Code*> rows;
  for (int k = 0; k < kDepth; ++k) rows.push_back(codes.data() + k * kLanes);
  HalfTile<Format> tile;
  tile.load_rows(rows.data(), kDepth, kLanes);
  std::vector<float> accumulators(kLanes);
  for (auto _ : state) {
    std::fill(accumulators.begin(), accumulators.end(), 0.0f);
    tile.accumulate(shared.data(), accumulators.data());
    benchmark::DoNotOptimize(accumulators.data());
  }
  state.SetItemsProcessed(state.iterations() * kLanes);
}

template <typename Format>
void half_tile_load(benchmark::State& state) {
  constexpr int kLanes = 128, kDepth = 128;
  const RandomStream random(1, "half");
  std::vector<typename Format::Code> codes;
  for (std::uint64_t i = 0; i < kLanes * kDepth; ++i)
    codes.push_back(Format::encode(static_cast<double>(random.normal(i))));
  std::vector<const typename Format::Code*> rows;
  for (int k = 0; k < kDepth; ++k) rows.push_back(codes.data() + k * kLanes);
  HalfTile<Format> tile;
  for (auto _ : state) {
    tile.load_lanes(rows.data(), kDepth, kLanes);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kLanes);
}
BENCHMARK_TEMPLATE(half_tile, Bf16);
BENCHMARK_TEMPLATE(half_tile_load, Bf16);
BENCHMARK_TEMPLATE(half_tile, Fp16);

template <typename Format>
void half_slow_reference(benchmark::State& state) {
  std::vector<typename Format::Code> a(128, Format::encode(1.7)), b(128, Format::encode(-0.3));
  for (auto _ : state) benchmark::DoNotOptimize(tensor_core_dot<Format>(a.data(), b.data(), 128));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_TEMPLATE(half_slow_reference, Bf16);

// The whole twin on a paged batch, as a verification uses it: gathering, decoding, scores, epilogue.
void paged_twin(benchmark::State& state) {
  const auto heads = static_cast<int>(state.range(0)), dims = static_cast<int>(state.range(1));
  const auto threads = static_cast<int>(state.range(2));
  constexpr std::int64_t kBatch = 8, kContext = 4096, kBlockTokens = 64;
  constexpr std::int64_t kBlocks = kBatch * kContext / kBlockTokens;
  const FusedIndexLayout layout = make_fused_index_layout(kBlockTokens, dims);
  auto cache = random_codes(static_cast<std::size_t>(kBlocks * layout.block_stride), "cache");
  const auto q = random_codes(static_cast<std::size_t>(kBatch * heads * dims), "q");
  const std::vector<float> weights(static_cast<std::size_t>(kBatch * heads), 0.3f);
  const std::vector<std::int32_t> contexts(kBatch, kContext);
  std::vector<std::int32_t> table;
  for (std::int64_t i = 0; i < kBlocks; ++i) table.push_back(static_cast<std::int32_t>(i * 77 % kBlocks));
  std::vector<float> logits(static_cast<std::size_t>(kBatch * kContext));
  PagedMqaLogitsCase problem;
  problem.q = compact_view<4>(q.data(), ElementType::kE4M3, {kBatch, 1, heads, dims});
  problem.weights = compact_view<2>(weights.data(), ElementType::kFp32, {kBatch, heads});
  problem.cache = {cache.data(), layout, kBlocks};
  problem.table = {table.data(), kContext / kBlockTokens, kContext / kBlockTokens};
  problem.contexts = {contexts.data(), kBatch, 0, 1, 1};
  for (auto _ : state) {
    predict_paged_mqa_logits(problem, {logits.data(), ElementType::kFp32, kBatch, kContext, kContext}, {},
                             {threads});
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kBatch * kContext * heads);
}
BENCHMARK(paged_twin)
    ->ArgNames({"H", "D", "threads"})
    ->Args({64, 128, 1})
    ->Args({64, 128, 2})
    ->Args({32, 128, 2})
    ->Args({64, 64, 2})
    ->Args({64, 32, 2})
    ->UseRealTime();

}  // namespace
}  // namespace assay::twin
