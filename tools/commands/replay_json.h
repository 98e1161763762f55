// The JSON of `assay replay` (schema assay.replay/1, docs/contracts.md section 7) and its digest.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sim/cache/cache_replay.h"
#include "sim/engine/replay.h"

namespace assay::tools {

// What the command was asked, as far as the result depends on it.
struct ReplayConfig {
  std::string trace;  // the file's name without its folder
  std::string format;
  std::int32_t hash_tokens = 0;
  std::string engine;
  std::uint64_t seed = 1;
};

[[nodiscard]] nlohmann::ordered_json replay_document(const ReplayConfig& config, const ReplayOptions& options,
                                                     const ReplayResult& result);
[[nodiscard]] nlohmann::ordered_json cache_document(const ReplayConfig& config,
                                                    const CacheReplayOptions& options,
                                                    const CacheReplayResult& result);

// Puts the digest of everything else in the document under "digest".
void stamp_digest(nlohmann::ordered_json& document);

}  // namespace assay::tools
