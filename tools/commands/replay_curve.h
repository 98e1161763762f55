// The miss-ratio curve of `assay replay --mode cache --curve`: hits of an LRU cache at every size, from one
// pass (sim/cache/miss_ratio_curve.h), shown at round sizes up to the one that hits as much as any.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "sim/cache/miss_ratio_curve.h"

namespace assay::tools {

// 1, 2, 5, 10, 20, 50, ... below the saturation, and the saturation itself.
[[nodiscard]] std::vector<std::int64_t> curve_sizes(const MissRatioCurve& curve);
[[nodiscard]] nlohmann::ordered_json curve_document(const MissRatioCurve& curve);
void print_curve(const MissRatioCurve& curve);

}  // namespace assay::tools
