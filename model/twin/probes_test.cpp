// The questions must be able to tell every other reading apart, a device that obeys must pass, and one
// that does not must be named for what it does. Simulated devices are the canaries.
#include "model/twin/probes.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/core/check.h"

namespace assay::twin {
namespace {

std::string shown(StepOperands operands) {
  return std::string(name_of(operands.a)) + " x " + name_of(operands.b);
}

// A device that follows one of the other readings, or (-1) the truth.
std::vector<std::uint32_t> simulated_device(const std::vector<StepProbe>& probes, int hypothesis) {
  std::vector<std::uint32_t> answers;
  for (const StepProbe& probe : probes) {
    answers.push_back(hypothesis < 0 ? probe.expected
                                     : probe.otherwise[static_cast<std::size_t>(hypothesis)]);
  }
  return answers;
}

TEST(StepProbes, EveryOtherReadingIsToldApartByAQuestionMadeByHand) {
  for (const StepOperands operands : kStepOperands) {
    const auto probes = step_probes(operands);
    for (std::size_t h = 0; h < kStepHypotheses; ++h) {
      int telling = 0;
      for (const StepProbe& probe : probes) telling += probe.tells_apart(h);
      EXPECT_GE(telling, 2) << shown(operands) << ", hypothesis " << h;
    }
  }
}

TEST(StepProbes, ADeviceThatFollowsTheRuleIsAsExpected) {
  for (const StepOperands operands : kStepOperands) {
    auto probes = step_probes(operands);
    for (const StepProbe& probe : random_step_probes(operands, 3, 500)) probes.push_back(probe);
    std::vector<std::uint32_t> answers;
    for (const StepProbe& probe : probes) {
      answers.push_back(bit_cast<std::uint32_t>(
          run_step(operands, probe.a.data(), probe.b.data(), bit_cast<float>(probe.accumulator))));
    }
    EXPECT_EQ(explain(probes, answers), "as expected, " + std::to_string(probes.size()) + " answers")
        << shown(operands);
  }
}

TEST(StepProbes, ADeviceThatDiffersIsNamedForWhatItDoes) {
  for (const StepOperands operands : kStepOperands) {
    const auto probes = step_probes(operands);
    const auto names = step_hypotheses(rule_of(operands));
    for (int h = 0; h < kStepHypotheses; ++h) {
      const std::string line = explain(probes, simulated_device(probes, h));
      EXPECT_NE(line.find(names[static_cast<std::size_t>(h)].name), std::string::npos) << line;
      EXPECT_EQ(line.find("as expected"), std::string::npos) << line;
    }
    auto odd = simulated_device(probes, -1);
    odd[5] ^= 1;
    EXPECT_NE(explain(probes, odd).find("no known reading fits"), std::string::npos);
    EXPECT_NE(explain(probes, odd).find(probes[5].question), std::string::npos);
  }
}

TEST(StepProbes, NoQuestionIsAskedTwice) {
  for (const StepOperands operands : kStepOperands) {
    std::set<std::string> seen;
    for (const StepProbe& probe : step_probes(operands)) {
      EXPECT_TRUE(seen.insert(probe.question).second) << probe.question;
    }
  }
}

TEST(StepProbes, RandomStepsAreTheSameForTheSameSeedAndHoldNoSpecials) {
  for (const StepOperands operands : kStepOperands) {
    const auto first = random_step_probes(operands, 9, 300), again = random_step_probes(operands, 9, 300);
    for (std::size_t i = 0; i < first.size(); ++i) {
      ASSERT_EQ(first[i].a, again[i].a);
      ASSERT_EQ(first[i].expected, again[i].expected);
      // bf16 alone can pass the largest fp32 with finite operands.
      const bool finite = (first[i].expected & 0x7f800000u) != 0x7f800000u;
      ASSERT_TRUE(finite || operands.a == ElementType::kBf16) << shown(operands) << " " << i;
      ASSERT_NE(first[i].expected, kCanonicalNan) << shown(operands) << " " << i;
    }
  }
}

TEST(StepProbes, APairThatNoStepTakesIsRefused) {
  EXPECT_THROW(static_cast<void>(step_probes({ElementType::kE4M3, ElementType::kBf16})), InputError);
  EXPECT_THROW(static_cast<void>(step_probes({ElementType::kBf16, ElementType::kFp16})), InputError);
}

}  // namespace
}  // namespace assay::twin
