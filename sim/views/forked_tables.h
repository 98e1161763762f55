// Block tables of sequences that may be forked: parallel sampling and beam search over one pool.
//
//   parent  [ 4 ][ 7 ][ 2: t t . . ]          fork: the child names the same blocks, nothing is copied
//   child   [ 4 ][ 7 ][ 2          ]
//   parent writes one token:  2 has two owners, so the parent takes 9, copies the two tokens, and writes
//   parent  [ 4 ][ 7 ][ 9: t t t . ]          there; the child, now 2's only owner, will write in place
//
// A token is written in two steps, as engines do: reserve() makes the next slots writable (takes blocks,
// copies a shared tail), advance() says that they have been written. Every block that can still be
// written has exactly one owner at that moment (single writer); full blocks are shared for ever.
// A call that finds too few free blocks changes nothing and says so. The pool may serve several of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/core/ids.h"
#include "sim/views/counted_pool.h"

namespace assay {

// Slots [0, tokens) of `from` must be copied to `to` before the sequence is written again.
struct BlockCopy {
  BlockId from, to;
  std::int32_t tokens = 0;
  friend bool operator==(const BlockCopy& a, const BlockCopy& b) {
    return a.from == b.from && a.to == b.to && a.tokens == b.tokens;
  }
};

class ForkedTables {
 public:
  // The pool must outlive the tables.
  ForkedTables(CountedPool& pool, std::int32_t block_tokens);

  // An empty sequence; owns nothing yet. Ids of freed sequences are used again.
  [[nodiscard]] SequenceId create();
  // A second sequence with the same tokens. Needs no block. What the parent had reserved and not yet
  // written must be reserved again.
  [[nodiscard]] SequenceId fork(SequenceId parent);
  // Makes the next `tokens` slots writable and appends the copies this needs. False, and no change,
  // when the pool has too few free blocks. Slots that are reserved already stay where they are.
  [[nodiscard]] bool reserve(SequenceId sequence, std::int64_t tokens, std::vector<BlockCopy>& copies);
  // The next `tokens` slots have been written. InputError when they were not reserved.
  void advance(SequenceId sequence, std::int64_t tokens);
  // Returns its blocks, last one first, so that a prefix is reused last.
  void free(SequenceId sequence);
  // Beam search: afterwards sequences[i] has the tokens that sequences[parents[i]] had. Needs no block.
  void select(const std::vector<SequenceId>& sequences, const std::vector<std::size_t>& parents);

  [[nodiscard]] bool alive(SequenceId sequence) const;
  [[nodiscard]] std::int64_t tokens(SequenceId sequence) const { return at(sequence).tokens; }
  [[nodiscard]] std::int64_t reserved_tokens(SequenceId sequence) const {
    return at(sequence).writable_end - at(sequence).tokens;
  }
  [[nodiscard]] const std::vector<BlockId>& blocks(SequenceId sequence) const { return at(sequence).blocks; }
  // 64-bit slot of a token that is written or reserved.
  [[nodiscard]] std::int64_t slot(SequenceId sequence, std::int64_t position) const;
  [[nodiscard]] std::int32_t block_tokens() const { return block_tokens_; }
  [[nodiscard]] CountedPool& pool() const { return pool_; }
  // Blocks that reserve() would have to find.
  [[nodiscard]] std::int64_t blocks_needed(SequenceId sequence, std::int64_t tokens) const;

  // What sharing saves: table entries of all sequences, and the different blocks they name.
  struct Sharing {
    std::int64_t entries = 0;
    std::int64_t blocks = 0;
    [[nodiscard]] double saved() const {
      return entries == 0 ? 0 : 1 - static_cast<double>(blocks) / static_cast<double>(entries);
    }
  };
  [[nodiscard]] Sharing sharing() const;

  // Aborts unless tables, counts and lengths agree. O(blocks); tests call it after every event. Only
  // right while the pool serves nobody else.
  void check_invariants() const;

 private:
  struct Sequence {
    bool alive = false;
    std::int64_t tokens = 0;        // written
    std::int64_t writable_end = 0;  // reserved up to here
    std::vector<BlockId> blocks;
  };
  [[nodiscard]] Sequence& at(SequenceId sequence);
  [[nodiscard]] const Sequence& at(SequenceId sequence) const;
  [[nodiscard]] bool tail_is_shared(const Sequence& sequence) const;
  // Shares the blocks that hold written tokens.
  void adopt(Sequence& child, const Sequence& parent);
  void release_all(Sequence& sequence);

  CountedPool& pool_;
  std::int32_t block_tokens_;
  std::vector<Sequence> sequences_;
  std::vector<SequenceId> spare_ids_;
};

}  // namespace assay
