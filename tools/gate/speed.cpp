#include "tools/gate/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

using Json = nlohmann::ordered_json;

// "1.034 (1.021 to 1.046), 50 pairs"
std::string ratio_of(const Json& comparison) {
  const auto number = [](const Json& value) {
    return value.is_number() ? fmt::format("{:.3f}", value.get<double>()) : std::string("unknown");
  };
  return fmt::format("time over the baseline's {} ({} to {}), {} pairs", number(comparison.at("ratio")),
                     number(comparison.at("low")), number(comparison.at("high")),
                     comparison.at("pairs").get<std::int64_t>());
}

struct ShapeVerdict {
  std::string word;  // of the bench, or LOST, WRONG, DECLINED
  Outcome outcome = Outcome::kHeld;
  double ratio = 1;
  std::string text;
};

ShapeVerdict verdict_of(const Json& entry) {
  ShapeVerdict verdict;
  const std::string shape = entry.at("shape").get<std::string>();
  const std::string why = entry.value("text", "");
  const Json &comparison = entry.at("comparison"), &baseline = entry.at("baseline");
  if (entry.at("verified").at("wrong").get<std::int64_t>() > 0) {
    verdict = {"WRONG", Outcome::kWrong, 1, ""};
  } else if (entry.at("kernel").is_null()) {
    const bool lost = baseline.is_object() && baseline.value("supported", false);
    verdict = {lost ? "LOST" : "DECLINED", lost ? Outcome::kRegression : Outcome::kNotRun, 1, ""};
  } else if (comparison.is_null()) {
    verdict = {"NOT COMPARED", Outcome::kNotRun, 1, ""};
  } else {
    verdict.word = comparison.at("verdict").get<std::string>();
    if (comparison.at("ratio").is_number()) verdict.ratio = comparison.at("ratio").get<double>();
    const bool held = verdict.word == "FASTER" || verdict.word == "EQUAL" || verdict.word == "UNCHANGED";
    verdict.outcome = held                       ? Outcome::kHeld
                      : verdict.word == "SLOWER" ? Outcome::kRegression
                                                 : Outcome::kUndecided;
    verdict.text = fmt::format("{} {}: {}", verdict.word, shape, ratio_of(comparison));
    return verdict;
  }
  verdict.text = fmt::format("{} {}{}", verdict.word, shape, why.empty() ? "" : ": " + why);
  return verdict;
}

}  // namespace

std::vector<std::string> bench_arguments(const GatedKernel& kernel, const std::string& kernel_here,
                                         const std::string& baseline_here) {
  std::vector<std::string> arguments{"bench",
                                     "--kernel",
                                     kernel_here,
                                     "--baseline",
                                     baseline_here,
                                     "--threshold",
                                     fmt::format("{}", kernel.speed.threshold),
                                     "--budget",
                                     fmt::format("{}", kernel.speed.seconds),
                                     "--json",
                                     "-",
                                     "--quiet"};
  if (!kernel.speed.clock.empty()) {
    arguments.emplace_back("--clock");
    arguments.push_back(kernel.speed.clock);
  }
  if (!kernel.operations.empty()) {
    arguments.emplace_back("--op");
    arguments.push_back(fmt::format("{}", fmt::join(kernel.operations, ",")));
  }
  if (!kernel.speed.shapes.empty()) {
    arguments.emplace_back("--shapes");
    arguments.insert(arguments.end(), kernel.speed.shapes.begin(), kernel.speed.shapes.end());
  }
  return arguments;
}

Finding judge_speed(const GatedKernel& kernel, const Json& bench, const std::string& place) {
  Finding finding;
  finding.kernel = kernel.name;
  finding.check = "performance";
  finding.file = kernel.sources.empty() ? "" : kernel.sources.front();
  try {
    if (bench.at("schema") != "assay.bench/1")
      throw InputError(place + ".schema", "assay.bench/1", bench.at("schema").dump());
    std::vector<ShapeVerdict> shapes;
    for (const Json& entry : bench.at("shapes")) shapes.push_back(verdict_of(entry));
    // Worst first; the text names all that is not well, and the slowest of the rest.
    std::stable_sort(shapes.begin(), shapes.end(), [](const ShapeVerdict& a, const ShapeVerdict& b) {
      return a.outcome != b.outcome ? a.outcome > b.outcome : a.ratio > b.ratio;
    });
    std::int64_t held = 0, not_compared = 0;
    for (const ShapeVerdict& shape : shapes) {
      held += shape.outcome == Outcome::kHeld;
      not_compared += shape.outcome == Outcome::kNotRun;
    }
    finding.text = fmt::format("{} of {} shapes no slower than {} by {:.1f} %", held, shapes.size(),
                               kernel.speed.baseline_kernel, 100 * kernel.speed.threshold);
    if (not_compared > 0) finding.text += fmt::format(", {} not compared", not_compared);
    for (const ShapeVerdict& shape : shapes) {
      const bool bad = shape.outcome != Outcome::kHeld && shape.outcome != Outcome::kNotRun;
      if (!bad && &shape != &shapes.front()) break;
      finding.text += "; " + shape.text;
    }
    if (!shapes.empty() && shapes.front().outcome > Outcome::kNotRun) {
      finding.outcome = shapes.front().outcome;
      finding.severity = shapes.front().ratio;
    } else if (held == 0) {
      finding.outcome = Outcome::kUndecided;
      finding.text += "; nothing was compared";
    }
    if (bench.value("partial", false) && finding.outcome == Outcome::kHeld) {
      finding.outcome = Outcome::kUndecided;
      finding.text += "; interrupted";
    }
  } catch (const Json::exception& error) {
    throw InputError(place, "JSON of assay bench", error.what());
  }
  return finding;
}

}  // namespace assay::tools::gate
