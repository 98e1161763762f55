// One point of a sweep: what `assay replay` with these options would put into its JSON, from a trace that is
// already in memory. Nothing is printed or written. Several threads may run points at once.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace assay::tools {

struct ReplayTrace {
  std::string name;   // as the report names it: the file without its folder
  std::string bytes;  // as on disk, compressed or not
};

// arguments: {"--block-tokens=16", ...}, without the trace. InputError for what no replay takes, and for
// options of a single run (files it writes, searches over pools, verification).
void check_replay_point(const std::vector<std::string>& arguments);

// nullopt: the user interrupted it.
[[nodiscard]] std::optional<nlohmann::ordered_json> replay_point(const std::vector<std::string>& arguments,
                                                                 const ReplayTrace& trace,
                                                                 std::uint64_t seed);

}  // namespace assay::tools
