#include "tools/report/bench_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "tools/report/log_plot.h"
#include "tools/report/page_parts.h"
#include "tools/report/svg.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kKernelColor = 0, kBaselineColor = 1, kRoofColor = 4, kFamilies = 4;
// Colours of the families of a time picture, in the page's order.
constexpr int kFamilyColors[kFamilies] = {0, 1, 2, 6};

double number(const Json& json, const char* key) { return json.at(key).get<double>(); }
std::string text(const Json& json, const char* key) { return json.at(key).get<std::string>(); }

// "mqa-logits,M=4,ctx=128,H=32" without the operation's name.
std::string short_shape(const Json& entry) {
  const std::string shape = text(entry, "shape");
  return shape.substr(std::min(shape.find(',') + 1, shape.size()));
}

bool timed(const Json& side) { return !side.is_null() && side.contains("median_us"); }

// Those whose floor is known.
std::vector<const Json*> entries_of(const Json& run, const std::string& operation) {
  std::vector<const Json*> list;
  for (const Json& entry : run.at("shapes"))
    if (entry.at("op") == operation && timed(entry.at("kernel")) && entry.contains("ceilings"))
      list.push_back(&entry);
  return list;
}

std::string roofline(const std::string& operation, const std::vector<const Json*>& entries) {
  std::vector<LogPoint> points;
  std::vector<PageRow> rows;
  double left = 1e300, right = 0;
  for (const Json* entry : entries) {
    const Json& ceilings = entry->at("ceilings");
    const auto add = [&](const Json& side, bool is_baseline) {
      if (!timed(side)) return;
      const double intensity = number(*entry, "operations") / number(side, "live_bytes");
      if (!(intensity > 0)) return;  // copies nothing but bytes: no place on a roofline
      left = std::min(left, intensity);
      right = std::max(right, intensity);
      points.push_back(
          {intensity, number(side, "tflops"),
           fmt::format("{}{}: {:.4g} TFLOPS, {:.4g} GB/s, {:.1f} % of its {} floor",
                       is_baseline ? "baseline, " : "", short_shape(*entry), number(side, "tflops"),
                       number(side, "gb_s"), number(side, "percent_of_floor"), text(side, "floor")),
           is_baseline ? kBaselineColor : kKernelColor, is_baseline});
    };
    add(entry->at("baseline"), true);
    const Json& kernel = entry->at("kernel");
    add(kernel, false);
    rows.push_back(
        {short_shape(*entry), fmt::format("{:.3f}", number(kernel, "median_us")),
         fmt::format("{:.3f}", number(kernel, "min_us")),
         fmt::format("{:.2f} %", 100 * number(kernel, "spread")),
         fmt::format("{}", kernel.at("live_bytes").get<std::int64_t>()),
         fmt::format("{:.2f}", number(kernel, "gb_s")), fmt::format("{:.4f}", number(kernel, "tflops")),
         fmt::format("{:.1f} %", number(kernel, "percent_of_floor")), text(kernel, "floor"),
         fmt::format("{:.4g}", number(ceilings, "gb_s")), fmt::format("{:.4g}", number(ceilings, "tflops"))});
  }
  // The roof min(intensity * GB/s, TFLOPS), from left of the leftmost point and of the ridge to right of both.
  std::vector<LogLine> lines;
  const auto roof = [&](const Json& ceilings, const char* label, bool dashed) {
    const double slope = number(ceilings, "gb_s") * 1e-3, flat = number(ceilings, "tflops");
    if (!(slope > 0)) return;
    const double ridge = flat / slope, begin = flat > 0 ? std::min(left, ridge) / 2 : left / 2,
                 end = 2 * std::max(right, ridge);
    LogLine line{label, {{begin, begin * slope}}, kRoofColor, dashed};
    if (flat > 0) line.at.emplace_back(ridge, flat);
    line.at.emplace_back(end, flat > 0 ? flat : end * slope);
    lines.push_back(std::move(line));
  };
  const auto by_speed = [](const Json* a, const Json* b) {
    return number(a->at("ceilings"), "gb_s") < number(b->at("ceilings"), "gb_s");
  };
  const auto [low, high] = std::minmax_element(entries.begin(), entries.end(), by_speed);
  if (!points.empty())
    roof((*high)->at("ceilings"), "roof: memory and arithmetic ceilings of the run", false);
  if (!points.empty() &&
      number((*low)->at("ceilings"), "gb_s") < 0.9 * number((*high)->at("ceilings"), "gb_s"))
    roof((*low)->at("ceilings"), "roof of the shape with the slowest memory", true);
  return page_section(operation + ": roofline",
                      log_plot_svg("Operations per second over operations per live byte, " + operation,
                                   "operations per live byte", "TFLOPS", points, lines) +
                          "<p class=\"note\">Filled: the kernel; hollow: the baseline. Ceilings: " +
                          escaped(text((*high)->at("ceilings"), "memory_from")) + "; " +
                          escaped(text((*high)->at("ceilings"), "arithmetic_from")) + ".</p>" +
                          page_table({"shape", "median us", "min us", "spread", "live bytes", "GB/s",
                                      "TFLOPS", "of floor", "floor", "ceiling GB/s", "ceiling TFLOPS"},
                                     rows));
}

