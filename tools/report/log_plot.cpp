#include "tools/report/log_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/report/svg.h"

namespace assay::tools {
namespace {

constexpr double kWidth = 640, kHeight = 320, kLeft = 58, kRight = 12, kTop = 12, kBottom = 38;

// An axis from a little below the smallest to a little above the largest value.
struct Axis {
  double low = 0, high = 0;  // log10
  void widen(double value) {
    const double at = std::log10(value);
    if (low == high && low == 0) low = high = at;
    low = std::min(low, at);
    high = std::max(high, at);
  }
  void round() {
    const double margin = std::max(0.06 * (high - low), 0.08);
    low -= margin;
    high += margin;
  }
  [[nodiscard]] double share(double value) const { return (std::log10(value) - low) / (high - low); }
  // 1, 2, 5 of every decade that is shown; only the decades when there are many.
  [[nodiscard]] std::vector<double> ticks() const {
    std::vector<double> list;
    for (int decade = static_cast<int>(std::floor(low)); decade <= static_cast<int>(std::ceil(high));
         ++decade)
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double value = digit * std::pow(10.0, decade);
        if ((digit == 1 || high - low < 2.2) && share(value) >= 0 && share(value) <= 1) list.push_back(value);
      }
    return list;
  }
};

}  // namespace

std::string log_plot_svg(const std::string& name, const std::string& x_label, const std::string& y_label,
                         const std::vector<LogPoint>& points, const std::vector<LogLine>& lines) {
  if (points.empty()) return "";
  Axis x_axis, y_axis;
  for (const LogPoint& point : points) x_axis.widen(point.x), y_axis.widen(point.y);
  for (const LogLine& line : lines)
    for (const auto& [x, y] : line.at) x_axis.widen(x), y_axis.widen(y);
  x_axis.round();
  y_axis.round();
  const auto px = [&](double x) { return kLeft + x_axis.share(x) * (kWidth - kLeft - kRight); };
  const auto py = [&](double y) { return kHeight - kBottom - y_axis.share(y) * (kHeight - kTop - kBottom); };
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\" class=\"plot\"><title>{}</title>",
      kWidth, kHeight, escaped(name), escaped(name));
  for (const double value : y_axis.ticks())
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:g}\" x2=\"{1:g}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><text class=\"tick\" "
        "x=\"{3:g}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g}</text>",
        kLeft, kWidth - kRight, py(value), kLeft - 5, py(value) + 4, value);
  for (const double value : x_axis.ticks())
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:g}\" y2=\"{2:g}\"/><text class=\"tick\" "
        "x=\"{0:.1f}\" y=\"{3:g}\" text-anchor=\"middle\">{4:g}</text>",
        px(value), kTop, kHeight - kBottom, kHeight - kBottom + 15, value);
  svg += fmt::format("<text class=\"tick\" x=\"{:g}\" y=\"{:g}\" text-anchor=\"middle\">{}</text>",
                     (kLeft + kWidth) / 2, kHeight - 6, escaped(x_label));
  svg += fmt::format(
      "<text class=\"tick\" transform=\"translate(13 {:g}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
      (kTop + kHeight - kBottom) / 2, escaped(y_label));
  for (const LogLine& line : lines) {
    std::string corners;
    for (const auto& [x, y] : line.at) corners += fmt::format("{:.1f},{:.1f} ", px(x), py(y));
    svg += fmt::format("<polyline class=\"s{}\"{} points=\"{}\"><title>{}</title></polyline>", line.color,
                       line.dashed ? " stroke-dasharray=\"5 4\"" : "", corners, escaped(line.label));
  }
  for (const LogPoint& point : points)
    svg +=
        fmt::format("<circle class=\"{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"><title>{}</title></circle>",
                    point.hollow ? 's' : 'c', point.color, px(point.x), py(point.y), escaped(point.title));
  svg += "</svg><p class=\"legend\">";
  for (const LogLine& line : lines)
    if (!line.label.empty())
      svg += fmt::format("<span><i class=\"c{}\"></i>{}</span> ", line.color, escaped(line.label));
  return svg + "</p>";
}

}  // namespace assay::tools
