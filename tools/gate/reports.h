// One run of the gate, told four ways:
//
//   JUnit XML     one suite per kernel, one case per check; <failure> is a verdict, <error> is the lack of one
//   Markdown      a step summary: the verdict, a table per kernel, below 1 MiB with a line that says what was cut
//   annotations   at most ten, worst first, as GitHub's workflow commands
//   JSON          assay.gate/1
//
// All are functions of the run: the same findings give the same bytes, but for the seconds in them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/gate/findings.h"
#include "tools/gate/run.h"

namespace assay::tools::gate {

inline constexpr std::size_t kMostAnnotations = 10;
// GitHub refuses a step summary above 1 MiB; some room is left for other steps' words in the same file.
inline constexpr std::size_t kMostSummaryBytes = 1'000'000;

[[nodiscard]] std::string junit_xml(const GateRun& run);
[[nodiscard]] std::string markdown_summary(const GateRun& run, const std::string& config_path,
                                           std::size_t most_bytes = kMostSummaryBytes);
// Lines "::error file=a.cu,title=headroom of my_kernel::text". `root`: the folder of gate.json, as seen from
// the repository's root; findings without a file point to gate.json itself.
[[nodiscard]] std::vector<std::string> annotations(const GateRun& run, const std::string& root,
                                                   const std::string& config_path);
[[nodiscard]] nlohmann::ordered_json gate_json(const GateRun& run, const RunOptions& options);

}  // namespace assay::tools::gate
