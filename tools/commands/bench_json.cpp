#include "tools/commands/bench_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "model/core/check.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

// Worst first, with the exit code of each.
struct Rank {
  const char* verdict;
  int exit_code;
};
constexpr Rank kRanks[] = {{"WRONG", 1}, {"SLOWER", 3},  {"UNSTABLE", 4}, {"INCONCLUSIVE", 4},
                           {"LOST", 4},  {"EQUAL", 0},   {"FASTER", 0},   {"UNCHANGED", 0},
                           {"TIMED", 0}, {"DECLINED", 4}};

std::size_t rank_of(const std::string& verdict) {
  std::size_t rank = 0;
  while (rank < std::size(kRanks) && verdict != kRanks[rank].verdict) ++rank;
  ASSAY_CHECK_LT(rank, std::size(kRanks));
  return rank;
}

Json times_of(const BenchSide& side, const BenchWork& work, const Ceilings& ceilings) {
  if (side.unsupported || side.seconds.empty()) return nullptr;
  const double median = side.median();
  const auto bytes = static_cast<double>(work.live_bytes);
  const double mean = std::accumulate(side.seconds.begin(), side.seconds.end(), 0.0) /
                      static_cast<double>(side.seconds.size());
  Json times{{"median_us", median * 1e6},
             {"min_us", side.least() * 1e6},
             {"mean_us", mean * 1e6},
             {"max_us", *std::max_element(side.seconds.begin(), side.seconds.end()) * 1e6},
             {"spread", side.spread()},
             {"runs", side.seconds.size()},
             {"plan_us", side.plan_seconds * 1e6},
             {"live_bytes", work.live_bytes},
             {"gb_s", bytes / median * 1e-9},
             {"tflops", work.operations / median * 1e-12}};
  if (work.query_tokens > 0) times["tokens_per_s"] = static_cast<double>(work.query_tokens) / median;
  const double by_memory = ceilings.bytes_per_second > 0 ? bytes / ceilings.bytes_per_second : 0;
  const double by_arithmetic =
      ceilings.operations_per_second > 0 ? work.operations / ceilings.operations_per_second : 0;
  const double floor = std::max(by_memory, by_arithmetic);
  times["floor"] = by_memory >= by_arithmetic ? "memory" : "arithmetic";
  times["floor_us"] = floor * 1e6;
  times["percent_of_floor"] = 100 * floor / median;
  return times;
}

// An interval of logarithms as ratios; an end that does not exist is null.
Json ratio_of(double logarithm) {
  return std::isfinite(logarithm) ? Json(std::exp(logarithm)) : Json(nullptr);
}

Json verified_of(const BenchSide& side) {
  return {{"elements", side.judgement.elements},
          {"wrong", side.wrong_results},
          {"results", side.judged_results},
          {"unjudged", side.unjudged_results},
          {"headroom", side.judgement.elements > 0 ? side.judgement.headroom : 0},
          {"twin_elements", side.judgement.twin_elements}};
}

}  // namespace

Json bench_entry(const BenchResult& result, BenchBaseline against, const BenchSurroundings& surroundings) {
  const bool compared = against == BenchBaseline::kTimed, identical = against == BenchBaseline::kIdentical;
  ASSAY_CHECK_EQ(compared, result.b.has_value());
  const BenchSide& kernel = compared ? *result.b : result.a;
  Json entry{{"op", name_of(result.shape.operation)}, {"shape", text_of(result.shape)}};
  entry["kernel"] = times_of(kernel, result.work, surroundings.ceilings);
  entry["baseline"] = nullptr;
  if (identical) entry["baseline"] = {{"same", true}};
  if (against == BenchBaseline::kDeclines) entry["baseline"] = {{"same", false}, {"supported", false}};
  if (compared) {
    Json& baseline = entry["baseline"] = times_of(result.a, result.work, surroundings.ceilings);
    if (baseline.is_null()) baseline = Json::object();
    baseline["same"] = false;
    baseline["supported"] = !result.a.unsupported;
    baseline["wrong"] = result.a.wrong_results;
  }
  entry["comparison"] = nullptr;
  if (identical && !kernel.unsupported) entry["comparison"] = unchanged_json();
  if (result.comparison && !result.comparison->seconds_a.empty())
    // Being faster or slower than something wrong says nothing.
    entry["comparison"] =
        comparison_json(*result.comparison, result.a.wrong_results > 0 ? SpeedVerdict::kInconclusive
                                                                       : result.comparison->verdict);
  entry["verified"] = verified_of(kernel);
  entry["text"] = !kernel.judgement.text.empty()                 ? kernel.judgement.text
                  : kernel.unsupported                           ? "the kernel declines this shape"
                  : against == BenchBaseline::kDeclines          ? "the baseline declines this shape"
                  : compared && !result.a.judgement.text.empty() ? "baseline: " + result.a.judgement.text
                                                                 : "";
  entry["launches_per_run"] = result.launches;
  entry["operations"] = result.work.operations;
  entry["ceilings"] = {{"gb_s", surroundings.ceilings.bytes_per_second * 1e-9},
                       {"tflops", surroundings.ceilings.operations_per_second * 1e-12},
                       {"memory_from", surroundings.ceilings.memory_from},
                       {"arithmetic_from", surroundings.ceilings.arithmetic_from}};
  entry["clock_mhz"] = {{"low", surroundings.lowest_mhz}, {"high", surroundings.highest_mhz}};
  return entry;
}

Json comparison_json(const Comparison& c, SpeedVerdict verdict) {
  return {{"verdict", name_of(verdict)},
          {"ratio", c.ratio()},
          {"low", ratio_of(c.difference.low)},
          {"high", ratio_of(c.difference.high)},
          {"pairs", c.seconds_a.size()},
          {"same_kernel", {{"low", ratio_of(c.same_kernel.low)}, {"high", ratio_of(c.same_kernel.high)}}}};
}

Json unchanged_json() {
  return {{"verdict", name_of(SpeedVerdict::kUnchanged)},
          {"ratio", 1.0},
          {"low", 1.0},
          {"high", 1.0},
          {"pairs", 0},
          {"same_kernel", {{"low", 1.0}, {"high", 1.0}}}};
}

Json lost_entry(const BenchShape& shape, const std::string& why) {
  return {{"op", name_of(shape.operation)},
          {"shape", text_of(shape)},
          {"kernel", nullptr},
          {"baseline", nullptr},
          {"comparison", nullptr},
          {"verified", {{"elements", 0}, {"wrong", 1}}},
          {"text", why}};
}

std::string verdict_of(const Json& entry) {
  if (entry.at("verified").at("wrong").get<std::int64_t>() > 0) return "WRONG";
  const Json& baseline = entry.at("baseline");
  if (entry.at("kernel").is_null())
    return !baseline.is_null() && baseline.value("supported", false) ? "LOST" : "DECLINED";
  const Json& comparison = entry.at("comparison");
  return comparison.is_null() ? "TIMED" : comparison.at("verdict").get<std::string>();
}

std::string worst_verdict(const Json& entries) {
  std::size_t worst = std::size(kRanks) - 1;
  for (const Json& entry : entries) worst = std::min(worst, rank_of(verdict_of(entry)));
  return kRanks[worst].verdict;
}

int exit_code_of(const std::string& verdict) { return kRanks[rank_of(verdict)].exit_code; }

}  // namespace assay::tools
