// The slow twin of the reuse pool, for tests: no tree and no queues. Every block carries its whole path and
// the moment it became free; matches and victims are found by looking at all blocks. And broken copies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/engine_trtllm/reuse_pool.h"

namespace assay {

enum class ReuseFault {
  kNone,
  kIgnoresPriority,      // oldest first, whatever its priority
  kFreesHeadFirst,       // a sequence's blocks are freed from its head
  kKeepsOrphans,         // descendants of a block that is handed out stay findable
  kTakesOverUsedBlocks,  // partial reuse writes into a block that somebody uses
  kNeverCopies,          // partial reuse only of idle leaves, whatever was asked for
  kReplacesStored,       // store prefers the newer block
  kReusesTheLastToken,   // a match may cover all prompt tokens
  kPriorityIsForEver,    // a claim does not set the new priority
};

class NaiveReusePool {
 public:
  using Key = TrtllmBlockKey;
  struct Block {
    std::vector<Key> path;  // empty: not in the tree
    std::int32_t owners = 0;
    int priority = TrtllmReusePool::kDefaultPriority;
    std::int64_t freed = 0;
  };

  NaiveReusePool(const TrtllmReusePool::Options& options, ReuseFault fault)
      : options_(options), fault_(fault) {
    blocks_.resize(static_cast<std::size_t>(options.blocks));
    for (Block& block : blocks_) block.freed = now_++;
  }

  TrtllmReusePool::Added add_sequence(const std::vector<Key>& keys, std::int64_t prompt_tokens,
                                      const std::vector<std::optional<int>>& priorities) {
    TrtllmReusePool::Added added;
    std::vector<Key> path;
    bool matching = options_.reuse;
    for (std::size_t i = 0; static_cast<std::int64_t>(i) * options_.block_tokens < prompt_tokens; ++i) {
      std::int32_t chosen = -1;
      std::int64_t tokens = 0;
      bool exact = false;
      if (matching && i < keys.size() && !keys[i].runs.empty()) {
        path.push_back(keys[i]);
        chosen = at_path(path);
        exact = chosen >= 0;
        tokens = exact ? keys[i].tokens() : 0;
        path.pop_back();
        if (!exact && options_.partial_reuse) chosen = best_partial(path, keys[i], &tokens);
      }
      if (chosen < 0) {
        chosen = take(priorities[i].value_or(TrtllmReusePool::kDefaultPriority));
        matching = false;
      } else if (exact && keys[i].tokens() == options_.block_tokens) {
        if (priorities[i] && fault_ != ReuseFault::kPriorityIsForEver) at(chosen).priority = *priorities[i];
        path.push_back(keys[i]);
      } else {
        matching = false;
        const bool idle_leaf = at(chosen).owners == 0 && is_leaf(chosen);
        if (idle_leaf || fault_ == ReuseFault::kTakesOverUsedBlocks) {
          if (priorities[i] && fault_ != ReuseFault::kPriorityIsForEver) at(chosen).priority = *priorities[i];
          at(chosen).path.clear();
        } else {
          chosen = take(at(chosen).priority);
          added.copied_tokens += tokens;
        }
      }
      ++at(chosen).owners;
      added.reused_tokens += tokens;
      added.blocks.emplace_back(chosen);
    }
    return added;
  }

  BlockId allocate(int priority) {
    const std::int32_t block = take(priority);
    ++at(block).owners;
    return BlockId(block);
  }

  void store(const std::vector<Key>& keys, const std::vector<BlockId>& blocks) {
    if (!options_.reuse) return;
    std::vector<Key> path;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      path.push_back(keys[i]);
      const std::int32_t there = at_path(path);
      if (there >= 0 && fault_ == ReuseFault::kReplacesStored) at(there).path.clear();
      if (there < 0 || fault_ == ReuseFault::kReplacesStored) at(blocks[i].value()).path = path;
    }
  }

  void release(std::vector<BlockId> blocks) {
    if (fault_ != ReuseFault::kFreesHeadFirst) std::reverse(blocks.begin(), blocks.end());
    for (const BlockId block : blocks)
      if (--at(block.value()).owners == 0) at(block.value()).freed = now_++;
  }

  [[nodiscard]] std::vector<BlockId> free_queue() const {
    std::vector<BlockId> queue;
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      if (blocks_[i].owners == 0) queue.emplace_back(static_cast<std::int32_t>(i));
    std::sort(queue.begin(), queue.end(), [&](BlockId a, BlockId b) { return before(a.value(), b.value()); });
    return queue;
  }
  [[nodiscard]] ReuseFault fault() const { return fault_; }

 private:
  [[nodiscard]] Block& at(std::int32_t block) { return blocks_[static_cast<std::size_t>(block)]; }
  [[nodiscard]] bool before(std::int32_t a, std::int32_t b) const {
    const Block &x = blocks_[static_cast<std::size_t>(a)], &y = blocks_[static_cast<std::size_t>(b)];
    if (x.priority != y.priority && fault_ != ReuseFault::kIgnoresPriority) return x.priority < y.priority;
    return x.freed < y.freed;
  }
  [[nodiscard]] static bool goes_on(const std::vector<Key>& longer, const std::vector<Key>& path) {
    return longer.size() > path.size() && std::equal(path.begin(), path.end(), longer.begin());
  }
  [[nodiscard]] std::int32_t at_path(const std::vector<Key>& path) const {
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      if (blocks_[i].path == path) return static_cast<std::int32_t>(i);
    return -1;
  }
  [[nodiscard]] bool is_leaf(std::int32_t block) const {
    const std::vector<Key>& path = blocks_[static_cast<std::size_t>(block)].path;
    return path.empty() || std::none_of(blocks_.begin(), blocks_.end(),
                                        [&](const Block& other) { return goes_on(other.path, path); });
  }
  [[nodiscard]] std::int32_t best_partial(const std::vector<Key>& path, const Key& key,
                                          std::int64_t* tokens) const {
    std::int32_t best = -1;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const Block& block = blocks_[i];
      if (block.path.size() != path.size() + 1 || !goes_on(block.path, path)) continue;
      const auto index = static_cast<std::int32_t>(i);
      if ((!options_.copy_on_partial_reuse || fault_ == ReuseFault::kNeverCopies) &&
          (block.owners > 0 || !is_leaf(index)))
        continue;
      const std::int64_t common = block.path.back().common(key);
      const bool smaller = best >= 0 && common == *tokens &&
                           block.path.back() < blocks_[static_cast<std::size_t>(best)].path.back();
      if (common > *tokens || (common > 0 && smaller)) best = index, *tokens = common;
    }
    return best;
  }
  std::int32_t take(int priority) {
    const std::int32_t block = free_queue().front().value();
    if (fault_ != ReuseFault::kKeepsOrphans && !at(block).path.empty())
      for (Block& other : blocks_)
        if (goes_on(other.path, at(block).path)) other.path.clear();
    at(block).path.clear();
    if (fault_ != ReuseFault::kPriorityIsForEver) at(block).priority = priority;
    return block;
  }

  TrtllmReusePool::Options options_;
  ReuseFault fault_;
  std::int64_t now_ = 0;
  std::vector<Block> blocks_;
};

}  // namespace assay
