// The page says what the JSON says, escapes what it is given, and leaves out what is not there.
#include "tools/report/html.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/core/check.h"

namespace assay::tools {
namespace {

using Json = nlohmann::ordered_json;

Json small_run() {
  return Json::parse(R"({"schema":"assay.replay/1","digest":"abc","partial":false,
    "trace":{"name":"a<b>&\"c\"","requests":3},"config":{"engine":"vllm-v1","blocks":7},"completed":3,"rejected":0,
    "ledger":{"mean":{"live":0.25,"tail":0.05,"reserved":0.0,"cached_idle":0.5,"null":0.1,"free":0.1}},
    "prefix":{"block_ratio":0.125,"miss":{"cold":41,"evicted":17}}})");
}

TEST(HtmlReport, ShowsTheNumbersOfTheJson) {
  const std::string html = html_report({small_run()});
  for (const char* text : {"25.000000 %", "50.000000 %", "12.50 %", ">41<", ">17<", "vllm-v1", "digest abc"})
    EXPECT_NE(html.find(text), std::string::npos) << text;
}

TEST(HtmlReport, EscapesWhatATraceIsCalled) {
  const std::string html = html_report({small_run()});
  EXPECT_NE(html.find("a&lt;b&gt;&amp;&quot;c&quot;"), std::string::npos);
  EXPECT_EQ(html.find("a<b>"), std::string::npos);
}

TEST(HtmlReport, LeavesOutWhatARunDoesNotCarry) {
  const std::string html = html_report({small_run()});
  EXPECT_EQ(html.find("SM balance"), std::string::npos);
  EXPECT_EQ(html.find("Over pool size"), std::string::npos);
}

TEST(HtmlReport, NeedsNothingFromElsewhere) {
  const std::string html = html_report({small_run(), small_run()});
  for (const char* text : {"http:", "https:", "<script", "<link", "url("})
    EXPECT_EQ(html.find(text), std::string::npos) << text;
}

TEST(HtmlReport, RefusesOtherDocuments) {
  EXPECT_THROW((void)html_report({Json::parse(R"({"schema":"x/1"})")}), InputError);
  EXPECT_THROW((void)html_report({Json::parse("[1]")}), InputError);
}

}  // namespace
}  // namespace assay::tools
