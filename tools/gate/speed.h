// The speed check: `assay bench` runs as a process of its own, and its JSON is judged here.
//
//   SLOWER, LOST (declines what the baseline does)    regression
//   WRONG (outputs of the timed launches)             wrong
//   INCONCLUSIVE, UNSTABLE                            undecided: the budget did not buy a verdict
//   FASTER, EQUAL, UNCHANGED                          held
//   DECLINED by both                                  nothing to compare; undecided when every shape is
//
// The bench keeps its confidence over all shapes of a run together, so that many shapes do not make a false
// alarm likelier.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/gate/config.h"
#include "tools/gate/findings.h"

namespace assay::tools::gate {

// The command line, after the program's path. Kernels as this process names them.
[[nodiscard]] std::vector<std::string> bench_arguments(const GatedKernel& kernel,
                                                       const std::string& kernel_here,
                                                       const std::string& baseline_here);

// From a document of schema assay.bench/1. InputError(place) when it is none.
[[nodiscard]] Finding judge_speed(const GatedKernel& kernel, const nlohmann::ordered_json& bench,
                                  const std::string& place);

}  // namespace assay::tools::gate
