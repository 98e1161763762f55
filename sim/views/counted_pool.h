// A pool of equal blocks that sequences may share: every block is free, or has as many owners as tables
// that name it.
//
//   take()     free -> 1 owner     from the front of the free queue, at first in order of id
//   share()    n -> n + 1 owners
//   release()  n -> n - 1 owners   the last one puts it at the back of the queue
//
// No content, no hashes, no eviction: views and forks need only this. A count that goes wrong is our
// bug and aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/core/check.h"
#include "model/core/ids.h"

namespace assay {

class CountedPool {
 public:
  explicit CountedPool(std::int32_t blocks) : owners_(checked(blocks), 0), queue_(checked(blocks)) {
    for (std::int32_t i = 0; i < blocks; ++i) queue_[static_cast<std::size_t>(i)] = BlockId(i);
    free_blocks_ = blocks;
  }

  [[nodiscard]] std::optional<BlockId> take() {
    if (free_blocks_ == 0) return std::nullopt;
    const BlockId block = queue_[front_];
    front_ = after(front_, 1);
    --free_blocks_;
    ASSAY_CHECK_EQ(owners(block), 0);
    owners_[index(block)] = 1;
    return block;
  }
  void share(BlockId block) {
    ASSAY_CHECK_GE(owners(block), 1);
    ++owners_[index(block)];
  }
  void release(BlockId block) {
    ASSAY_CHECK_GE(owners(block), 1);
    if (--owners_[index(block)] > 0) return;
    queue_[after(front_, free_blocks_)] = block;
    ++free_blocks_;
  }

  [[nodiscard]] std::int32_t owners(BlockId block) const {
    ASSAY_CHECK_GE(block.value(), 0);
    ASSAY_CHECK_LT(index(block), owners_.size());
    return owners_[index(block)];
  }
  [[nodiscard]] std::int32_t blocks() const { return static_cast<std::int32_t>(owners_.size()); }
  [[nodiscard]] std::int32_t free_blocks() const { return static_cast<std::int32_t>(free_blocks_); }
  // Free blocks in the order in which they will be taken.
  [[nodiscard]] std::vector<BlockId> free_queue() const {
    std::vector<BlockId> queue;
    for (std::size_t i = 0; i < free_blocks_; ++i) queue.push_back(queue_[after(front_, i)]);
    return queue;
  }

 private:
  static std::size_t checked(std::int32_t blocks) {
    if (blocks <= 0) throw InputError("pool", "at least one block", std::to_string(blocks));
    return static_cast<std::size_t>(blocks);
  }
  static std::size_t index(BlockId block) { return static_cast<std::size_t>(block.value()); }
  [[nodiscard]] std::size_t after(std::size_t at, std::size_t steps) const {
    return (at + steps) % queue_.size();
  }

  std::vector<std::int32_t> owners_;  // [blocks]
  std::vector<BlockId> queue_;        // ring of [blocks]; free_blocks_ of them from front_
  std::size_t front_ = 0;
  std::size_t free_blocks_ = 0;
};

}  // namespace assay
