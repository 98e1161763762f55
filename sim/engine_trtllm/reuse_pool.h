// TensorRT-LLM's block pool with reuse (batch_manager/kvCacheManager.cpp, evictionPolicy.cpp): a tree of
// blocks named by their tokens, and free queues by retention priority.
//
//   free queues   priority 0  [ ]   ...   35 (default)  [ 7 ][ 3* ][ 12 ]   ...   100  [ 5* ]
//                 the front of the lowest queue that is not empty is handed out next; * = still in the
//                 tree, can be claimed back until then. Freed blocks go to the back of their priority's queue.
//   tree          below a block: blocks that continue it, full or partial
//
//   add_sequence   walks the tree along the prompt (all but its last token). A full match is claimed. At
//                  the first block without one, the child with most leading tokens in common is reused in
//                  part: copied when somebody uses it or it has children, else taken over and removed
//                  from the tree. Everything after is fresh.
//   store          puts a sequence's blocks into the tree; where the tree has one already, that one stays
//   handing out    a block takes its descendants out of the tree (they stay free, in their places, but
//                  nobody can find them any more)
//
// One level (no host memory), one attention window, one beam, no expiry of priorities. Where the original
// looks through a hash map for the best partial match, ties go to the smallest key here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/core/ids.h"
#include "sim/cache/index_lists.h"
#include "sim/engine_trtllm/block_key.h"

namespace assay {

class TrtllmReusePool {
 public:
  static constexpr int kPriorities = 101;  // 0 .. 100
  static constexpr int kDefaultPriority = 35;

  struct Options {
    std::int32_t blocks = 0;
    std::int32_t block_tokens = 32;
    bool reuse = true;
    bool partial_reuse = true;          // enablePartialReuse
    bool copy_on_partial_reuse = true;  // copyOnPartialReuse: also from blocks that are used or have children
  };
  explicit TrtllmReusePool(const Options& options);

  struct Added {
    std::vector<BlockId> blocks;
    std::int64_t reused_tokens = 0;
    std::int64_t copied_tokens = 0;  // of those, copied from another block
  };
  // Blocks for `prompt_tokens` tokens; keys: of all but the last of them, a partial last one included.
  // priority(block index) or none per block. The caller has seen to it that enough blocks are free.
  [[nodiscard]] Added add_sequence(const std::vector<TrtllmBlockKey>& keys, std::int64_t prompt_tokens,
                                   const std::vector<std::optional<int>>& priorities);
  // One more block for a sequence that grows.
  [[nodiscard]] BlockId allocate(int priority);
  // keys[i] names blocks[i].
  void store(const std::vector<TrtllmBlockKey>& keys, const std::vector<BlockId>& blocks);
  // One owner less for each, last block first.
  void release(const std::vector<BlockId>& blocks);

  // The first full block of a prompt that the tree does not have: how many it has before it.
  [[nodiscard]] std::size_t stored_prefix(const std::vector<TrtllmBlockKey>& keys) const;

  [[nodiscard]] std::int32_t free_blocks() const { return free_blocks_; }
  [[nodiscard]] std::int32_t cached_free_blocks() const {
    return cached_free_blocks_;
  }  // of those, in the tree
  [[nodiscard]] std::int32_t blocks() const { return options_.blocks; }
  [[nodiscard]] std::int32_t owners(BlockId block) const { return at(block.value()).owners; }
  // Free blocks in the order in which they would be handed out.
  [[nodiscard]] std::vector<BlockId> free_queue() const;
  void check_invariants() const;

 private:
  static constexpr std::int32_t kNobody = -1;
  static constexpr std::int32_t kRoot = 0;  // index into nodes_; block b is node b + 1
  struct Node {
    TrtllmBlockKey key;
    bool full = false;
    std::int32_t parent = kNobody;
    std::map<TrtllmBlockKey, std::int32_t> children;
    std::int32_t owners = 0;
    int priority = kDefaultPriority;
    int queue = -1;  // the free queue it is in
  };
  struct Found {
    std::int32_t node = kNobody;
    std::int64_t tokens = 0;
    bool partial = false;
  };
  [[nodiscard]] Node& node(std::int32_t index) { return nodes_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Node& at(std::int32_t block) const {
    return nodes_[static_cast<std::size_t>(block) + 1];
  }
  [[nodiscard]] Found find(std::int32_t below, const TrtllmBlockKey& key, bool partial) const;
  [[nodiscard]] std::int32_t take_free(int priority);
  void claim(std::int32_t index, std::optional<int> priority);
  void unlink(std::int32_t index);
  void forget_descendants(std::int32_t index);

  Options options_;
  std::vector<Node> nodes_;  // [blocks + 1]
  IndexLinks links_;
  std::array<IndexList, kPriorities> queues_;
  std::int32_t free_blocks_ = 0, cached_free_blocks_ = 0;
};

}  // namespace assay
