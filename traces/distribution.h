// Exact statistics of whole numbers in one pass: every value's count is kept, so memory follows the range of
// the values (token lengths), not their number. Values past kDense go to an ordered map.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "model/core/check.h"

namespace assay {

class Distribution {
 public:
  void add(std::int64_t value, std::int64_t times = 1) {
    ASSAY_CHECK_GE(value, 0);
    if (value < kDense) {
      if (static_cast<std::size_t>(value) >= dense_.size())
        dense_.resize(static_cast<std::size_t>(value) * 5 / 4 + 64);
      dense_[static_cast<std::size_t>(value)] += times;
    } else {
      sparse_[value] += times;
    }
    if (count_ == 0 || value < min_) min_ = value;
    if (count_ == 0 || value > max_) max_ = value;
    count_ += times;
    // Sums past 2^63 saturate; no trace gets there, a broken length may.
    std::int64_t product = 0;
    if (__builtin_mul_overflow(value, times, &product) || __builtin_add_overflow(sum_, product, &sum_))
      sum_ = INT64_MAX;
  }

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t sum() const { return sum_; }
  [[nodiscard]] std::int64_t min() const { return min_; }
  [[nodiscard]] std::int64_t max() const { return max_; }
  [[nodiscard]] double mean() const {
    return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }
  // The value of rank ceil(p / 100 * count) in ascending order (nearest rank), p in thousandths of a
  // percent so that the rank is exact: 50000 is the (lower) median, 99900 is p99.9.
  [[nodiscard]] std::int64_t percentile(std::int64_t millipercent) const {
    if (count_ == 0) return 0;
    // Split so that no product overflows: count * millipercent / 100000, rounded up.
    const std::int64_t whole = count_ / 100000 * millipercent, part = count_ % 100000 * millipercent;
    std::int64_t rank = whole + (part + 99999) / 100000;
    if (rank < 1) rank = 1;
    return of_rank(rank);
  }
  // The mean of the two middle values when the count is even.
  [[nodiscard]] double median() const {
    if (count_ == 0) return 0.0;
    const std::int64_t low = of_rank((count_ + 1) / 2), high = of_rank(count_ / 2 + 1);
    return (static_cast<double>(low) + static_cast<double>(high)) / 2.0;
  }
  // Counts per power of two: slot 0 holds value 0, slot k holds [2^(k-1), 2^k).
  [[nodiscard]] std::vector<std::int64_t> octaves() const {
    std::vector<std::int64_t> out;
    for_each([&](std::int64_t value, std::int64_t times) {
      std::size_t slot = 0;
      for (std::int64_t v = value; v > 0; v >>= 1) ++slot;
      if (slot >= out.size()) out.resize(slot + 1);
      out[slot] += times;
    });
    return out;
  }
  // Every value that occurred, ascending, with its count.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < dense_.size(); ++i)
      if (dense_[i] > 0) visit(static_cast<std::int64_t>(i), dense_[i]);
    for (const auto& [value, times] : sparse_) visit(value, times);
  }

 private:
  static constexpr std::int64_t kDense = 1 << 22;

  [[nodiscard]] std::int64_t of_rank(std::int64_t rank) const {
    std::int64_t seen = 0;
    for (std::size_t i = 0; i < dense_.size(); ++i) {
      seen += dense_[i];
      if (seen >= rank) return static_cast<std::int64_t>(i);
    }
    for (const auto& [value, times] : sparse_) {
      seen += times;
      if (seen >= rank) return value;
    }
    return max_;
  }

  std::vector<std::int64_t> dense_;
  std::map<std::int64_t, std::int64_t> sparse_;
  std::int64_t count_ = 0, sum_ = 0, min_ = 0, max_ = 0;
};

}  // namespace assay
