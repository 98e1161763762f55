// One self-contained HTML page from the JSON of saved runs: pictures first, every picture with its table. No
// network, no fonts, no script that is needed to read it: the pictures are inline SVG made here.
//
// Knows assay.replay/1 (serve and cache mode), assay.schedule/1 and assay.bench/1. A section whose data a run does not carry
// is absent. Two runs stand side by side.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace assay::tools {

// Throws InputError for a document of another schema.
[[nodiscard]] std::string html_report(const std::vector<nlohmann::ordered_json>& runs);

}  // namespace assay::tools
