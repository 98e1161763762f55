// assay bench --program: benchmarks of a Google Benchmark program, alone or against another build of it.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/bench/paired.h"

namespace assay::tools {

struct ProgramBenchOptions {
  std::string program, baseline, filter;  // baseline "": none
  std::int32_t repeats = 30;
  double budget_seconds = 5, threshold = 0.02, confidence = 0.95;
  bool cpu_time = false;
};

// The benchmarks that pass the filter and that both programs have. InputError when there are none.
[[nodiscard]] std::vector<std::string> common_benchmarks(const ProgramBenchOptions& options);

// The entries of assay.bench/1, one per benchmark; nothing is verified, as nothing is known of them. `show` gets each when it is complete,
// `progress` a line now and then; `stop` ends the run with what there is.
[[nodiscard]] nlohmann::ordered_json bench_programs(
    const ProgramBenchOptions& options, const std::vector<std::string>& names,
    const std::function<void(const nlohmann::ordered_json&)>& show,
    const std::function<void(const std::string&)>& progress, const std::function<bool()>& stop);

}  // namespace assay::tools
