// What the pool and the scheduler cost: allocate/free pairs a second, steps a second by batch.
#include <benchmark/benchmark.h>

#include "sim/engine/scheduler.h"

namespace assay {
namespace {

void take_and_release(benchmark::State& state) {
  BlockPool pool(static_cast<std::int32_t>(state.range(0)));
  for (auto _ : state) pool.release(pool.take());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(take_and_release)->Arg(1 << 10)->Arg(1 << 20);

void take_publish_release(benchmark::State& state) {
  BlockPool pool(static_cast<std::int32_t>(state.range(0)));
  BlockContent content = 0;
  for (auto _ : state) {
    const std::int32_t block = pool.take();
    pool.publish(block, content++);
    pool.release(block);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(take_publish_release)->Arg(1 << 10)->Arg(1 << 20);

void decode_steps(benchmark::State& state) {
  SchedulerOptions options;
  options.blocks = 1 << 20;
  options.max_sequences = static_cast<std::int32_t>(state.range(0));
  options.token_budget = 1 << 20;
  Scheduler scheduler(options);
  StepRecord record;
  for (int i = 0; i < state.range(0); ++i) {
    const std::int32_t handle = scheduler.create();
    scheduler.sequence(handle).prompt_tokens = 100;
    scheduler.sequence(handle).output_tokens = 1 << 14;
    scheduler.submit(handle);
  }
  std::int64_t steps = 0;
  for (auto _ : state) {
    if (++steps == 1 << 13) state.SkipWithError("sequences ran out");
    scheduler.schedule(record);
    scheduler.complete(record);
    scheduler.release_finished(record);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decode_steps)->Arg(16)->Arg(64)->Arg(256)->Iterations(4000);

}  // namespace
}  // namespace assay
