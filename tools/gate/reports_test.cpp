#include "tools/gate/reports.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <pugixml.hpp>

namespace assay::tools::gate {
namespace {

Finding of(const std::string& kernel, const std::string& check, Outcome outcome,
           const std::string& text = "t") {
  Finding finding;
  finding.kernel = kernel;
  finding.check = check;
  finding.outcome = outcome;
  finding.text = text;
  return finding;
}

GateRun sample() {
  GateRun run;
  run.findings = {of("", "selftest", Outcome::kHeld),
                  of("a", "corpus", Outcome::kHeld),
                  of("a", "headroom", Outcome::kRegression, "r 0.9 | <b> & \"q\""),
                  of("a", "device", Outcome::kBroken),
                  of("b", "claims", Outcome::kWrong),
                  of("b", "speed", Outcome::kUndecided),
                  of("b", "resources", Outcome::kNotRun)};
  return run;
}

TEST(GateReports, JUnitKeepsFailuresAndErrorsApart) {
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(junit_xml(sample()).c_str()));
  const pugi::xml_node suites = document.child("testsuites");
  EXPECT_EQ(suites.attribute("tests").as_int(), 7);
  EXPECT_EQ(suites.attribute("failures").as_int(), 2);
  EXPECT_EQ(suites.attribute("errors").as_int(), 2);
  EXPECT_EQ(suites.attribute("skipped").as_int(), 1);
  int failures = 0, errors = 0, skipped = 0, tests = 0;
  for (const pugi::xml_node suite : suites.children("testsuite"))
    for (const pugi::xml_node test : suite.children("testcase")) {
      ++tests;
      failures += !test.child("failure").empty();
      errors += !test.child("error").empty();
      skipped += !test.child("skipped").empty();
    }
  EXPECT_EQ(tests, 7);
  EXPECT_EQ(failures, 2);
  EXPECT_EQ(errors, 2);
  EXPECT_EQ(skipped, 1);
}

TEST(GateReports, JUnitIsWellFormedWhateverAKernelSays) {
  GateRun run;
  run.findings = {of("a", "start", Outcome::kBroken, "\x01\x1b[31m <&>\"' ]]> \xc3\xa9 \n")};
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(junit_xml(run).c_str()));
  const std::string text = document.select_node("//error").node().text().get();
  EXPECT_NE(text.find("?[31m <&>\"' ]]> \xc3\xa9"), std::string::npos) << text;
}

TEST(GateReports, TheSummaryNamesWhatIsWrongFirst) {
  const std::string text = markdown_summary(sample(), "gate.json");
  EXPECT_NE(text.find("not passed (exit code 5): 2 held, 2 failed, 2 without a verdict, 1 not run here"),
            std::string::npos);
  EXPECT_LT(text.find("**a: device**"), text.find("**b: claims**"));
  EXPECT_LT(text.find("**b: claims**"), text.find("**a: headroom**"));
  EXPECT_LT(text.find("**a: headroom**"), text.find("### a"));
  EXPECT_NE(text.find("r 0.9 \\| &lt;b> & \"q\""), std::string::npos);
}

TEST(GateReports, TheSummaryStaysBelowItsLimitAndSaysWhatIsMissing) {
  GateRun run = sample();
  for (int i = 0; i < 3000; ++i)
    run.findings.push_back(of("many", "c", Outcome::kHeld, std::string(900, 'x')));
  const std::string text = markdown_summary(run, "gate.json");
  EXPECT_LE(text.size(), kMostSummaryBytes);
  EXPECT_GT(text.size(), kMostSummaryBytes / 2);
  EXPECT_NE(text.find("more lines were left out"), std::string::npos);
  EXPECT_NE(text.find("**b: claims**"), std::string::npos);
  EXPECT_EQ(markdown_summary(sample(), "gate.json").find("left out"), std::string::npos);
}

TEST(GateReports, AtMostTenAnnotationsWorstFirst) {
  GateRun run = sample();
  const std::vector<std::string> few = annotations(run, "kernels", "kernels/gate.json");
  ASSERT_EQ(few.size(), 4u);
  EXPECT_EQ(few[0], "::error file=kernels/gate.json,title=assay gate%3A device of a::t");
  EXPECT_EQ(few[3].rfind("::warning ", 0), 0u);
  for (int i = 0; i < 20; ++i) {
    run.findings.push_back(of("c", "corpus", Outcome::kWrong, "50 % of\nthem"));
    run.findings.back().file = "src/a,b.cu";
  }
  const std::vector<std::string> many = annotations(run, "kernels", "kernels/gate.json");
  ASSERT_EQ(many.size(), kMostAnnotations);
  EXPECT_EQ(many[2], "::error file=kernels/src/a%2Cb.cu,title=assay gate%3A corpus of c::50 %25 of%0Athem");
  EXPECT_NE(many.back().find("(14 more findings: see the summary)"), std::string::npos);
  EXPECT_TRUE(annotations(GateRun{}, "", "gate.json").empty());
}

TEST(GateReports, JsonHoldsEveryFindingAndTheExitCode) {
  const nlohmann::ordered_json json = gate_json(sample(), RunOptions{});
  EXPECT_EQ(json["schema"], "assay.gate/1");
  EXPECT_EQ(json["exit_code"], 5);
  EXPECT_EQ(json["findings"].size(), 7u);
  EXPECT_EQ(json["tally"]["failed"], 2);
}

}  // namespace
}  // namespace assay::tools::gate
