// Least frequently used: the lowest count of references goes first, ties by the oldest touch; the
// count is forgotten at eviction and starts again at 1. Always inserts: the victim is chosen among
// those that are there, before the new block arrives.
//
//   classes:  count 1 [b7 b2]  <->  count 2 [b9]  <->  count 5 [b1 b4]      each list oldest touch first
//
// A touch moves a block to the back of the next count's list, so every list stays in order of touch
// and the victim is the head of the first list: O(1) throughout. The words are those of eviction_lru.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/cache/content_chain.h"
#include "sim/cache/index_lists.h"

namespace assay {

class LfuEviction {
 public:
  explicit LfuEviction(std::int64_t capacity_blocks) : capacity_blocks_(capacity_blocks) {}

  void grow(std::int32_t contents) {
    links_.grow(contents);
    if (static_cast<std::size_t>(contents) > class_of_.size())
      class_of_.resize(static_cast<std::size_t>(contents), -1);
  }
  [[nodiscard]] bool contains(ContentId content) const { return links_.linked(content.value()); }

  void touch(ContentId content, std::int64_t) {
    std::int32_t& own = class_of_[static_cast<std::size_t>(content.value())];
    const std::int32_t old = own;
    const std::int64_t count = at(old).count + 1;
    links_.remove(at(old).blocks, content.value());
    own = class_after(old, count);
    links_.push_back(at(own).blocks, content.value());
    if (at(old).blocks.empty()) drop_class(old);
  }

  ContentId insert(ContentId content, std::int64_t) {
    ContentId evicted;
    if (size_ == capacity_blocks_) {
      const std::int32_t lowest = classes_.head;
      evicted = ContentId(links_.pop_front(at(lowest).blocks));
      if (at(lowest).blocks.empty()) drop_class(lowest);
    } else {
      ++size_;
    }
    const std::int32_t own = class_after(-1, 1);
    class_of_[static_cast<std::size_t>(content.value())] = own;
    links_.push_back(at(own).blocks, content.value());
    return evicted;
  }
  void end_request() {}

 private:
  struct CountClass {
    std::int64_t count = 0;
    IndexList blocks;
  };
  [[nodiscard]] CountClass& at(std::int32_t index) { return pool_[static_cast<std::size_t>(index)]; }

  // The class of `count`, which is `before` + 1 or lies right behind it (-1: at the front); made if absent.
  std::int32_t class_after(std::int32_t before, std::int64_t count) {
    const std::int32_t next = before < 0 ? classes_.head : class_links_.next(before);
    if (next >= 0 && at(next).count == count) return next;
    std::int32_t added = static_cast<std::int32_t>(pool_.size());
    if (spare_.empty()) {
      pool_.emplace_back();
      class_links_.grow(added + 1);
    } else {
      added = spare_.back();
      spare_.pop_back();
    }
    at(added) = {count, {}};
    if (before < 0)
      class_links_.push_front(classes_, added);
    else
      class_links_.insert_after(classes_, before, added);
    return added;
  }
  void drop_class(std::int32_t index) {
    class_links_.remove(classes_, index);
    spare_.push_back(index);
  }

  std::int64_t capacity_blocks_;
  std::int64_t size_ = 0;
  IndexLinks links_;                    // between contents of equal count
  std::vector<std::int32_t> class_of_;  // [contents]
  std::vector<CountClass> pool_;        // classes, in and out of use
  std::vector<std::int32_t> spare_;     // classes out of use
  IndexLinks class_links_;              // between classes, lowest count first
  IndexList classes_;
};

}  // namespace assay
