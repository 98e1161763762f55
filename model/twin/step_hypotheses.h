// What the tensor core might do instead: one rule for each way in which hardware is known to differ
// from another, or in which a reader could misread the measured rule. The tests use them as canaries
// (inputs that cannot tell them from the truth prove nothing) and `assay calibrate` as the list of
// explanations when a chip behaves otherwise.
#pragma once

#include <array>

#include "model/twin/tensor_core.h"

namespace assay::twin {

struct StepHypothesis {
  const char* name;
  StepRule rule;
};

constexpr int kStepHypotheses = 8;

// Every alternative to `truth`, which itself is not in the list.
constexpr std::array<StepHypothesis, kStepHypotheses> step_hypotheses(const StepRule& truth) {
  std::array<StepHypothesis, kStepHypotheses> all{{{"one align bit less", truth},
                                                   {"one align bit more", truth},
                                                   {"one result bit less", truth},
                                                   {"one result bit more", truth},
                                                   {"terms rounded to nearest", truth},
                                                   {"result rounded to nearest", truth},
                                                   {"products normalised", truth},
                                                   {"accumulator exponent 12 bits lower", truth}}};
  all[0].rule.align_bits -= 1;
  all[1].rule.align_bits += 1;
  all[2].rule.result_bits -= 1;
  all[3].rule.result_bits += truth.result_bits < 23 ? 1 : -2;  // fp32 has no more than 23
  all[4].rule.align_rounding = StepRule::Rounding::kNearestEven;
  all[5].rule.result_rounding = StepRule::Rounding::kNearestEven;
  all[6].rule.normalises_products = true;
  all[7].rule.accumulator_headroom = 12;
  return all;
}

}  // namespace assay::twin
