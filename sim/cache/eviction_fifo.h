// First in, first out: a touch changes nothing, the block that was inserted longest ago is evicted.
// The words are those of eviction_lru.h.
#pragma once

#include <cstdint>

#include "sim/cache/content_chain.h"
#include "sim/cache/index_lists.h"

namespace assay {

class FifoEviction {
 public:
  explicit FifoEviction(std::int64_t capacity_blocks) : capacity_blocks_(capacity_blocks) {}

  void grow(std::int32_t contents) { links_.grow(contents); }
  [[nodiscard]] bool contains(ContentId content) const { return links_.linked(content.value()); }
  void touch(ContentId, std::int64_t) {}
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
  IndexList order_;  // head = first in
};

}  // namespace assay
