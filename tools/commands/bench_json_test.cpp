// What entries say about a measured result, and what several of them mean together.
#include "tools/commands/bench_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

BenchSide side(std::vector<double> seconds) {
  BenchSide side;
  side.seconds = std::move(seconds);
  side.judgement.elements = 100;
  side.judged_results = 2;
  return side;
}

// 1000 bytes and 4000 operations in 1 us; ceilings 2 GB/s and 16 GFLOPS: floors 0.5 and 0.25 us.
BenchResult measured() {
  BenchResult result;
  result.work = {1000, 4000, 3};
  result.a = side({2e-6, 1e-6, 1e-6});
  return result;
}
BenchSurroundings surroundings() { return {{2e9, 16e9, "m", "a"}, 1000, 2000}; }

TEST(BenchEntry, FloorIsTheLargerOfMemoryAndArithmetic) {
  const Json entry = bench_entry(measured(), BenchBaseline::kNone, surroundings());
  const Json& kernel = entry.at("kernel");
  EXPECT_DOUBLE_EQ(kernel.at("median_us").get<double>(), 1);
  EXPECT_DOUBLE_EQ(kernel.at("max_us").get<double>(), 2);
  EXPECT_DOUBLE_EQ(kernel.at("gb_s").get<double>(), 1);
  EXPECT_DOUBLE_EQ(kernel.at("tokens_per_s").get<double>(), 3e6);
  EXPECT_EQ(kernel.at("floor"), "memory");
  EXPECT_DOUBLE_EQ(kernel.at("percent_of_floor").get<double>(), 50);
  BenchSurroundings slow = surroundings();
  slow.ceilings.operations_per_second = 5e9;
  const Json other = bench_entry(measured(), BenchBaseline::kNone, slow).at("kernel");
  EXPECT_EQ(other.at("floor"), "arithmetic");
  EXPECT_DOUBLE_EQ(other.at("percent_of_floor").get<double>(), 80);
  EXPECT_EQ(verdict_of(entry), "TIMED");
}

TEST(BenchEntry, RatiosAreOfTheKernelOverItsBaseline) {
  BenchResult result = measured();
  result.b = side({2e-6, 2e-6});
  result.comparison.emplace();
  result.comparison->verdict = SpeedVerdict::kSlower;
  result.comparison->seconds_a = {1e-6};
  result.comparison->seconds_b = {2e-6};
  result.comparison->difference = {std::log(1.5), std::log(2.0), INFINITY};
  const Json entry = bench_entry(result, BenchBaseline::kTimed, surroundings());
  EXPECT_DOUBLE_EQ(entry.at("kernel").at("median_us").get<double>(), 2) << "the kernel is side B";
  EXPECT_DOUBLE_EQ(entry.at("baseline").at("median_us").get<double>(), 1);
  EXPECT_DOUBLE_EQ(entry.at("comparison").at("ratio").get<double>(), 2);
  EXPECT_DOUBLE_EQ(entry.at("comparison").at("low").get<double>(), 1.5);
  EXPECT_TRUE(entry.at("comparison").at("high").is_null());
  EXPECT_EQ(verdict_of(entry), "SLOWER");
}

TEST(BenchEntry, AWrongKernelIsWrongHoweverFast) {
  BenchResult result = measured();
  result.a.wrong_results = 1;
  EXPECT_EQ(verdict_of(bench_entry(result, BenchBaseline::kNone, surroundings())), "WRONG");
  EXPECT_EQ(verdict_of(lost_entry(result.shape, "SIGSEGV")), "WRONG");
}

TEST(BenchEntry, AWrongBaselineProvesNothing) {
  BenchResult result = measured();
  result.a.wrong_results = 1;
  result.b = side({2e-6});
  result.comparison.emplace();
  result.comparison->verdict = SpeedVerdict::kFaster;
  result.comparison->seconds_a = {1e-6};
  EXPECT_EQ(verdict_of(bench_entry(result, BenchBaseline::kTimed, surroundings())), "INCONCLUSIVE");
}

TEST(BenchEntry, DecliningWhatTheBaselineDoesIsALoss) {
  BenchResult result = measured();
  result.a.seconds.clear();
  result.b = side({});
  result.b->unsupported = true;
  EXPECT_EQ(verdict_of(bench_entry(result, BenchBaseline::kTimed, surroundings())), "LOST");
  result.a.unsupported = true;
  EXPECT_EQ(verdict_of(bench_entry(result, BenchBaseline::kTimed, surroundings())), "DECLINED");
}

TEST(WorstVerdict, WrongBeatsSlowerBeatsInconclusive) {
  const auto entry = [](const char* verdict, int wrong = 0) {
    return Json{{"kernel", Json::object()},
                {"baseline", nullptr},
                {"comparison", {{"verdict", verdict}}},
                {"verified", {{"wrong", wrong}}}};
  };
  EXPECT_EQ(worst_verdict({entry("EQUAL"), entry("SLOWER"), entry("FASTER", 1)}), "WRONG");
  EXPECT_EQ(worst_verdict({entry("UNSTABLE"), entry("SLOWER"), entry("EQUAL")}), "SLOWER");
  EXPECT_EQ(worst_verdict({entry("FASTER"), entry("INCONCLUSIVE")}), "INCONCLUSIVE");
  EXPECT_EQ(worst_verdict(Json::array({entry("UNCHANGED")})), "UNCHANGED");
  EXPECT_EQ(exit_code_of(worst_verdict(Json::array())), 4) << "nothing timed, nothing known";
  EXPECT_EQ(exit_code_of("WRONG"), 1);
  EXPECT_EQ(exit_code_of("SLOWER"), 3);
  EXPECT_EQ(exit_code_of("UNSTABLE"), 4);
  EXPECT_EQ(exit_code_of("FASTER"), 0);
}

}  // namespace
}  // namespace assay::tools
