// Length-aware: the block deepest in its prompt goes first, ties by the oldest touch. A reading of
// Mooncake's LengthAwareCache ("blocks that occur later in requests are evicted first"): what lies
// deep is shared by fewer. Always inserts; the victim is chosen before the new block arrives.
//
// A content's depth is its position in its chain, the same in every request that has it. One list per
// depth and a bitmap of the depths in use. The words are those of eviction_lru.h, and place().
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/cache/content_chain.h"
#include "sim/cache/index_lists.h"

namespace assay {

class LengthAwareEviction {
 public:
  explicit LengthAwareEviction(std::int64_t capacity_blocks) : capacity_blocks_(capacity_blocks) {}

  void grow(std::int32_t contents) {
    links_.grow(contents);
    if (static_cast<std::size_t>(contents) > depth_of_.size())
      depth_of_.resize(static_cast<std::size_t>(contents), 0);
  }
  // Tells where in its prompt a content lies; before its first insert.
  void place(ContentId content, std::size_t depth) {
    depth_of_[static_cast<std::size_t>(content.value())] = static_cast<std::int32_t>(depth);
    if (depth >= lists_.size()) {
      lists_.resize(depth + 1);
      in_use_.resize(depth / 64 + 1, 0);
    }
  }
  [[nodiscard]] bool contains(ContentId content) const { return links_.linked(content.value()); }
  void touch(ContentId content, std::int64_t) {
    links_.move_to_back(lists_[depth_of(content)], content.value());
  }
  ContentId insert(ContentId content, std::int64_t) {
    ContentId evicted;
    if (size_ == capacity_blocks_)
      evicted = evict();
    else
      ++size_;
    const std::size_t depth = depth_of(content);
    links_.push_back(lists_[depth], content.value());
    in_use_[depth / 64] |= std::uint64_t{1} << depth % 64;
    return evicted;
  }
  void end_request() {}

 private:
  [[nodiscard]] std::size_t depth_of(ContentId content) const {
    return static_cast<std::size_t>(depth_of_[static_cast<std::size_t>(content.value())]);
  }
  ContentId evict() {
    std::size_t word = in_use_.size() - 1;
    while (in_use_[word] == 0) --word;  // not empty: the cache is full
    const std::size_t depth = word * 64 + 63 - static_cast<std::size_t>(std::countl_zero(in_use_[word]));
    const ContentId evicted(links_.pop_front(lists_[depth]));
    if (lists_[depth].empty()) in_use_[word] &= ~(std::uint64_t{1} << depth % 64);
    return evicted;
  }

  std::int64_t capacity_blocks_;
  std::int64_t size_ = 0;
  IndexLinks links_;
  std::vector<std::int32_t> depth_of_;  // [contents]
  std::vector<IndexList> lists_;        // [depths], each oldest touch first
  std::vector<std::uint64_t> in_use_;   // bitmap over depths
};

}  // namespace assay
