// Steps a second per planner for a batch of 64: a replay asks every decode step.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "model/core/philox.h"
#include "sim/schedules/balance.h"

namespace assay {
namespace {

void steps(benchmark::State& state, const Planner& planner) {
  const RandomStream stream(1, "lengths");
  std::vector<std::int64_t> lengths(64);
  for (std::size_t i = 0; i < lengths.size(); ++i)
    lengths[i] = 716 + static_cast<std::int64_t>(stream.below(i, 8000));
  BalanceScratch scratch;
  const DecodeBatch batch{lengths, kH200SmCount, planner.multi_query_only ? 1 : 8, 8};
  for (auto _ : state) {
    lengths[0] ^= 1;
    benchmark::DoNotOptimize(balance_of(planner, batch, scratch));
  }
  state.SetItemsProcessed(state.iterations());
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Planner& planner : planners())
    benchmark::RegisterBenchmark(("steps/" + std::string(planner.name)).c_str(),
                                 [&planner](benchmark::State& state) { steps(state, planner); });
  return true;
}();

}  // namespace
}  // namespace assay
