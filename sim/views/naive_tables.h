// The slow twin of ForkedTables, for tests: no counts (owners are found by looking at every table), a
// deque of free ids, whole tables copied. And its deliberately broken copies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "sim/views/forked_tables.h"

namespace assay {

// What a broken copy does wrong. kNone is the specification.
enum class TableFault {
  kNone,
  kWritesSharedTail,     // no copy on write
  kCopiesOneTokenLess,   // the copy misses the newest token
  kFreesSharedBlocks,    // free() ignores other owners
  kLeaksOnCopy,          // the shared tail keeps a phantom owner
  kLeaksReserved,        // free() forgets blocks that were reserved and not written
  kKeepsHalfOfAFailure,  // a failing reserve keeps what it found
  kRefusesTheLastBlock,  // one block too careful
  kForgetsTheTailCopy,   // counts only the added blocks: promises what it cannot give
  kForkSharesReserved,   // the child also gets blocks that hold nothing
  kSelectInPlace,        // beams are overwritten one after the other
};

class NaiveTables {
 public:
  struct Sequence {
    std::int64_t tokens = 0, writable_end = 0;
    std::vector<std::int32_t> blocks;
  };

  NaiveTables(std::int32_t blocks, std::int32_t block_tokens, TableFault fault)
      : block_tokens_(block_tokens), fault_(fault) {
    for (std::int32_t i = 0; i < blocks; ++i) free_.push_back(i);
  }

  SequenceId create() {
    std::int32_t id = 0;
    if (!spare_.empty()) {
      id = spare_.back();
      spare_.pop_back();
    } else {
      id = next_++;
    }
    sequences_[id] = {};
    return SequenceId(id);
  }

  SequenceId fork(SequenceId parent) {
    const SequenceId child = create();
    sequences_[child.value()] = share(sequences_[parent.value()]);
    sequences_[parent.value()].writable_end = sequences_[parent.value()].tokens;
    return child;
  }

  bool reserve(SequenceId id, std::int64_t tokens, std::vector<BlockCopy>& copies) {
    Sequence& sequence = sequences_[id.value()];
    if (tokens == 0) return true;
    const bool copy = sequence.tokens % block_tokens_ != 0 && owners(tail(sequence)) > 1 &&
                      fault_ != TableFault::kWritesSharedTail;
    std::int64_t needed = copy && fault_ != TableFault::kForgetsTheTailCopy ? 1 : 0;
    for (auto held = static_cast<std::int64_t>(sequence.blocks.size());
         held * block_tokens_ < sequence.tokens + tokens; ++held)
      ++needed;
    auto available = static_cast<std::int64_t>(free_.size());
    if (fault_ == TableFault::kRefusesTheLastBlock) --available;
    if (needed > available) {
      if (fault_ == TableFault::kKeepsHalfOfAFailure && !free_.empty()) sequence.blocks.push_back(take());
      return false;
    }
    if (copy && !free_.empty()) {
      std::int32_t& shared = tail(sequence);
      const std::int32_t own = take();
      const auto copied = static_cast<std::int32_t>(sequence.tokens % block_tokens_) -
                          (fault_ == TableFault::kCopiesOneTokenLess ? 1 : 0);
      copies.push_back({BlockId(shared), BlockId(own), copied});
      if (fault_ == TableFault::kLeaksOnCopy) phantoms_.insert(shared);
      shared = own;
    }
    while (static_cast<std::int64_t>(sequence.blocks.size()) * block_tokens_ < sequence.tokens + tokens) {
      if (free_.empty()) return true;  // only a broken copy comes here
      sequence.blocks.push_back(take());
    }
    sequence.writable_end = std::max(sequence.writable_end, sequence.tokens + tokens);
    return true;
  }

  void advance(SequenceId id, std::int64_t tokens) { sequences_[id.value()].tokens += tokens; }

  void free(SequenceId id) {
    Sequence sequence = sequences_[id.value()];
    sequences_.erase(id.value());
    spare_.push_back(id.value());
    give_back(sequence);
  }

  void select(const std::vector<SequenceId>& ids, const std::vector<std::size_t>& parents) {
    if (fault_ == TableFault::kSelectInPlace) {
      for (std::size_t i = 0; i < ids.size(); ++i)
        sequences_[ids[i].value()] = share(sequences_[ids[parents[i]].value()]);
      return;
    }
    std::vector<Sequence> before;
    for (const SequenceId id : ids) before.push_back(sequences_[id.value()]);
    for (std::size_t i = 0; i < ids.size(); ++i) sequences_[ids[i].value()] = share(before[parents[i]]);
    for (const Sequence& sequence : before) give_back(sequence);
  }

  [[nodiscard]] std::int64_t tokens(SequenceId id) const { return sequences_.at(id.value()).tokens; }
  [[nodiscard]] std::vector<BlockId> blocks(SequenceId id) const {
    std::vector<BlockId> blocks;
    for (const std::int32_t block : sequences_.at(id.value()).blocks) blocks.emplace_back(block);
    return blocks;
  }
  [[nodiscard]] std::vector<BlockId> free_queue() const {
    std::vector<BlockId> queue;
    for (const std::int32_t block : free_) queue.emplace_back(block);
    return queue;
  }

 private:
  [[nodiscard]] std::int64_t owners(std::int32_t block) const {
    auto count = static_cast<std::int64_t>(phantoms_.count(block));
    for (const auto& [id, sequence] : sequences_)
      count += std::count(sequence.blocks.begin(), sequence.blocks.end(), block);
    return count;
  }
  std::int32_t& tail(Sequence& sequence) const {
    return sequence.blocks[static_cast<std::size_t>(sequence.tokens / block_tokens_)];
  }
  std::int32_t take() {
    const std::int32_t block = free_.front();
    free_.pop_front();
    return block;
  }
  [[nodiscard]] Sequence share(const Sequence& parent) const {
    Sequence child = parent;
    child.writable_end = child.tokens;
    const auto held = static_cast<std::size_t>((child.tokens + block_tokens_ - 1) / block_tokens_);
    if (fault_ != TableFault::kForkSharesReserved) child.blocks.resize(std::min(held, child.blocks.size()));
    return child;
  }
  // Blocks of a table that is no longer in sequences_.
  void give_back(const Sequence& sequence) {
    std::vector<std::int32_t> blocks = sequence.blocks;
    if (fault_ == TableFault::kLeaksReserved)
      blocks.resize(static_cast<std::size_t>((sequence.tokens + block_tokens_ - 1) / block_tokens_));
    for (auto block = blocks.rbegin(); block != blocks.rend(); ++block)
      if ((owners(*block) == 0 || fault_ == TableFault::kFreesSharedBlocks) &&
          std::find(free_.begin(), free_.end(), *block) == free_.end())
        free_.push_back(*block);
  }

  std::int64_t block_tokens_;
  TableFault fault_;
  std::int32_t next_ = 0;
  std::vector<std::int32_t> spare_;
  std::deque<std::int32_t> free_;
  std::map<std::int32_t, Sequence> sequences_;
  std::multiset<std::int32_t> phantoms_;
};

}  // namespace assay
