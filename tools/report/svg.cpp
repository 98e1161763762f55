#include "tools/report/svg.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay::tools {
namespace {

constexpr double kWidth = 640, kHeight = 260, kLeft = 44, kRight = 8, kTop = 8, kBottom = 34;

double x_of(double x, double first, double last) {
  return kLeft + (last > first ? (x - first) / (last - first) : 0) * (kWidth - kLeft - kRight);
}
double y_of(double value, double top) {
  return kHeight - kBottom - (top > 0 ? value / top : 0) * (kHeight - kTop - kBottom);
}

std::string frame(const std::string& name, const std::vector<double>& x, const std::string& x_label,
                  double top, const char* unit) {
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\" class=\"plot\"><title>{}</title>",
      kWidth, kHeight, escaped(name), escaped(name));
  for (int i = 0; i <= 4; ++i) {
    const double value = top * i / 4;
    svg += fmt::format("<line class=\"grid\" x1=\"{:g}\" x2=\"{:g}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
                       kWidth - kRight, y_of(value, top), y_of(value, top));
    svg += fmt::format("<text class=\"tick\" x=\"{:g}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g}{}</text>",
                       kLeft - 4, y_of(value, top) + 4, value, unit);
  }
  for (int i = 0; i <= 4; ++i) {
    const double at = x.front() + (x.back() - x.front()) * i / 4;
    svg += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:g}\" text-anchor=\"{}\">{:.5g}</text>",
                       x_of(at, x.front(), x.back()), kHeight - 16, i == 4 ? "end" : "middle", at);
  }
  svg += fmt::format("<text class=\"tick\" x=\"{:g}\" y=\"{:g}\" text-anchor=\"middle\">{}</text>",
                     (kLeft + kWidth) / 2, kHeight - 3, escaped(x_label));
  return svg;
}

std::string legend(const std::vector<Layer>& layers) {
  std::string html = "<p class=\"legend\">";
  for (const Layer& layer : layers)
    html += fmt::format("<span><i class=\"c{}\"></i>{}</span> ", layer.color, escaped(layer.label));
  return html + "</p>";
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string bars_svg(const std::string& name, const std::vector<Bar>& bars, double top) {
  constexpr double kRow = 26, kLabel = 170, kValue = 76;
  const double height = kRow * static_cast<double>(bars.size()) + 4;
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\" class=\"plot\"><title>{}</title>",
      kWidth, height, escaped(name), escaped(name));
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double y = kRow * static_cast<double>(i);
    const double width = top > 0 ? std::clamp(bars[i].value / top, 0.0, 1.0) * (kWidth - kLabel - kValue) : 0;
    svg += fmt::format(
        "<g><title>{}: {}</title><text class=\"label\" x=\"{:g}\" y=\"{:g}\" text-anchor=\"end\">{}</text>"
        "<rect class=\"c{}\" x=\"{:g}\" y=\"{:g}\" width=\"{:.2f}\" height=\"16\" rx=\"2\"/>"
        "<text class=\"label\" x=\"{:.2f}\" y=\"{:g}\">{}</text></g>",
        escaped(bars[i].label), escaped(bars[i].shown), kLabel - 8, y + 17, escaped(bars[i].label),
        bars[i].color, kLabel, y + 4, width, kLabel + width + 6, y + 17, escaped(bars[i].shown));
  }
  return svg + "</svg>";
}

std::string stacked_svg(const std::string& name, const std::vector<double>& x, const std::string& x_label,
                        const std::vector<Layer>& layers, double top) {
  std::string svg = frame(name, x, x_label, top, "");
  std::vector<double> below(x.size(), 0);
  for (const Layer& layer : layers) {
    std::string points;
    for (std::size_t i = 0; i < x.size(); ++i)
      points += fmt::format("{:.1f},{:.1f} ", x_of(x[i], x.front(), x.back()),
                            y_of(below[i] + layer.values[i], top));
    for (std::size_t i = x.size(); i-- > 0;)
      points += fmt::format("{:.1f},{:.1f} ", x_of(x[i], x.front(), x.back()), y_of(below[i], top));
    svg += fmt::format("<polygon class=\"c{}\" points=\"{}\"><title>{}</title></polygon>", layer.color,
                       points, escaped(layer.label));
    for (std::size_t i = 0; i < x.size(); ++i) below[i] += layer.values[i];
  }
  return svg + "</svg>" + legend(layers);
}

std::string lines_svg(const std::string& name, const std::vector<double>& x, const std::string& x_label,
                      const std::vector<Layer>& lines) {
  double top = 0;
  for (const Layer& line : lines)
    for (const double value : line.values) top = std::max(top, value);
  if (top == 0) top = 1;
  std::string svg = frame(name, x, x_label, top, "");
  for (const Layer& line : lines) {
    std::string points;
    for (std::size_t i = 0; i < x.size(); ++i)
      points += fmt::format("{:.1f},{:.1f} ", x_of(x[i], x.front(), x.back()), y_of(line.values[i], top));
    svg += fmt::format("<polyline class=\"s{}\" points=\"{}\"><title>{}</title></polyline>", line.color,
                       points, escaped(line.label));
  }
  return svg + "</svg>" + legend(lines);
}

}  // namespace assay::tools
