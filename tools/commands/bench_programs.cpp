#include "tools/commands/bench_programs.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "model/core/check.h"
#include "tools/bench/bench_run.h"
#include "tools/bench/benchmark_program.h"
#include "tools/bench/machine_code.h"
#include "tools/commands/bench_json.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

// Of one run of a program; several of them fit into the shortest budget.
constexpr double kRunSeconds = 0.02;
constexpr std::int32_t kMostPairs = 400;

// A benchmark program says neither what it must read nor what it computes: no floor.
Json times_of(const std::vector<double>& seconds, double bytes_per_second) {
  BenchSide side;
  side.seconds = seconds;
  return {{"median_us", side.median() * 1e6},
          {"min_us", side.least() * 1e6},
          {"max_us", *std::max_element(seconds.begin(), seconds.end()) * 1e6},
          {"spread", side.spread()},
          {"runs", seconds.size()},
          {"live_bytes", nullptr},
          {"gb_s", bytes_per_second > 0 ? Json(bytes_per_second * 1e-9) : Json(nullptr)},
          {"tflops", nullptr},
          {"floor", nullptr},
          {"percent_of_floor", nullptr}};
}

}  // namespace

std::vector<std::string> common_benchmarks(const ProgramBenchOptions& options) {
  std::vector<std::string> names = benchmarks_of(options.program, options.filter);
  if (!options.baseline.empty()) {
    const std::vector<std::string> others = benchmarks_of(options.baseline, options.filter);
    names.erase(std::remove_if(names.begin(), names.end(),
                               [&](const std::string& name) {
                                 return std::find(others.begin(), others.end(), name) == others.end();
                               }),
                names.end());
  }
  if (names.empty())
    throw InputError(
        "--filter",
        options.baseline.empty() ? "a benchmark of the program" : "a benchmark that both programs have",
        options.filter.empty() ? "none" : options.filter);
  return names;
}

Json bench_programs(const ProgramBenchOptions& options, const std::vector<std::string>& names,
                    const std::function<void(const Json&)>& show,
                    const std::function<void(const std::string&)>& progress,
                    const std::function<bool()>& stop) {
  const bool compared = !options.baseline.empty();
  const bool identical = compared && machine_code_digest_of_file(options.program) ==
                                         machine_code_digest_of_file(options.baseline);
  ComparisonPlan plan;
  plan.threshold = options.threshold;
  plan.most_pairs = kMostPairs;
  plan.confidence = 1 - (1 - options.confidence) / static_cast<double>(names.size());
  Json entries = Json::array();
  for (std::size_t i = 0; i < names.size() && !stop(); ++i) {
    const std::string& name = names[i];
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t runs = 0;
    double bytes_per_second = 0;
    const auto seconds_spent = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    const auto time = [&](const std::string& program) {
      const BenchmarkTime measured = run_benchmark(program, name, kRunSeconds);
      ++runs;
      if (program == options.program) bytes_per_second = measured.bytes_per_second;
      progress(fmt::format(
          "{}: benchmark {} of {}, {} runs, about {:.0f} s left at most", name, i + 1, names.size(), runs,
          std::max(0.0, static_cast<double>(names.size() - i) * options.budget_seconds - seconds_spent())));
      return options.cpu_time ? measured.cpu_seconds : measured.wall_seconds;
    };
    Json entry{{"op", "google-benchmark"},
               {"shape", name},
               {"kernel", nullptr},
               {"baseline", nullptr},
               {"comparison", nullptr},
               {"verified", {{"elements", 0}, {"wrong", 0}}},
               {"text", ""}};
    if (compared && !identical) {
      // Two warm-ups; then four runs for each of the first pairs, whatever they cost.
      const std::int64_t first_runs = 2 + 4 * std::int64_t{plan.first_pairs};
      const Comparison c = compare_paired(
          [&](Side side) { return time(side == Side::kA ? options.baseline : options.program); }, plan,
          [&] { return stop() || (runs >= first_runs && seconds_spent() >= options.budget_seconds); });
      if (c.seconds_a.empty()) break;
      entry["kernel"] = times_of(c.seconds_b, bytes_per_second);
      entry["baseline"] = times_of(c.seconds_a, 0);
      entry["baseline"]["same"] = false;
      entry["comparison"] = comparison_json(c, c.verdict);
    } else {
      std::vector<double> seconds;
      while (static_cast<std::int32_t>(seconds.size()) < options.repeats && !stop() &&
             (seconds.size() < kLeastRuns || seconds_spent() < options.budget_seconds))
        seconds.push_back(time(options.program));
      if (seconds.empty()) break;
      entry["kernel"] = times_of(seconds, bytes_per_second);
      if (identical) entry["baseline"] = {{"same", true}};
      if (identical) entry["comparison"] = unchanged_json();
    }
    show(entry);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace assay::tools
