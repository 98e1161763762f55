// What cache mode costs beyond reading the trace, per policy: prompts already in memory, 512-token
// blocks. The trace is ours: 12,000 prompts of a conversational shape, about 300,000 block references,
// the size of Mooncake's conversation trace; ASSAY_TRACES is not needed.
//
//   time per iteration = interning the blocks + the policy; items = block references
#include <benchmark/benchmark.h>

#include "sim/cache/cache_replay.h"
#include "sim/cache/miss_ratio_curve.h"
#include "sim/cache/trace_in_memory.h"

namespace assay {
namespace {

constexpr std::int32_t kHashTokens = 512;

// Turns of conversations: a prompt repeats an earlier one and goes on, or starts anew behind one shared block.
TraceInMemory conversation_like() {
  const RandomStream stream(1, "cache bench");
  std::vector<Request> requests;
  std::int64_t next_id = 1;
  for (std::uint64_t i = 0; i < 12'000; ++i) {
    std::vector<std::int64_t> ids{0};
    if (i > 0 && stream.below(4 * i, 100) < 45) {  // a later turn of an earlier conversation
      const std::uint64_t back = 1 + stream.below(4 * i + 1, std::min<std::uint64_t>(i, 3000));
      ids = requests[static_cast<std::size_t>(i - back)].hash_ids;
    }
    const std::uint64_t added = 2 + stream.below(4 * i + 2, 26);
    for (std::uint64_t k = 0; k < added && ids.size() < 240; ++k) ids.push_back(next_id++);
    const auto blocks = static_cast<std::int64_t>(ids.size());
    requests.push_back(prompt_of(
        blocks * kHashTokens - static_cast<std::int64_t>(stream.below(4 * i + 3, 512)), std::move(ids)));
  }
  return TraceInMemory(kHashTokens, std::move(requests));
}

void replay_bench(benchmark::State& state, CachePolicy policy) {
  TraceInMemory trace = conversation_like();
  std::int64_t references = 0;
  for (auto _ : state) {
    trace.rewind();
    const CacheReplayResult result = replay_cache(trace, {kHashTokens, state.range(0), policy, nullptr});
    references += result.block_references;
    benchmark::DoNotOptimize(result.block_hits);
  }
  state.SetItemsProcessed(references);
}

void curve_bench(benchmark::State& state) {
  TraceInMemory trace = conversation_like();
  std::int64_t references = 0;
  for (auto _ : state) {
    trace.rewind();
    const MissRatioCurve curve = miss_ratio_curve(trace, {kHashTokens, CachePolicy::kLru, nullptr});
    references += curve.block_references;
    benchmark::DoNotOptimize(curve.points.data());
  }
  state.SetItemsProcessed(references);
}

#define ASSAY_CACHE_BENCH(policy) \
  BENCHMARK_CAPTURE(replay_bench, policy, CachePolicy::policy)->Arg(10'000)->Unit(benchmark::kMillisecond)
ASSAY_CACHE_BENCH(kLru);
ASSAY_CACHE_BENCH(kLruPromptOrder);
ASSAY_CACHE_BENCH(kFifo);
ASSAY_CACHE_BENCH(kLfu);
ASSAY_CACHE_BENCH(kS3Fifo);
ASSAY_CACHE_BENCH(kLengthAware);
ASSAY_CACHE_BENCH(kBelady);
ASSAY_CACHE_BENCH(kBeladyPinned);
#undef ASSAY_CACHE_BENCH
BENCHMARK(curve_bench)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace assay
