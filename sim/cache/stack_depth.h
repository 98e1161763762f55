// How deep in an LRU stack a content lies: the number of different contents touched since it was last
// touched, itself included.
//
//   time        0 1 2 3 4 5        touches a b c b a d: each content keeps the mark of its last touch
//   marks       . . 1 1 1 1                 c b a d
//   depth(b) =      4 marks, 1 of them before b's: 3
//
// A Fenwick tree over time counts the marks. When time runs out the marks are moved together, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/core/check.h"
#include "sim/cache/content_chain.h"

namespace assay {

class StackDepth {
 public:
  // Moments before the first compaction; any positive number is correct.
  explicit StackDepth(std::size_t moments = 1u << 16) { resize(moments); }

  void grow(std::int32_t contents) {
    if (static_cast<std::size_t>(contents) > mark_of_.size())
      mark_of_.resize(static_cast<std::size_t>(contents), kUnseen);
  }
  [[nodiscard]] bool seen(ContentId content) const { return mark(content) != kUnseen; }

  // >= 1; the content must have been touched.
  [[nodiscard]] std::int64_t depth(ContentId content) const {
    return live_ - marks_before(static_cast<std::size_t>(mark(content)));
  }

  void touch(ContentId content) {
    if (now_ == content_at_.size()) compact();
    std::int32_t& own = mark_of_[static_cast<std::size_t>(content.value())];
    if (own != kUnseen) {
      content_at_[static_cast<std::size_t>(own)] = ContentId();
      add(static_cast<std::size_t>(own), -1);
    } else {
      ++live_;
    }
    own = static_cast<std::int32_t>(now_);
    content_at_[now_] = content;
    add(now_, 1);
    ++now_;
  }

 private:
  static constexpr std::int32_t kUnseen = -1;
  [[nodiscard]] std::int32_t mark(ContentId content) const {
    return mark_of_[static_cast<std::size_t>(content.value())];
  }

  void add(std::size_t moment, std::int32_t by) {
    for (std::size_t i = moment + 1; i < tree_.size(); i += i & (~i + 1)) tree_[i] += by;
  }
  // Marks at moments [0, moment).
  [[nodiscard]] std::int64_t marks_before(std::size_t moment) const {
    std::int64_t sum = 0;
    for (std::size_t i = moment; i > 0; i -= i & (~i + 1)) sum += tree_[i];
    return sum;
  }
  void resize(std::size_t moments) {
    content_at_.assign(moments, ContentId());
    tree_.assign(moments + 1, 0);
  }

  // Moves the marks to the first moments, in order, with at least as much time free as taken.
  void compact() {
    std::vector<ContentId> order;
    order.reserve(static_cast<std::size_t>(live_));
    for (const ContentId content : content_at_)
      if (content != ContentId()) order.push_back(content);
    ASSAY_CHECK_EQ(static_cast<std::int64_t>(order.size()), live_);
    std::size_t moments = content_at_.size();
    while (moments < order.size() * 2 + 1) moments *= 2;
    resize(moments);
    for (now_ = 0; now_ < order.size(); ++now_) {
      content_at_[now_] = order[now_];
      mark_of_[static_cast<std::size_t>(order[now_].value())] = static_cast<std::int32_t>(now_);
      tree_[now_ + 1] = 1;
    }
    for (std::size_t i = 1; i < tree_.size(); ++i) {  // linear construction: each node into its parent
      const std::size_t parent = i + (i & (~i + 1));
      if (parent < tree_.size()) tree_[parent] += tree_[i];
    }
  }

  std::int64_t live_ = 0;              // contents seen
  std::size_t now_ = 0;                // the next moment
  std::vector<std::int32_t> mark_of_;  // [contents] moment of the last touch
  std::vector<ContentId> content_at_;  // [moments]
  std::vector<std::int32_t> tree_;     // [moments + 1], Fenwick
};

}  // namespace assay
