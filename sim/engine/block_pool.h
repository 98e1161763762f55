// The block pool of a vLLM-v1 engine: equal blocks, reference counts, a prefix cache, lazy eviction.
//
//   free queue   front: next to be handed out          back: freed last
//                [ 3 ][ 4 ][ 5 ] ... [ 9* ][ 8* ]      * = still cached: can be hit until it is handed out
//
//   take()       pops the front; only now is the block's old content forgotten
//   release()    the last owner's release appends to the back; callers release a table tail first, so that
//                the tail of a prefix is evicted before its head. A block may also be released to the front,
//                to be handed out next (QueueEnd::kFront)
//   touch()      a hit: one more owner; a block in the queue leaves it
//   publish()    gives a full block its content. The same content may be in many blocks (no
//                deduplication); a lookup finds the one that was published first
//
// Block 0 is the null block: never free, never owned, a placeholder in tables. Contents are exact
// names (equal exactly when all tokens up to the block's end are equal), not hashes of them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/core/check.h"

namespace assay {

// What a full block holds: >= 0 for contents that requests can share, beyond kOwnContents for a request's own.
using BlockContent = std::int64_t;
inline constexpr BlockContent kNoContent = -1;
inline constexpr BlockContent kOwnContents = std::int64_t{1} << 40;

enum class QueueEnd { kBack, kFront };

class BlockPool {
 public:
  static constexpr std::int32_t kNullBlock = 0;

  explicit BlockPool(std::int32_t blocks);

  [[nodiscard]] std::int32_t blocks() const { return static_cast<std::int32_t>(records_.size()) - 1; }
  [[nodiscard]] std::int32_t free_blocks() const { return free_blocks_; }
  // Blocks in the free queue that can still be hit.
  [[nodiscard]] std::int32_t cached_idle_blocks() const { return cached_idle_blocks_; }
  [[nodiscard]] std::int32_t owners(std::int32_t block) const { return records_[index(block)].owners; }
  [[nodiscard]] BlockContent content(std::int32_t block) const { return records_[index(block)].content; }

  // The block that was published first with this content, -1 when there is none.
  [[nodiscard]] std::int32_t find(BlockContent content) const;

  // Hands out the front of the queue with one owner. The queue must not be empty.
  std::int32_t take();
  void touch(std::int32_t block);
  // One owner less; with the last one gone the block joins the queue. The null block is left alone.
  void release(std::int32_t block, QueueEnd end = QueueEnd::kBack);
  void publish(std::int32_t block, BlockContent content);

  // How many blocks ever lost a content because they were handed out again.
  [[nodiscard]] std::int64_t evictions() const { return evictions_; }

  // The free queue, front to back.
  [[nodiscard]] std::vector<std::int32_t> free_queue() const;
  // Longest run of consecutive ids that are all free. Looks at every block.
  [[nodiscard]] std::int32_t largest_free_run() const;
  // Checks everything that must hold of the lists, counts and the map; aborts when it does not.
  void check_invariants() const;

 private:
  static std::size_t index(std::int32_t block) { return static_cast<std::size_t>(block); }
  void unlink_free(std::int32_t block);
  void join_free(std::int32_t block, QueueEnd end);
  void forget(std::int32_t block);
  [[nodiscard]] std::size_t slot_of(BlockContent content) const;  // its slot, or the empty one it would take
  void erase_slot(std::size_t slot);

  struct Links {
    std::int32_t previous = -1, next = -1;
  };
  // All that is known of a block, on half a cache line.
  struct Record {
    BlockContent content = kNoContent;
    std::int32_t owners = 0;
    Links queue;         // neighbours in the free queue
    Links same_content;  // blocks of one content, in order of publication
  };
  std::vector<Record> records_;  // the one behind the last block is the queue's sentinel
  std::int32_t free_blocks_ = 0;
  std::int32_t cached_idle_blocks_ = 0;
  std::int64_t evictions_ = 0;

  // content -> (first block, last block); open addressing, at most half full.
  struct Slot {
    BlockContent content = kNoContent;
    std::int32_t first = -1, last = -1;
  };
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

}  // namespace assay
