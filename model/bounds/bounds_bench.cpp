// What a judgement costs: golden, bound and comparison of every element in one pass. The kernel's output
// is all zeros (every element is wrong), which costs as much as a right one.
#include <benchmark/benchmark.h>

#include <vector>

#include "model/bounds/attention_bound.h"
#include "model/bounds/lanes.h"
#include "model/bounds/mqa_bound.h"

namespace assay {
namespace {

// Arguments: accumulator, threads.
void judge_logits_bench(benchmark::State& state) {
  MqaShape shape;
  shape.contexts.assign(16, 8192);
  const MqaLaneCase lane_case = make_mqa_lane(MqaLane::kGaussian, shape, 1);
  const std::vector<float> got(16 * 8192);
  Arithmetic arithmetic;
  arithmetic.accumulator = static_cast<Accumulator>(state.range(0));
  std::int64_t wrong = 0;
  for (auto _ : state)
    wrong = judge_logits(lane_case.problem(), compact_view<2>(got.data(), ElementType::kFp32, {16, 8192}),
                         arithmetic, {}, {static_cast<int>(state.range(1))})
                .bound.wrong();
  state.counters["elements/s"] =
      benchmark::Counter(16.0 * 8192 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["wrong"] = static_cast<double>(wrong);
  state.SetLabel(name_of(arithmetic.accumulator));
}
BENCHMARK(judge_logits_bench)
    ->Name("judge_logits/B:16/ctx:8192/H:64/D:128")
    ->ArgNames({"accumulator", "threads"})
    ->Args({0, 1})
    ->Args({2, 1})
    ->Args({2, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void judge_attention_bench(benchmark::State& state) {
  AttentionShape shape;
  shape.query_heads = 64;
  shape.contexts.assign(2, 8192);
  const AttentionLaneCase lane_case = make_attention_lane(AttentionLane::kGaussian, shape, 1);
  const std::vector<std::uint16_t> got(2 * 64 * 128);
  for (auto _ : state)
    benchmark::DoNotOptimize(judge_attention(lane_case.problem(),
                                             compact_view<3>(got.data(), ElementType::kBf16, {2, 64, 128}),
                                             {}, {}, {static_cast<int>(state.range(0))})
                                 .out.wrong());
  state.counters["tokens*rows/s"] = benchmark::Counter(
      2.0 * 64 * 8192 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(judge_attention_bench)
    ->Name("judge_attention/B:2/ctx:8192/Hq:64/Hkv:8/D:128")
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace assay
