// Belady: the block whose next use lies farthest ahead is evicted; never used again is farthest of all,
// then the choice cannot matter. It always inserts, so it is the optimum among policies that always
// insert, counted in any_block_hits; with hits counted up to the first miss nothing is optimal here:
// a policy that drops the head of a chain makes its tail unreachable.
//
// With pinning, the blocks that the request being replayed has referenced cannot be evicted before its
// last block: no chain cuts off its own head. When every block there is pinned, the new one is not kept.
//
// A heap of (next use, content) with lazy deletion: an entry counts while its content is present and
// its next use is still that one. A pinned block's entry enters the heap when its request ends.
// The words are those of eviction_lru.h; the future comes as next_use[when] (kNever = none).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "sim/cache/content_chain.h"

namespace assay {

class BeladyEviction {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  // next_use: for every reference, the number of the next reference to the same content. Must outlive this.
  BeladyEviction(std::int64_t capacity_blocks, const std::vector<std::int64_t>& next_use, bool pins)
      : capacity_blocks_(capacity_blocks), next_use_(next_use), pins_(pins) {}

  void grow(std::int32_t contents) {
    if (static_cast<std::size_t>(contents) > due_.size())
      due_.resize(static_cast<std::size_t>(contents), kAbsent);
  }
  [[nodiscard]] bool contains(ContentId content) const { return due_[index(content)] != kAbsent; }
  void touch(ContentId content, std::int64_t when) { schedule(content, when); }
  ContentId insert(ContentId content, std::int64_t when) {
    ContentId evicted;
    if (size_ == capacity_blocks_) {
      evicted = evict();
      if (evicted == ContentId()) return content;  // all pinned: the new one is the one that goes
    } else {
      ++size_;
    }
    schedule(content, when);
    return evicted;
  }
  void end_request() {
    for (const ContentId content : pinned_) farthest_.emplace(due_[index(content)], content.value());
    pinned_.clear();
  }

 private:
  static constexpr std::int64_t kAbsent = -1;
  [[nodiscard]] static std::size_t index(ContentId content) {
    return static_cast<std::size_t>(content.value());
  }
  // Pinned blocks have no valid heap entry: their last one names the use that is happening now.
  void schedule(ContentId content, std::int64_t when) {
    due_[index(content)] = next_use_[static_cast<std::size_t>(when)];
    if (pins_)
      pinned_.push_back(content);
    else
      farthest_.emplace(due_[index(content)], content.value());
  }
  ContentId evict() {
    while (!farthest_.empty()) {
      const auto [due, content] = farthest_.top();
      if (due_[static_cast<std::size_t>(content)] == due) {
        farthest_.pop();
        due_[static_cast<std::size_t>(content)] = kAbsent;
        return ContentId(content);
      }
      farthest_.pop();
    }
    return ContentId();
  }

  std::int64_t capacity_blocks_;
  std::int64_t size_ = 0;
  const std::vector<std::int64_t>& next_use_;
  bool pins_;
  std::vector<std::int64_t> due_;  // [contents] next use, kAbsent when not there
  std::vector<ContentId> pinned_;  // the current request's, in order
  std::priority_queue<std::pair<std::int64_t, std::int32_t>> farthest_;
};

}  // namespace assay
