// Programs made with Google Benchmark (our x_bench.cpp, or anybody's), run from outside: what they offer, and the
// time of one of their benchmarks in one run of the program. So two builds of a program can be compared pair by
// pair (paired.h), each run in a fresh process with its own addresses.
//
//   PROGRAM --benchmark_list_tests --benchmark_filter=REGEX
//   PROGRAM --benchmark_filter=^NAME$ --benchmark_format=json --benchmark_min_time=SECONDS
#pragma once

#include <string>
#include <vector>

namespace assay::tools {

// InputError when the program does not exist, fails, or says something else than a benchmark program does.
[[nodiscard]] std::vector<std::string> benchmarks_of(const std::string& program, const std::string& filter);

struct BenchmarkTime {
  double wall_seconds = 0, cpu_seconds = 0;  // of one iteration
  double bytes_per_second = 0;               // 0: the benchmark does not say
};
[[nodiscard]] BenchmarkTime run_benchmark(const std::string& program, const std::string& name,
                                          double least_seconds);

}  // namespace assay::tools
