#include "tools/gate/baseline.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

Baseline sample() {
  Baseline baseline;
  baseline.headroom = {{"mqa-logits/codes", 0.0812}, {"mqa-logits/exact-qk", 0}};
  baseline.resources["kernel_a"] = {168, 0, 0, 0, 4096, {{"HGMMA", 64}, {"IMAD", 900}, {"LDS", 4}}};
  baseline.balance = {{"assay", 1.02}};
  return baseline;
}

TEST(Baseline, ReadsBackWhatItWrote) {
  const Baseline before = sample();
  const Baseline after = parse_baseline(baseline_text("a", before), "a.json");
  EXPECT_EQ(after.headroom, before.headroom);
  EXPECT_EQ(after.resources, before.resources);
  EXPECT_EQ(after.balance, before.balance);
  EXPECT_TRUE(differences(before, after).empty());
}

TEST(Baseline, RefusesWhatItWouldNotWrite) {
  const auto refused = [](const std::string& text) {
    try {
      (void)parse_baseline(text, "a.json");
      return false;
    } catch (const InputError&) {
      return true;
    }
  };
  EXPECT_TRUE(refused("{}"));
  EXPECT_TRUE(refused("[1]"));
  EXPECT_TRUE(refused("<<<<<<< HEAD"));
  EXPECT_FALSE(refused(R"({"schema": "assay.gate-baseline/1"})"));
  EXPECT_TRUE(refused(R"({"schema": "assay.gate-baseline/1", "headrom": {}})"));
  EXPECT_TRUE(refused(R"({"schema": "assay.gate-baseline/1", "headroom": {"a": -1}})"));
  EXPECT_TRUE(refused(R"({"schema": "assay.gate-baseline/1", "headroom": {"a": "0.1"}})"));
  EXPECT_TRUE(refused(R"({"schema": "assay.gate-baseline/1", "resources": {"k": {"registers": 1}}})"));
}

TEST(Baseline, RoundsUpToFourDigits) {
  EXPECT_EQ(rounded_up(0), 0);
  EXPECT_EQ(rounded_up(0.08121), 0.08121);
  EXPECT_EQ(rounded_up(0.0812101), 0.08122);
  EXPECT_EQ(rounded_up(1), 1);
  EXPECT_EQ(rounded_up(123456), 123500);
}

TEST(Baseline, AHeadroomBeyondTheLimitOrTheMultipleIsAnExcess) {
  const Headroom was{{"op/a", 0.1}, {"op/b", 0}, {"op/c", 0.8}};
  const auto excesses = [&](const Headroom& now) { return headroom_excesses(now, was, {}).size(); };
  EXPECT_EQ(excesses(was), 0u);
  EXPECT_EQ(excesses({{"op/a", 0.15}}), 0u);
  EXPECT_EQ(excesses({{"op/a", 0.1501}}), 1u);
  EXPECT_EQ(excesses({{"op/b", 0.02}}), 0u) << "the floor";
  EXPECT_EQ(excesses({{"op/b", 0.021}}), 1u);
  EXPECT_EQ(excesses({{"op/c", 1.0}}), 0u);
  EXPECT_EQ(excesses({{"op/c", 1.01}}), 1u) << "within 1.5 times, and outside the bound";
  EXPECT_EQ(excesses({{"op/new", 0.01}}), 1u);
  EXPECT_EQ(excesses({{"op/a", std::nan("")}}), 1u);
}

TEST(Baseline, MoreResourcesThanAllowedAreAnExcess) {
  const Resources was = sample().resources;
  ResourceLimits limits;
  limits.more_registers = 2;
  const auto excesses = [&](const Resources& now) { return resource_excesses(now, was, limits); };
  EXPECT_TRUE(excesses(was).empty());
  Resources now = was;
  now["kernel_a"].registers = 170;
  EXPECT_TRUE(excesses(now).empty());
  now["kernel_a"].registers = 171;
  ASSERT_EQ(excesses(now).size(), 1u);
  EXPECT_EQ(excesses(now)[0].text, "kernel_a: 171 registers, baseline 168, allowed 170");
  now = was;
  now["kernel_a"].spill_store_bytes = 4;
  EXPECT_EQ(excesses(now).size(), 1u);
  now = was;
  now["kernel_a"].registers = 100;
  EXPECT_TRUE(excesses(now).empty()) << "fewer is no regression";
  now = was;
  now["kernel_a"].instructions["IMAD"] = 1000;
  EXPECT_EQ(excesses(now).size(), 1u);
  now["kernel_a"].instructions["IMAD"] = 980;
  EXPECT_TRUE(excesses(now).empty()) << "within a tenth";
  now["kernel_a"].instructions["LDS"] = 8;
  EXPECT_TRUE(excesses(now).empty()) << "less than a hundredth of the code";
  now["kernel_a"].instructions["LDL"] = 40;
  EXPECT_EQ(excesses(now).size(), 1u) << "a class that was not there";
  EXPECT_EQ(excesses({}).size(), 1u) << "gone";
  now = was;
  now["kernel_b"] = now["kernel_a"];
  EXPECT_EQ(excesses(now).size(), 1u) << "unknown";
}

TEST(Baseline, DifferencesSayWhatGotWorse) {
  const Baseline was = sample();
  Baseline now = was;
  now.headroom["mqa-logits/codes"] = 0.1218;
  now.resources["kernel_a"].registers = 160;
  now.balance.erase("assay");
  const std::vector<std::string> expected{"headroom mqa-logits/codes: 0.1218 was 0.0812 (x 1.50, worse)",
                                          "balance assay: gone, was 1.02",
                                          "resources kernel_a registers: 160 was 168 (x 0.95, better)"};
  EXPECT_EQ(differences(was, now), expected);
  EXPECT_EQ(differences(std::nullopt, now).size(), 3u);
}

}  // namespace
}  // namespace assay::tools::gate
