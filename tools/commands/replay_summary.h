// What assay replay prints for people: one screen.
#pragma once

#include <cstdint>

#include "sim/engine/replay.h"
#include "tools/commands/replay_json.h"

namespace assay::tools {

void print_summary(const ReplayOptions& replay, const ReplayConfig& config, const ReplayResult& result,
                   std::int64_t bad_lines);

}  // namespace assay::tools
