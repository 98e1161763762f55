// S3-FIFO (Yang et al., SOSP'23): three queues, no reordering on a hit.
//
//   miss ---> small (a tenth of the capacity) --- referenced twice or more since ---> main
//        \      |                                                                      |  referenced since: back to
//         \     v  else                                                                |  the end, one count less
//          \  ghost (names only, as many as main holds)                                v  else: evicted
//           `-- a miss whose name is in ghost goes straight to main
//
// Small has max(1, capacity / 10) blocks, counts saturate at 3 and are cleared on the way to main. The
// victim comes from small while small holds its share or more, else from main. Always inserts. A cache
// of one block is a cache of one block (small only). The words are those of eviction_lru.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/cache/content_chain.h"
#include "sim/cache/index_lists.h"

namespace assay {

class S3FifoEviction {
 public:
  explicit S3FifoEviction(std::int64_t capacity_blocks)
      : capacity_blocks_(capacity_blocks),
        small_share_(std::max<std::int64_t>(1, capacity_blocks / 10)),
        ghost_share_(capacity_blocks - small_share_) {}

  void grow(std::int32_t contents) {
    links_.grow(contents);
    if (static_cast<std::size_t>(contents) > where_.size()) where_.resize(static_cast<std::size_t>(contents));
  }
  [[nodiscard]] bool contains(ContentId content) const {
    const Queue queue = where_[static_cast<std::size_t>(content.value())].queue;
    return queue == Queue::kSmall || queue == Queue::kMain;
  }
  void touch(ContentId content, std::int64_t) {
    Place& place = at(content.value());
    if (place.count < kMostCount) ++place.count;
  }
  ContentId insert(ContentId content, std::int64_t) {
    const bool remembered = at(content.value()).queue == Queue::kGhost;
    if (remembered) unlink(content.value());
    ContentId evicted;
    if (small_size_ + main_size_ == capacity_blocks_) evicted = evict();
    link(content.value(), remembered ? Queue::kMain : Queue::kSmall, 0);
    return evicted;
  }
  void end_request() {}

 private:
  enum class Queue : std::uint8_t { kNowhere, kSmall, kMain, kGhost };
  struct Place {
    Queue queue = Queue::kNowhere;
    std::uint8_t count = 0;
  };
  static constexpr std::uint8_t kMostCount = 3;
  static constexpr std::uint8_t kPromotes = 2;

  [[nodiscard]] Place& at(std::int32_t index) { return where_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] IndexList& list(Queue queue) {
    return queue == Queue::kSmall ? small_ : queue == Queue::kMain ? main_ : ghost_;
  }
  [[nodiscard]] std::int64_t& size(Queue queue) {
    return queue == Queue::kSmall ? small_size_ : queue == Queue::kMain ? main_size_ : ghost_size_;
  }
  void link(std::int32_t index, Queue queue, std::uint8_t count) {
    links_.push_back(list(queue), index);
    ++size(queue);
    at(index) = {queue, count};
  }
  void unlink(std::int32_t index) {
    const Queue queue = at(index).queue;
    links_.remove(list(queue), index);
    --size(queue);
    at(index) = {};
  }

  // Small is tried while it holds its share; what it promotes goes to main and the search continues.
  // Ends: a promotion shrinks small, and a round through main lowers a count.
  ContentId evict() {
    for (;;) {
      if (small_size_ >= small_share_ || main_size_ == 0) {
        const std::int32_t oldest = small_.head;
        const bool promoted = at(oldest).count >= kPromotes && ghost_share_ > 0;
        unlink(oldest);
        if (promoted) {
          link(oldest, Queue::kMain, 0);
          continue;
        }
        remember(oldest);
        return ContentId(oldest);
      }
      const std::int32_t oldest = main_.head;
      const std::uint8_t count = at(oldest).count;
      unlink(oldest);
      if (count == 0) return ContentId(oldest);
      link(oldest, Queue::kMain, static_cast<std::uint8_t>(count - 1));
    }
  }
  void remember(std::int32_t index) {
    if (ghost_share_ == 0) return;
    if (ghost_size_ == ghost_share_) unlink(ghost_.head);
    link(index, Queue::kGhost, 0);
  }

  std::int64_t capacity_blocks_, small_share_, ghost_share_;
  std::int64_t small_size_ = 0, main_size_ = 0, ghost_size_ = 0;
  IndexLinks links_;
  IndexList small_, main_, ghost_;  // heads = first in
  std::vector<Place> where_;        // [contents]
};

}  // namespace assay
