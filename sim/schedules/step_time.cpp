#include "sim/schedules/step_time.h"

#include <algorithm>
#include <array>

#include "model/core/check.h"
#include "model/core/paged_layout.h"
#include "model/core/schedule.h"

namespace assay {
namespace {

double squared_error(const StepTimeModel& model, const std::vector<MeasuredStep>& steps) {
  double sum = 0;
  for (const MeasuredStep& step : steps) {
    const double off = model.predict_us(step.load) / step.us - 1;
    sum += off * off;
  }
  return sum / static_cast<double>(steps.size());
}

}  // namespace

StepLoad step_load_of(std::span<const std::int32_t> lengths, std::int32_t unit_tokens, std::int32_t parts) {
  std::vector<std::int64_t> ends;
  std::int64_t total = 0;
  for (const std::int32_t length : lengths) ends.push_back(total += ceil_div(length, unit_tokens));
  StepLoad load;
  load.total_units = static_cast<double>(total);
  const auto batch = static_cast<std::int32_t>(lengths.size());
  for (std::int32_t part = 0; part < parts && total > 0; ++part) {
    const std::int64_t begin = part_begin(total, parts, part), end = part_begin(total, parts, part + 1);
    if (begin == end) continue;
    load.busiest_units = std::max(load.busiest_units, static_cast<double>(end - begin));
    const std::int32_t sequences = locate_unit(ends.data(), batch, end - 1).sequence -
                                   locate_unit(ends.data(), batch, begin).sequence + 1;
    load.most_sequences = std::max(load.most_sequences, static_cast<double>(sequences));
  }
  for (std::size_t s = 0; s < ends.size(); ++s) {
    const std::int64_t begin = s == 0 ? 0 : ends[s - 1];
    if (begin == ends[s]) continue;
    const std::int32_t cuts = part_of(total, parts, ends[s] - 1) - part_of(total, parts, begin);
    load.most_cuts = std::max(load.most_cuts, static_cast<double>(cuts));
  }
  return load;
}

double StepTimeModel::predict_us(const StepLoad& load) const {
  return start_us + std::max(unit_us * load.busiest_units, shared_us * load.total_units) +
         sequence_us * load.most_sequences + merge_us * load.most_cuts;
}

StepTimeModel fit_step_time(const std::vector<MeasuredStep>& steps) {
  ASSAY_CHECK(!steps.empty());
  double us = 0, busiest = 0, total = 0;
  for (const MeasuredStep& step : steps) {
    ASSAY_CHECK(step.us > 0);
    us += step.us;
    busiest += step.load.busiest_units;
    total += step.load.total_units;
  }
  const double mean_us = us / static_cast<double>(steps.size());
  StepTimeModel best{mean_us / 4, us / std::max(busiest, 1.0) / 2, us / std::max(total, 1.0) / 2,
                     mean_us / 100, mean_us / 1000};
  double error = squared_error(best, steps);
  const std::array<double StepTimeModel::*, 5> constants = {
      &StepTimeModel::start_us, &StepTimeModel::unit_us, &StepTimeModel::shared_us,
      &StepTimeModel::sequence_us, &StepTimeModel::merge_us};
  // One constant at a time, by factors that shrink; the sum of squares has few and shallow valleys here.
  for (double factor = 2; factor > 1.0002;) {
    bool better = false;
    for (const auto constant : constants)
      for (const double scale : {factor, 1 / factor, 0.0}) {
        StepTimeModel other = best;
        other.*constant = scale == 0 ? 0 : std::max(best.*constant, 1e-6) * scale;
        const double now = squared_error(other, steps);
        if (now < error) {
          best = other;
          error = now;
          better = true;
        }
      }
    if (!better) factor = 1 + (factor - 1) / 2;
  }
  return best;
}

}  // namespace assay
