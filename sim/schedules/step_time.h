// How long a decode step's kernel takes, from how its work falls on the SMs:
//
//   time = start + max(unit * n, shared * total) + sequence * s + merge * m
//
//   n      units of the busiest SM        an SM streams its own units no faster than its copies in flight allow
//   total  units of the whole step        the memory gives all SMs together no more than its bandwidth
//   s      sequences that one SM touches  each brings queries, weights and a look into tables
//   m      parts that one sequence is cut into, but the first: pieces that somebody must merge
//
// The five constants belong to one kernel on one device and are fitted to measured steps; what is left over on
// steps that the fit has not seen is the model's error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace assay {

struct StepLoad {
  double busiest_units = 0, total_units = 0, most_sequences = 0, most_cuts = 0;
};
// Units of `unit_tokens`, dealt out in equal ranges to `parts` (model/core/schedule.h).
[[nodiscard]] StepLoad step_load_of(std::span<const std::int32_t> lengths, std::int32_t unit_tokens,
                                    std::int32_t parts);

// Microseconds.
struct StepTimeModel {
  double start_us = 0, unit_us = 0, shared_us = 0, sequence_us = 0, merge_us = 0;
  [[nodiscard]] double predict_us(const StepLoad& load) const;
};

struct MeasuredStep {
  StepLoad load;
  double us = 0;
};
// The constants (none below zero) with the smallest mean squared relative error. At least one step.
[[nodiscard]] StepTimeModel fit_step_time(const std::vector<MeasuredStep>& steps);

}  // namespace assay
