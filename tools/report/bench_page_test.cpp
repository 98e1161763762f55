// The page of a bench run says what its JSON says, and draws what is there and nothing else.
#include "tools/report/bench_page.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tools/report/html.h"
#include "tools/report/log_plot.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

Json entry(int tokens, double median_us) {
  Json entry = Json::parse(
      R"({"op":"mqa-logits","shape":"","baseline":null,"comparison":null,"text":"","operations":4000,
    "kernel":{"median_us":0,"min_us":1.25,"max_us":9.5,"spread":0.015,"live_bytes":1000,"gb_s":0.5,"tflops":0.002,
      "floor":"memory","floor_us":0.75,"percent_of_floor":37.5},
    "ceilings":{"gb_s":2.0,"tflops":0.016,"memory_from":"m<1>","arithmetic_from":"a"}})");
  entry["shape"] = "mqa-logits,M=4,ctx=" + std::to_string(tokens) + ",H=8";
  entry["kernel"]["median_us"] = median_us;
  return entry;
}
Json run() {
  return {{"schema", "assay.bench/1"},
          {"seed", 1},
          {"device", {{"name", "a machine"}, {"kind", "cpu"}}},
          {"cache", "warm"},
          {"clock", "cpu"},
          {"threshold", 0.02},
          {"kernel", {{"name", "k<1>"}}},
          {"baseline", nullptr},
          {"shapes", Json::array({entry(128, 2), entry(256, 4)})},
          {"verdict", "TIMED"},
          {"partial", false}};
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(BenchPage, ShowsTheNumbersOfTheJsonEscaped) {
  const std::string html = html_report({run()});
  for (const char* text :
       {"k&lt;1&gt;", "a machine", "TIMED", "37.5 %", "1.50 %", "M=4,ctx=128,H=8", "m&lt;1&gt;"})
    EXPECT_NE(html.find(text), std::string::npos) << text;
  EXPECT_EQ(html.find("k<1>"), std::string::npos);
}

TEST(BenchPage, ShapesThatDifferInLengthAreOneLine) {
  const std::string html = bench_page(run());
  EXPECT_EQ(count(html, "<circle"), 4u) << "two points in each picture";
  EXPECT_NE(html.find("M=4,ctx,H=8"), std::string::npos);
  EXPECT_EQ(html.find("Time over the baseline"), std::string::npos);
}

TEST(BenchPage, BaselineAndComparisonAreDrawnWhenThereAreSome) {
  Json compared = run();
  compared["baseline"] = {{"name", "old"}};
  compared["shapes"][0]["baseline"] = compared["shapes"][0]["kernel"];
  compared["shapes"][0]["comparison"] = Json::parse(
      R"({"verdict":"SLOWER","ratio":1.0512,"low":1.0443,"high":null,"pairs":60,"same_kernel":{"low":0.99,"high":1.01}})");
  const std::string html = bench_page(compared);
  EXPECT_EQ(count(html, "<circle"), 6u) << "kernel twice, baseline once, each length, the ratio";
  for (const char* text : {"against old", "1.051 SLOWER", "1.0443", "<td>?</td>", "<td>60</td>"})
    EXPECT_NE(html.find(text), std::string::npos) << text;
}

TEST(BenchPage, AShapeThatWasNotTimedIsAFindingAndNoPoint) {
  Json lost = run();
  lost["shapes"][1]["kernel"] = nullptr;
  lost["shapes"][1]["text"] = "SIGSEGV while it was timed";
  const std::string html = bench_page(lost);
  EXPECT_NE(html.find("SIGSEGV while it was timed"), std::string::npos);
  EXPECT_EQ(count(html, "<circle"), 2u);
}

TEST(LogPlot, EqualRatiosAreEqualDistances) {
  EXPECT_EQ(log_plot_svg("n", "x", "y", {}, {}), "");
  const std::string svg = log_plot_svg(
      "n", "x", "y", {{1, 1, "", 0, false}, {10, 10, "", 0, false}, {100, 100, "", 0, false}}, {});
  // On both axes the middle point lies in the middle.
  const auto at = [&](const char* key, int which) {
    std::size_t place = 0;
    for (int i = 0; i <= which; ++i) place = svg.find(key, place + 1);
    return std::strtod(svg.c_str() + place + 4, nullptr);
  };
  for (const char* key : {"cx=\"", "cy=\""})
    EXPECT_NEAR(at(key, 1) - at(key, 0), at(key, 2) - at(key, 1), 0.15) << key;
  EXPECT_LT(at("cy=\"", 1), at("cy=\"", 0));
}

}  // namespace
}  // namespace assay::tools
