#include "sim/schedules/step_time.h"

#include <gtest/gtest.h>

#include "model/core/philox.h"

namespace assay {
namespace {

TEST(StepLoad, CountsUnitsAndSequencesOfTheBusiestPart) {
  // 3 + 1 + 2 units on three parts: two each; the second part ends the first sequence and holds the second.
  const StepLoad load = step_load_of(std::vector<std::int32_t>{129, 64, 128}, 64, 3);
  EXPECT_EQ(load.total_units, 6);
  EXPECT_EQ(load.busiest_units, 2);
  EXPECT_EQ(load.most_sequences, 2);
  EXPECT_EQ(load.most_cuts, 1);
  EXPECT_EQ(step_load_of(std::vector<std::int32_t>{0, 0}, 64, 3).busiest_units, 0);
}

std::vector<MeasuredStep> made_with(const StepTimeModel& model, std::uint64_t seed, double noise) {
  const RandomStream random(seed, "steps");
  std::vector<MeasuredStep> steps;
  for (std::uint64_t i = 0; i < 60; ++i) {
    std::vector<std::int32_t> lengths(1 + random.below(3 * i, 60));
    for (std::size_t s = 0; s < lengths.size(); ++s)
      lengths[s] =
          1 + static_cast<std::int32_t>(random.below(1000 + 64 * i + s, 1 + random.below(3 * i + 1, 30000)));
    MeasuredStep step{step_load_of(lengths, 64, 132), 0};
    step.us =
        model.predict_us(step.load) * (1 + noise * (static_cast<double>(random.uniform(3 * i + 2)) - 0.5));
    steps.push_back(step);
  }
  return steps;
}

TEST(StepTimeFit, FindsTheConstantsBehindStepsItHasNotSeen) {
  const StepTimeModel truth{4, 0.35, 0.0021, 0.4, 0.05};
  const StepTimeModel fitted = fit_step_time(made_with(truth, 1, 0.04));
  for (const MeasuredStep& step : made_with(truth, 2, 0))
    EXPECT_NEAR(fitted.predict_us(step.load) / step.us, 1, 0.04);
}

// Canary: a kernel that does not follow the model must not look as if it did.
TEST(StepTimeFit, DoesNotExplainTimesThatHaveNothingToDoWithTheLoad) {
  std::vector<MeasuredStep> steps = made_with({4, 0.35, 0.0021, 0.4, 0.05}, 3, 0);
  const RandomStream random(4, "times");
  for (std::size_t i = 0; i < steps.size(); ++i)
    steps[i].us = 5 + 200 * static_cast<double>(random.uniform(i));
  const StepTimeModel fitted = fit_step_time(steps);
  double worst = 0;
  for (const MeasuredStep& step : steps)
    worst = std::max(worst, std::abs(fitted.predict_us(step.load) / step.us - 1));
  EXPECT_GT(worst, 0.5);
}

}  // namespace
}  // namespace assay
