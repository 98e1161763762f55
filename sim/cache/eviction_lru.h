// Least recently used: one list from the oldest touch to the newest; the head is evicted.
//
// All policies of this folder speak the same five words, so that one replay loop serves them:
//   grow(contents)            contents with ids below this may appear
//   contains(content)
//   touch(content, when)      a present content is referenced
//   insert(content, when)     an absent one is; evicts when the cache is full, returns whom (or none)
//   end_request()             the request's last block has been referenced
// `when` is the number of references before this one; only Belady looks at it.
#pragma once

#include <cstdint>

#include "sim/cache/content_chain.h"
#include "sim/cache/index_lists.h"

namespace assay {

class LruEviction {
 public:
  explicit LruEviction(std::int64_t capacity_blocks) : capacity_blocks_(capacity_blocks) {}

  void grow(std::int32_t contents) { links_.grow(contents); }
  [[nodiscard]] bool contains(ContentId content) const { return links_.linked(content.value()); }
  void touch(ContentId content, std::int64_t) { links_.move_to_back(order_, content.value()); }
  ContentId insert(ContentId content, std::int64_t) {
    ContentId evicted;
    if (size_ == capacity_blocks_)
      evicted = ContentId(links_.pop_front(order_));
    else
      ++size_;
    links_.push_back(order_, content.value());
    return evicted;
  }
  void end_request() {}

 private:
  std::int64_t capacity_blocks_;
  std::int64_t size_ = 0;
  IndexLinks links_;
  IndexList order_;  // head = oldest touch
};

}  // namespace assay