// The length of a shape and the shape without it; 0 when it has none.
std::pair<double, std::string> length_of(const std::string& shape) {
  const std::size_t begin = shape.find("ctx=");
  if (begin == std::string::npos) return {0, shape};
  const std::size_t end = std::min(shape.find(',', begin), shape.size());
  std::string family = shape;
  family.replace(begin, end - begin, "ctx");
  return {std::strtod(shape.c_str() + begin + 4, nullptr), family};
}

std::string time_over_length(const std::string& operation, const std::vector<const Json*>& entries) {
  struct Family {
    std::map<double, const Json*> by_length;
  };
  std::map<std::string, Family> families;
  for (const Json* entry : entries) {
    const auto [length, family] = length_of(short_shape(*entry));
    if (length > 0) families[family].by_length.emplace(length, entry);
  }
  std::vector<LogPoint> points;
  std::vector<LogLine> lines;
  std::vector<PageRow> rows;
  int index = 0;
  for (const auto& [name, family] : families) {
    const int color = kFamilyColors[index++ % kFamilies];
    LogLine times{name, {}, color, false}, floors{"", {}, color, true};
    for (const auto& [length, entry] : family.by_length) {
      const Json& kernel = entry->at("kernel");
      const double median = number(kernel, "median_us"), floor = number(kernel, "floor_us");
      times.at.emplace_back(length, median);
      if (floor > 0) floors.at.emplace_back(length, floor);
      points.push_back({length, median,
                        fmt::format("{}: {:.3f} us, floor {:.3f} us", short_shape(*entry), median, floor),
                        color, false});
      rows.push_back({name, fmt::format("{:g}", length), fmt::format("{:.3f}", median),
                      fmt::format("{:.3f}", number(kernel, "min_us")),
                      fmt::format("{:.3f}", number(kernel, "max_us")), fmt::format("{:.3f}", floor)});
    }
    lines.push_back(std::move(times));
    if (!floors.at.empty()) lines.push_back(std::move(floors));
  }
  if (points.empty()) return "";
  return page_section(
      operation + ": time over length",
      log_plot_svg("Median time over length, " + operation, "tokens (ctx)", "us", points, lines) +
          "<p class=\"note\">Dashed: the floor of the same shapes.</p>" +
          page_table({"family", "tokens", "median us", "min us", "max us", "floor us"}, rows));
}

// One line per shape: the interval of its ratio around 1, which is "as fast as the baseline"; the threshold dashed.
struct Ratio {
  double low, ratio, high;
  std::string title, shown;
  int color;
};
std::string ratios_svg(const std::vector<Ratio>& ratios, double threshold) {
  constexpr double kWidth = 640, kRow = 24, kLeft = 34, kRight = 150, kTop = 22;
  double low = 1 - 2 * threshold, high = 1 + 2 * threshold;
  for (const Ratio& r : ratios) low = std::min(low, r.low), high = std::max(high, r.high);
  const double height = kTop + kRow * static_cast<double>(ratios.size()) + 4;
  const auto x = [&](double value) {
    return kLeft + (value - low) / (high - low) * (kWidth - kLeft - kRight);
  };
  std::string svg =
      fmt::format("<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\" class=\"plot\">", kWidth,
                  height, "Time of the kernel over time of its baseline, with intervals, per shape");
  for (const double value : {1 - threshold, 1.0, 1 + threshold})
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:g}\" y2=\"{2:g}\"{3}/><text "
        "class=\"tick\" "
        "x=\"{0:.1f}\" y=\"13\" text-anchor=\"middle\">{4:.3g}</text>",
        x(value), kTop - 4, height, value == 1 ? "" : " stroke-dasharray=\"4 4\"", value);
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    const Ratio& r = ratios[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    svg += fmt::format(
        "<g><title>{0}</title><text class=\"label\" x=\"{1:g}\" y=\"{2:g}\" "
        "text-anchor=\"end\">{3}</text><line "
        "class=\"s{4}\" x1=\"{5:.1f}\" x2=\"{6:.1f}\" y1=\"{7:g}\" y2=\"{7:g}\"/><circle class=\"c{4}\" "
        "cx=\"{8:.1f}\" "
        "cy=\"{7:g}\" r=\"4.5\"/><text class=\"label\" x=\"{9:g}\" y=\"{2:g}\">{10}</text></g>",
        escaped(r.title), kLeft - 10, y + 5, i + 1, r.color, x(r.low), x(r.high), y, x(r.ratio),
        kWidth - kRight + 12, escaped(r.shown));
  }
  return svg + "</svg>";
}

