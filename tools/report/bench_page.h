// The sections of a report about one run of `assay bench` (assay.bench/1), per operation:
//
//   roofline            operations per second over operations per live byte; above the points the roof that the
//                       ceilings of the run make (two roofs when they differ from shape to shape)
//   time over length    one line per family of shapes that differ in ctx only, the floor dashed below it
//   comparison          ratio and interval per shape
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace assay::tools {

// Header and sections; throws nlohmann's exceptions when keys are missing.
[[nodiscard]] std::string bench_page(const nlohmann::ordered_json& run);

}  // namespace assay::tools
