#include "tools/gate/receipt.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

namespace assay::tools::gate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A kernel of two files that ran on a device, and its receipt.
class Receipts : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            ("assay-receipt-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    write("k.cu", "#include \"k.h\"\n");
    write("k.h", "constexpr int kTile = 64;\n");
    options_.root = root_.string();
    options_.device = {true, "NVIDIA H200", "13.0", ""};
    GatedKernel kernel;
    kernel.name = "k";
    kernel.kernel = "sm90";
    kernel.on_device = true;
    kernel.sources = {"k.cu"};
    kernel.flags = {"-O3"};
    options_.config.kernels = {kernel};
    KernelReport report;
    report.name = "k";
    report.ran_on = "NVIDIA H200, driver 13.0";
    report.headroom = {{"mqa-logits/codes", 0.1}};
    report.speed = {{"ratio", 0.1 + 0.2}, {"high", std::numeric_limits<double>::infinity()}, {"pairs", 7u}};
    run_.kernels = {report};
    for (const char* check : {"corpus", "properties mqa-logits", "claims mqa-logits", "headroom"}) {
      Finding finding;
      finding.kernel = "k";
      finding.check = check;
      run_.findings.push_back(finding);
    }
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(root_);
    std::ofstream(root_ / name) << text;
  }
  [[nodiscard]] Json receipt() const {
    return make_receipt(options_, run_, "2026-11-21", "0.1.0", {{"k", "ab"}});
  }
  [[nodiscard]] Finding judge(const std::optional<std::string>& text) const {
    RunOptions here = options_;
    here.device = {false, "", "", "none here"};
    return judge_receipt(here, here.config.kernels[0], text, "receipt.json", baseline_);
  }
  fs::path root_;
  RunOptions options_;
  GateRun run_;
  std::optional<Baseline> baseline_;
};

TEST_F(Receipts, SpeaksForTheKernelThatRan) {
  const Finding finding = judge(receipt().dump());
  EXPECT_EQ(finding.outcome, Outcome::kHeld) << finding.text;
  EXPECT_NE(finding.text.find("NVIDIA H200"), std::string::npos);
  EXPECT_NE(finding.text.find("2 files"), std::string::npos);
  EXPECT_EQ(judge(receipt().dump(2)).outcome, Outcome::kHeld) << "spaces change nothing";
}

TEST_F(Receipts, AChangedHeaderFailsAndIsNamed) {
  const std::string text = receipt().dump();
  write("k.h", "constexpr int kTile = 128;\n");
  const Finding finding = judge(text);
  EXPECT_EQ(finding.outcome, Outcome::kWrong);
  EXPECT_NE(finding.text.find("changed k.h"), std::string::npos) << finding.text;
  EXPECT_EQ(finding.file, "k.h");
}

TEST_F(Receipts, AFileThatCameOrWentFails) {
  const std::string text = receipt().dump();
  write("new.h", "\n");
  write("k.cu", "#include \"new.h\"\n");
  EXPECT_NE(judge(text).text.find("changed k.cu, removed k.h, added new.h"), std::string::npos)
      << judge(text).text;
}

TEST_F(Receipts, OtherFlagsOrSofterLimitsFail) {
  const std::string text = receipt().dump();
  options_.config.kernels[0].flags = {"-O3", "-use_fast_math"};
  EXPECT_NE(judge(text).text.find("other compiler flags"), std::string::npos);
  EXPECT_EQ(judge(text).outcome, Outcome::kWrong);
  options_.config.kernels[0].flags = {"-O3"};
  EXPECT_EQ(judge(text).outcome, Outcome::kHeld);
  options_.config.kernels[0].cases *= 2;
  EXPECT_NE(judge(text).text.find("gated in another way"), std::string::npos);
  EXPECT_EQ(judge(text).outcome, Outcome::kWrong);
}

TEST_F(Receipts, AnyEditShowsInItsDigest) {
  const Json good = receipt();
  for (const char* pointer : {"/date", "/device", "/kernels/0/ran_on", "/kernels/0/sources/k.h",
                              "/kernels/0/verdicts/0/text", "/kernels/0/machine_code"}) {
    Json edited = good;
    edited[Json::json_pointer(pointer)] = "edited";
    const Finding finding = judge(edited.dump());
    EXPECT_EQ(finding.outcome, Outcome::kWrong) << pointer;
    EXPECT_NE(finding.text.find("was changed after it was written"), std::string::npos) << pointer;
  }
  Json removed = good;
  removed.erase("digest");
  EXPECT_EQ(judge(removed.dump()).outcome, Outcome::kWrong);
}

// What a digest cannot see, kept as a test so that nobody claims otherwise.
TEST_F(Receipts, AForgerWhoComputesTheDigestIsBelieved) {
  Json forged = receipt();
  forged["kernels"][0]["machine_code"] = "something that never ran";
  forged["digest"] = receipt_digest(forged);
  EXPECT_EQ(judge(forged.dump()).outcome, Outcome::kHeld);
}

TEST_F(Receipts, WithoutOneNothingIsKnown) {
  EXPECT_EQ(judge(std::nullopt).outcome, Outcome::kBroken);
  Json other = receipt();
  other["kernels"][0]["name"] = "another";
  other["digest"] = receipt_digest(other);
  EXPECT_EQ(judge(other.dump()).outcome, Outcome::kBroken);
  EXPECT_NE(judge(other.dump()).text.find("does not speak of this kernel"), std::string::npos);
}

TEST_F(Receipts, RubbishIsRefusedNotBelieved) {
  for (const char* text : {"", "{}", "[]", "null", "{\"schema\": \"assay.receipt/1\"}", "\xff\xfe"})
    EXPECT_EQ(judge(text).outcome, Outcome::kWrong) << text;
  Json odd = receipt();
  odd["kernels"][0]["verdicts"][0]["outcome"] = "splendid";
  odd["digest"] = receipt_digest(odd);
  EXPECT_EQ(judge(odd.dump()).outcome, Outcome::kWrong);
}

TEST_F(Receipts, WhatFailedThereFailsHere) {
  run_.findings[3].outcome = Outcome::kRegression;
  run_.findings[3].text = "slower";
  EXPECT_EQ(judge(receipt().dump()).outcome, Outcome::kRegression);
  run_.findings[0].outcome = Outcome::kWrong;
  EXPECT_EQ(judge(receipt().dump()).outcome, Outcome::kWrong);
}

TEST_F(Receipts, AMissingCheckIsNoVerdict) {
  run_.findings.pop_back();
  EXPECT_EQ(judge(receipt().dump()).outcome, Outcome::kUndecided);
  EXPECT_NE(judge(receipt().dump()).text.find("without headroom"), std::string::npos);
}

TEST_F(Receipts, HeadroomIsHeldAgainstTodaysBaseline) {
  baseline_ = Baseline{};
  baseline_->headroom = {{"mqa-logits/codes", 0.09}};
  EXPECT_EQ(judge(receipt().dump()).outcome, Outcome::kHeld);
  baseline_->headroom = {{"mqa-logits/codes", 0.05}};
  EXPECT_EQ(judge(receipt().dump()).outcome, Outcome::kRegression);
}

TEST_F(Receipts, AKernelThatDidNotRunIsNotInIt) {
  run_.kernels[0].ran_on.clear();
  EXPECT_TRUE(receipt()["kernels"].empty());
}

}  // namespace
}  // namespace assay::tools::gate
