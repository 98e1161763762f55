// How fast traces are read: bytes of text per second on one core, from memory, so that the disk is not
// part of it. Lines are made in the shape of the public traces (lengths and ids as long as theirs).
#include <benchmark/benchmark.h>

#include <string>

#include "model/core/philox.h"
#include "traces/describe.h"
#include "traces/generate.h"
#include "traces/lint.h"
#include "traces/open.h"

namespace assay {
namespace {

constexpr std::size_t kBytes = std::size_t{32} << 20;

// Mooncake's shape: about 24 ids a line, rising to six digits.
std::string mooncake_text() {
  const RandomStream random(1, "mooncake bench");
  std::string out;
  std::uint64_t index = 0, next_id = 0;
  std::int64_t time_ms = 0;
  while (out.size() < kBytes) {
    const auto blocks = 1 + random.below(index, 47);
    time_ms += static_cast<std::int64_t>(random.below(index + 1, 600));
    out += "{\"timestamp\": " + std::to_string(time_ms) +
           ", \"input_length\": " + std::to_string(blocks * 512 - random.below(index + 2, 512)) +
           ", \"output_length\": " + std::to_string(1 + random.below(index + 3, 700)) + ", \"hash_ids\": [0";
    for (std::uint64_t i = 1; i < blocks; ++i) out += ", " + std::to_string(++next_id % 190000);
    out += "]}\n";
    index += 4;
  }
  return out;
}

std::string azure_text() {
  const RandomStream random(1, "azure bench");
  std::string out = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n";
  std::uint64_t index = 0;
  while (out.size() < kBytes) {
    char line[80];
    const auto second = index / 5 % 60, minute = index / 300 % 60;
    std::snprintf(line, sizeof line, "2023-11-16 18:%02d:%02d.%07d,%d,%d\r\n", static_cast<int>(minute),
                  static_cast<int>(second), static_cast<int>(random.below(index, 10000000)),
                  static_cast<int>(random.below(index + 1, 7000)),
                  static_cast<int>(random.below(index + 2, 500)));
    out += line;
    ++index;
  }
  return out;
}

std::string burstgpt_text() {
  const RandomStream random(1, "burstgpt bench");
  std::string out = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";
  std::uint64_t index = 0;
  while (out.size() < kBytes) {
    const auto in = random.below(index, 1200), response = random.below(index + 1, 500);
    out += std::to_string(index) + (index % 4 == 0 ? ",GPT-4," : ",ChatGPT,") + std::to_string(in) + "," +
           std::to_string(response) + "," + std::to_string(in + response) + ",Conversation log\n";
    ++index;
  }
  return out;
}

void read_text(benchmark::State& state, const std::string& text) {
  std::int64_t tokens = 0, requests = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::string copy = text;
    state.ResumeTiming();
    auto trace = open_trace_in_memory(std::move(copy), "bench");
    Request request;
    while (trace->next(request)) {
      tokens += request.input_tokens + static_cast<std::int64_t>(request.hash_ids.size());
      ++requests;
    }
  }
  benchmark::DoNotOptimize(tokens);
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.SetItemsProcessed(requests);
}

void MooncakeJsonl(benchmark::State& state) {
  static const std::string text = mooncake_text();
  read_text(state, text);
}
void AzureCsv(benchmark::State& state) {
  static const std::string text = azure_text();
  read_text(state, text);
}
void BurstGptCsv(benchmark::State& state) {
  static const std::string text = burstgpt_text();
  read_text(state, text);
}
// Everything that describe and lint do, parsing included.
void DescribeMooncake(benchmark::State& state) {
  static const std::string text = mooncake_text();
  std::int64_t references = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::string copy = text;
    state.ResumeTiming();
    auto trace = open_trace_in_memory(std::move(copy), "bench");
    TraceStatistics statistics;
    Request request;
    while (trace->next(request)) statistics.add(request, 512);
    statistics.finish();
    references += statistics.reuse.references;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.counters["references/s"] =
      benchmark::Counter(static_cast<double>(references), benchmark::Counter::kIsRate);
}
void LintMooncake(benchmark::State& state) {
  static const std::string text = mooncake_text();
  for (auto _ : state) {
    Linter linter({});
    linter.run_in_memory(text, "bench", {});
    benchmark::DoNotOptimize(linter.requests());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}
void Generate(benchmark::State& state) {
  std::int64_t requests = 0;
  for (auto _ : state) {
    GenerateOptions options;
    options.requests = 100000;
    const auto source = generate_trace(options);
    Request request;
    while (source->next(request)) requests += request.input_tokens > 0 ? 1 : 0;
  }
  state.SetItemsProcessed(requests);
}
BENCHMARK(MooncakeJsonl)->Unit(benchmark::kMillisecond);
BENCHMARK(AzureCsv)->Unit(benchmark::kMillisecond);
BENCHMARK(BurstGptCsv)->Unit(benchmark::kMillisecond);
BENCHMARK(DescribeMooncake)->Unit(benchmark::kMillisecond);
BENCHMARK(LintMooncake)->Unit(benchmark::kMillisecond);
BENCHMARK(Generate)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace assay
