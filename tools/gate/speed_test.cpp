#include "tools/gate/speed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

using Json = nlohmann::ordered_json;

Json shape_of(const std::string& verdict, double ratio) {
  Json entry{{"op", "mqa-logits"}, {"shape", "mqa-logits,M=64"}, {"kernel", {{"median_us", 10.0}}}};
  entry["baseline"] = {{"median_us", 10.0}, {"same", false}, {"supported", true}};
  entry["comparison"] = {
      {"verdict", verdict}, {"ratio", ratio}, {"low", ratio - 0.01}, {"high", nullptr}, {"pairs", 20}};
  entry["verified"] = {{"elements", 100}, {"wrong", 0}};
  return entry;
}

Finding judged(const std::vector<Json>& shapes) {
  GatedKernel kernel;
  kernel.name = "k";
  kernel.speed.baseline_kernel = "./old.so";
  return judge_speed(kernel, Json{{"schema", "assay.bench/1"}, {"shapes", shapes}}, "bench");
}

TEST(GateSpeed, VerdictsOfTheBenchDecide) {
  for (const char* word : {"FASTER", "EQUAL", "UNCHANGED"})
    EXPECT_EQ(judged({shape_of(word, 1)}).outcome, Outcome::kHeld) << word;
  EXPECT_EQ(judged({shape_of("SLOWER", 1.05)}).outcome, Outcome::kRegression);
  for (const char* word : {"INCONCLUSIVE", "UNSTABLE", "SOMETHING NEW"})
    EXPECT_EQ(judged({shape_of(word, 1)}).outcome, Outcome::kUndecided) << word;
}

TEST(GateSpeed, OneSlowShapeAmongManyFails) {
  const Finding finding = judged(
      {shape_of("EQUAL", 1), shape_of("SLOWER", 1.05), shape_of("FASTER", 0.5), shape_of("SLOWER", 1.2)});
  EXPECT_EQ(finding.outcome, Outcome::kRegression);
  EXPECT_EQ(finding.severity, 1.2);
  EXPECT_NE(finding.text.find("2 of 4 shapes"), std::string::npos) << finding.text;
  EXPECT_NE(finding.text.find("1.050 (1.040 to unknown), 20 pairs"), std::string::npos) << finding.text;
}

TEST(GateSpeed, WrongOutputsOfTimedLaunchesAreWrong) {
  Json entry = shape_of("FASTER", 0.1);
  entry["verified"]["wrong"] = 1;
  EXPECT_EQ(judged({entry}).outcome, Outcome::kWrong);
}

TEST(GateSpeed, AShapeThatOnlyTheBaselineDoesIsARegression) {
  Json lost = shape_of("EQUAL", 1);
  lost["kernel"] = nullptr;
  lost["comparison"] = nullptr;
  EXPECT_EQ(judged({lost, shape_of("EQUAL", 1)}).outcome, Outcome::kRegression);
  lost["baseline"] = nullptr;
  EXPECT_EQ(judged({lost, shape_of("EQUAL", 1)}).outcome, Outcome::kHeld);
  EXPECT_EQ(judged({lost}).outcome, Outcome::kUndecided) << "nothing was compared";
  EXPECT_EQ(judged({}).outcome, Outcome::kUndecided);
}

TEST(GateSpeed, OtherDocumentsAreRefused) {
  EXPECT_THROW((void)judge_speed({}, Json{{"schema", "assay.fuzz/1"}}, "bench"), InputError);
  EXPECT_THROW((void)judge_speed({}, Json{{"schema", "assay.bench/1"}}, "bench"), InputError);
  EXPECT_THROW((void)judge_speed({}, Json(nullptr), "bench"), InputError);
}

TEST(GateSpeed, TheCommandLineSaysWhatIsConfigured) {
  GatedKernel kernel;
  kernel.operations = {"mqa-logits", "paged-mqa-logits"};
  kernel.speed.shapes = {"small", "mqa-logits,M=64"};
  kernel.speed.threshold = 0.03;
  kernel.speed.clock = "cpu";
  const std::vector<std::string> words = bench_arguments(kernel, "./new.so", "./old.so");
  const std::string line = Json(words).dump();
  for (const char* part : {R"("--kernel","./new.so","--baseline","./old.so")", R"("--threshold","0.03")",
                           R"("--op","mqa-logits,paged-mqa-logits")",
                           R"("--shapes","small","mqa-logits,M=64")", R"("--clock","cpu")"})
    EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
}

}  // namespace
}  // namespace assay::tools::gate
