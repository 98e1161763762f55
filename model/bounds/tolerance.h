// The tolerance report that users of MIGraphX know, as a view beside the bound: how many elements miss
// |got - want| <= atol + rtol |want| at three levels, and four statistics. It judges nothing here: at
// long contexts these tolerances forgive a dropped page (docs/golden.md shows which bugs).
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace assay {

struct ToleranceLevel {
  const char* name;
  double atol, rtol;
};
inline constexpr std::array<ToleranceLevel, 3> kToleranceLevels{{
    {"Tight", 1e-5, 1e-4},
    {"Medium", 1e-4, 1e-3},
    {"Loose", 1e-3, 1e-2},
}};

class ToleranceReport {
 public:
  // Equal infinities match; two NaN match; anything else that is not finite is a mismatch.
  void add(double want, double got);
  void merge(const ToleranceReport& other);

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t mismatches(int level) const { return mismatches_[level]; }
  [[nodiscard]] double max_absolute() const { return max_absolute_; }
  [[nodiscard]] double max_relative() const { return max_relative_; }  // over elements with want != 0
  [[nodiscard]] double mean_absolute() const {
    return finite_ == 0 ? 0.0 : static_cast<double>(sum_absolute_) * 0x1p-60 / static_cast<double>(finite_);
  }
  [[nodiscard]] std::string text() const;

 private:
  std::int64_t count_ = 0, finite_ = 0;
  std::array<std::int64_t, 3> mismatches_{};
  double max_absolute_ = 0, max_relative_ = 0;
  // In units of 2^-60, so that the sum does not depend on the order of the elements. Differences above
  // 2^40 count as 2^40.
  __extension__ typedef unsigned __int128 Sum;
  static constexpr double kLargestDifference = 0x1p40;
  Sum sum_absolute_ = 0;
};

}  // namespace assay
