// Points and lines over two logarithmic axes, as inline SVG: rooflines and times over lengths. Every mark has a
// title, so that hovering gives numbers without any script.
#pragma once

#include <string>
#include <vector>

namespace assay::tools {

struct LogPoint {
  double x = 0, y = 0;  // positive
  std::string title;
  int color = 0;  // of the page's series colours
  bool hollow = false;
};
struct LogLine {
  std::string label;                          // "" keeps it out of the legend
  std::vector<std::pair<double, double>> at;  // positive, ascending in x
  int color = 0;
  bool dashed = false;
};
// `name` is what a screen reader says. Empty when there is no point.
[[nodiscard]] std::string log_plot_svg(const std::string& name, const std::string& x_label,
                                       const std::string& y_label, const std::vector<LogPoint>& points,
                                       const std::vector<LogLine>& lines);

}  // namespace assay::tools
