// Mean, maximum and quantiles of a stream of non-negative numbers in bounded memory, the same on every
// machine: values fall into bins by the top bits of their bit pattern (512 per power of two, so a quantile
// is exact to 0.2 %), no logarithm is taken. A quantile is the lower edge of its bin.
#pragma once

#include <cstdint>
#include <map>

#include "model/core/host_device.h"

namespace assay {

class Distribution {
 public:
  void add(double value, double weight = 1) {
    bins_[bit_cast<std::uint64_t>(value) >> kDropped] += weight;
    weight_ += weight;
    sum_ += value * weight;
    if (count_++ == 0 || value > largest_) largest_ = value;
  }
  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] double mean() const { return weight_ > 0 ? sum_ / weight_ : 0; }
  [[nodiscard]] double largest() const { return largest_; }
  // The smallest bin that at least a share of `q` of the weight does not exceed.
  [[nodiscard]] double quantile(double q) const {
    double below = 0;
    for (const auto& [bin, weight] : bins_) {
      below += weight;
      if (below >= q * weight_) return bit_cast<double>(bin << kDropped);
    }
    return largest_;
  }

 private:
  static constexpr int kDropped = 52 - 9;
  std::map<std::uint64_t, double> bins_;
  std::int64_t count_ = 0;
  double weight_ = 0, sum_ = 0, largest_ = 0;
};

}  // namespace assay
