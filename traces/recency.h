// LRU stack distances, exactly, in one pass. Every touch takes the next position on a line; a key's older
// position is cleared. The distance of a touch is the number of marks behind the key's old position, that
// is, of distinct other keys touched since. An LRU cache of C blocks hits iff the distance is below C.
//
//   marks   1 bit per position                      .1..11.1|.1......|111.1...
//   groups  512 bits each, counts in a Fenwick tree:  4       1        5
//
// When the line is full the marks are pushed together (renumber) and, if still more than half full, the line
// doubles: memory is about one bit per position and 4 bytes per 512. Cost of a touch: log2(groups) steps and
// at most 8 population counts. Positions are uint32: at most 2^31 distinct keys.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "model/core/check.h"

namespace assay {

class Recency {
 public:
  explicit Recency(std::uint32_t positions = 1u << 16)
      : words_(positions / 64), tree_(positions / kGroup + 1), capacity_(positions) {
    ASSAY_CHECK_EQ(positions % kGroup, 0u);
  }

  [[nodiscard]] bool full() const { return next_ == capacity_; }

  // A key that was never touched. Not while full().
  [[nodiscard]] std::uint32_t first_touch() {
    ASSAY_CHECK(!full());
    mark(next_);
    ++live_;
    return next_++;
  }
  // Distinct other keys touched after `position`.
  [[nodiscard]] std::uint32_t distance(std::uint32_t position) const { return live_ - rank(position) - 1; }
  // The key at `position` is touched: its new position. Not while full().
  [[nodiscard]] std::uint32_t touch_again(std::uint32_t position) {
    ASSAY_CHECK(!full());
    clear(position);
    mark(next_);
    return next_++;
  }
  // When full(): the new position of every key is rank(old position). Call it for all keys, then
  // `renumbered()`.
  [[nodiscard]] std::uint32_t rank(std::uint32_t position) const {
    std::uint32_t sum = 0;
    for (std::uint32_t i = position / kGroup; i > 0; i &= i - 1) sum += tree_[i];
    const std::uint32_t word = position / 64;
    for (std::uint32_t w = position / kGroup * (kGroup / 64); w < word; ++w)
      sum += static_cast<std::uint32_t>(std::popcount(words_[w]));
    const std::uint64_t below = (std::uint64_t{1} << position % 64) - 1;
    return sum + static_cast<std::uint32_t>(std::popcount(words_[word] & below));
  }
  void renumbered() {
    while (live_ > capacity_ / 2) {
      ASSAY_CHECK_LT(capacity_, 1u << 31);
      capacity_ *= 2;
    }
    words_.assign(capacity_ / 64, 0);
    tree_.assign(capacity_ / kGroup + 1, 0);
    next_ = 0;
    for (; next_ < live_; ++next_) mark(next_);
  }
  [[nodiscard]] std::uint32_t live() const { return live_; }

 private:
  static constexpr std::uint32_t kGroup = 512;

  void mark(std::uint32_t position) {
    words_[position / 64] |= std::uint64_t{1} << position % 64;
    for (std::uint32_t i = position / kGroup + 1; i < tree_.size(); i += i & (0 - i)) ++tree_[i];
  }
  void clear(std::uint32_t position) {
    words_[position / 64] &= ~(std::uint64_t{1} << position % 64);
    for (std::uint32_t i = position / kGroup + 1; i < tree_.size(); i += i & (0 - i)) --tree_[i];
  }

  std::vector<std::uint64_t> words_;
  std::vector<std::uint32_t> tree_;
  std::uint32_t capacity_, next_ = 0, live_ = 0;
};

}  // namespace assay
