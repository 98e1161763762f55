// Lists of numbers as people type them: "8192,63x2k,128k" is 8192, then 63 times 2048, then 131072.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay::tools {

// Throws InputError naming `option` and the word that is wrong. k and m are binary (1024, 1024^2).
[[nodiscard]] std::vector<std::int64_t> parse_lengths(const std::string& text, const std::string& option);

}  // namespace assay::tools