std::string comparison(const Json& run) {
  std::vector<PageRow> rows;
  std::vector<Ratio> ratios;
  for (const Json& entry : run.at("shapes")) {
    const Json& c = entry.at("comparison");
    if (c.is_null()) continue;
    const auto show = [](const Json& value) {
      return value.is_null() ? std::string("?") : fmt::format("{:.4f}", value.get<double>());
    };
    const std::string verdict = text(c, "verdict");
    const double ratio = number(c, "ratio");
    const auto end = [&](const char* key) { return c.at(key).is_null() ? ratio : number(c, key); };
    const int color = verdict == "SLOWER" ? 7 : verdict == "FASTER" || verdict == "EQUAL" ? 6 : 4;
    ratios.push_back({end("low"), ratio, end("high"),
                      fmt::format("{}: {:.4f} [{}, {}]", text(entry, "shape"), ratio, show(c.at("low")),
                                  show(c.at("high"))),
                      fmt::format("{:.3f} {}", ratio, verdict), color});
    rows.push_back({fmt::format("{}. {}", rows.size() + 1, text(entry, "shape")), verdict,
                    show(c.at("ratio")), show(c.at("low")), show(c.at("high")),
                    fmt::format("{}", c.at("pairs").get<std::int64_t>()), show(c.at("same_kernel").at("low")),
                    show(c.at("same_kernel").at("high"))});
  }
  if (rows.empty()) return "";
  return page_section(
      "Time over the baseline's",
      ratios_svg(ratios, number(run, "threshold")) +
          "<p class=\"note\">One line per shape, numbered as in the table: the interval of the ratio. "
          "Right of 1 is slower; dashed is the threshold.</p>" +
          page_table(
              {"shape", "verdict", "ratio", "low", "high", "pairs", "same kernel low", "same kernel high"},
              rows));
}

std::string findings(const Json& run) {
  std::string items;
  for (const Json& entry : run.at("shapes"))
    if (const std::string why = entry.value("text", ""); !why.empty())
      items += "<li>" + escaped(text(entry, "shape")) + ": " + escaped(why) + "</li>";
  return items.empty() ? "" : page_section("Findings", "<ul>" + items + "</ul>");
}

}  // namespace

std::string bench_page(const Json& run) {
  std::string head = text(run.at("device"), "name") + " · " +
                     (run.at("cache").is_null() ? "" : text(run, "cache") + " caches · ") +
                     text(run, "clock") + " time · seed " +
                     std::to_string(run.at("seed").get<std::uint64_t>());
  std::string title = text(run.at("kernel"), "name");
  if (!run.at("baseline").is_null()) title += " against " + text(run.at("baseline"), "name");
  std::string html = "<h1>" + escaped(title) + "</h1><p class=\"sub\">" + escaped(head) +
                     "<br>verdict <strong>" + escaped(text(run, "verdict")) + "</strong>" +
                     (run.value("partial", false) ? " · <strong>partial: interrupted</strong>" : "") +
                     "</p></header>" + findings(run) + comparison(run);
  std::vector<std::string> operations;
  for (const Json& entry : run.at("shapes")) {
    const std::string operation = text(entry, "op");
    if (std::find(operations.begin(), operations.end(), operation) == operations.end())
      operations.push_back(operation);
  }
  for (const std::string& operation : operations) {
    const std::vector<const Json*> entries = entries_of(run, operation);
    if (entries.empty()) continue;
    html += roofline(operation, entries) + time_over_length(operation, entries);
  }
  return html;
}

}  // namespace assay::tools
