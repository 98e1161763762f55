// `assay replay --engine contiguous-max | contiguous-power-of-two | contiguous-oracle`: the report of the
// baselines without pages (sim/contiguous/contiguous_replay.h). The ledger has other places than an engine
// of blocks: internal (asked for, never used), rounding (a buddy extent is a power of two), external (free
// while a request waits that fits nowhere).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "sim/contiguous/contiguous_replay.h"
#include "tools/commands/replay_json.h"

namespace assay::tools {

inline constexpr std::string_view kContiguousPrefix = "contiguous-";

[[nodiscard]] nlohmann::ordered_json contiguous_document(const ReplayConfig& config,
                                                         const ContiguousReplayOptions& options,
                                                         const ContiguousReplayResult& result);
void print_contiguous(const ReplayConfig& config, const ContiguousReplayOptions& options,
                      const ContiguousReplayResult& result);

}  // namespace assay::tools
