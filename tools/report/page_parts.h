// What every section of a report is made of: a heading, a picture, and the picture's numbers as a table.
#pragma once

#include <string>
#include <vector>

namespace assay::tools {

using PageRow = std::vector<std::string>;
// Folded up until asked for. Cells are escaped.
[[nodiscard]] std::string page_table(const PageRow& head, const std::vector<PageRow>& rows);
// `body` is HTML.
[[nodiscard]] std::string page_section(const std::string& title, const std::string& body);

}  // namespace assay::tools
