#include "model/bounds/tolerance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace assay {

void ToleranceReport::add(double want, double got) {
  ++count_;
  if (want == got || (std::isnan(want) && std::isnan(got))) {
    if (std::isfinite(want)) ++finite_;
    return;
  }
  if (!std::isfinite(want) || !std::isfinite(got)) {
    for (std::int64_t& mismatches : mismatches_) ++mismatches;
    return;
  }
  ++finite_;
  const double difference = std::fabs(got - want);
  for (std::size_t level = 0; level < kToleranceLevels.size(); ++level)
    if (difference > kToleranceLevels[level].atol + kToleranceLevels[level].rtol * std::fabs(want))
      ++mismatches_[level];
  max_absolute_ = std::max(max_absolute_, difference);
  if (want != 0) max_relative_ = std::max(max_relative_, difference / std::fabs(want));
  sum_absolute_ += static_cast<Sum>(std::min(difference, kLargestDifference) * 0x1p60);
}

void ToleranceReport::merge(const ToleranceReport& other) {
  count_ += other.count_;
  finite_ += other.finite_;
  for (std::size_t level = 0; level < mismatches_.size(); ++level)
    mismatches_[level] += other.mismatches_[level];
  max_absolute_ = std::max(max_absolute_, other.max_absolute_);
  max_relative_ = std::max(max_relative_, other.max_relative_);
  sum_absolute_ += other.sum_absolute_;
}

std::string ToleranceReport::text() const {
  std::string text = "Tolerance tests:\n";
  for (std::size_t level = 0; level < kToleranceLevels.size(); ++level)
    text += fmt::format("  {:<7}(atol={:g}, rtol={:g}): {} ({} mismatches)\n", kToleranceLevels[level].name,
                        kToleranceLevels[level].atol, kToleranceLevels[level].rtol,
                        mismatches_[level] == 0 ? "PASS" : "FAIL", mismatches_[level]);
  return text + fmt::format(
                    "\nStatistics:\n  Max absolute difference: {:.3e}\n  Max relative difference: {:.3e}\n"
                    "  Avg absolute difference: {:.3e}\n",
                    max_absolute(), max_relative(), mean_absolute());
}

}  // namespace assay
