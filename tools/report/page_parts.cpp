#include "tools/report/page_parts.h"

#include "tools/report/svg.h"

namespace assay::tools {

std::string page_table(const PageRow& head, const std::vector<PageRow>& rows) {
  std::string html =
      "<details><summary>the numbers</summary><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>";
  for (const std::string& cell : head) html += "<th scope=\"col\">" + escaped(cell) + "</th>";
  html += "</tr></thead><tbody>";
  for (const PageRow& row : rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += "<td>" + escaped(cell) + "</td>";
    html += "</tr>";
  }
  return html + "</tbody></table></div></details>";
}

std::string page_section(const std::string& title, const std::string& body) {
  return "<section><h2>" + escaped(title) + "</h2>" + body + "</section>";
}

}  // namespace assay::tools
