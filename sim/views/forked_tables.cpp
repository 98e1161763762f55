#include "sim/views/forked_tables.h"

#include <algorithm>
#include <utility>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay {

ForkedTables::ForkedTables(CountedPool& pool, std::int32_t block_tokens)
    : pool_(pool), block_tokens_(block_tokens) {
  if (block_tokens <= 0) throw InputError("block_tokens", "at least 1", std::to_string(block_tokens));
}

bool ForkedTables::alive(SequenceId sequence) const {
  const std::int32_t index = sequence.value();
  return index >= 0 && static_cast<std::size_t>(index) < sequences_.size() &&
         sequences_[static_cast<std::size_t>(index)].alive;
}

const ForkedTables::Sequence& ForkedTables::at(SequenceId sequence) const {
  if (!alive(sequence)) throw InputError("sequence", "one that is alive", std::to_string(sequence.value()));
  return sequences_[static_cast<std::size_t>(sequence.value())];
}

ForkedTables::Sequence& ForkedTables::at(SequenceId sequence) {
  return const_cast<Sequence&>(std::as_const(*this).at(sequence));
}

SequenceId ForkedTables::create() {
  SequenceId id(static_cast<std::int32_t>(sequences_.size()));
  if (spare_ids_.empty()) {
    sequences_.emplace_back();
  } else {
    id = spare_ids_.back();
    spare_ids_.pop_back();
  }
  sequences_[static_cast<std::size_t>(id.value())].alive = true;
  return id;
}

void ForkedTables::adopt(Sequence& child, const Sequence& parent) {
  child.tokens = child.writable_end = parent.tokens;
  const std::int64_t held = ceil_div(parent.tokens, block_tokens_);
  child.blocks.assign(parent.blocks.begin(), parent.blocks.begin() + held);
  for (const BlockId block : child.blocks) pool_.share(block);
}

SequenceId ForkedTables::fork(SequenceId parent) {
  (void)at(parent);  // before create(), which may move the sequences
  const SequenceId child = create();
  adopt(at(child), at(parent));
  at(parent).writable_end = at(parent).tokens;
  return child;
}

bool ForkedTables::tail_is_shared(const Sequence& sequence) const {
  return sequence.tokens % block_tokens_ != 0 &&
         pool_.owners(sequence.blocks[static_cast<std::size_t>(sequence.tokens / block_tokens_)]) > 1;
}

std::int64_t ForkedTables::blocks_needed(SequenceId id, std::int64_t tokens) const {
  const Sequence& sequence = at(id);
  if (tokens <= 0) return 0;
  const auto held = static_cast<std::int64_t>(sequence.blocks.size());
  const std::int64_t added =
      std::max<std::int64_t>(0, ceil_div(sequence.tokens + tokens, block_tokens_) - held);
  return added + (tail_is_shared(sequence) ? 1 : 0);
}

bool ForkedTables::reserve(SequenceId id, std::int64_t tokens, std::vector<BlockCopy>& copies) {
  if (tokens < 0) throw InputError("tokens to reserve", "at least 0", std::to_string(tokens));
  if (blocks_needed(id, tokens) > pool_.free_blocks()) return false;
  Sequence& sequence = at(id);
  if (tokens == 0) return true;
  if (tail_is_shared(sequence)) {
    BlockId& tail = sequence.blocks[static_cast<std::size_t>(sequence.tokens / block_tokens_)];
    const BlockId own = *pool_.take();
    copies.push_back({tail, own, static_cast<std::int32_t>(sequence.tokens % block_tokens_)});
    pool_.release(tail);
    tail = own;
  }
  const auto wanted = static_cast<std::size_t>(ceil_div(sequence.tokens + tokens, block_tokens_));
  while (sequence.blocks.size() < wanted) sequence.blocks.push_back(*pool_.take());
  sequence.writable_end = std::max(sequence.writable_end, sequence.tokens + tokens);
  return true;
}

void ForkedTables::advance(SequenceId id, std::int64_t tokens) {
  Sequence& sequence = at(id);
  if (tokens < 0 || sequence.tokens + tokens > sequence.writable_end)
    throw InputError("tokens to advance",
                     "0 to the " + std::to_string(sequence.writable_end - sequence.tokens) + " reserved",
                     std::to_string(tokens));
  sequence.tokens += tokens;
}

void ForkedTables::release_all(Sequence& sequence) {
  for (auto block = sequence.blocks.rbegin(); block != sequence.blocks.rend(); ++block) pool_.release(*block);
  sequence.blocks.clear();
  sequence.tokens = sequence.writable_end = 0;
}

void ForkedTables::free(SequenceId id) {
  Sequence& sequence = at(id);
  release_all(sequence);
  sequence.alive = false;
  spare_ids_.push_back(id);
}

void ForkedTables::select(const std::vector<SequenceId>& sequences, const std::vector<std::size_t>& parents) {
  if (parents.size() != sequences.size())
    throw InputError("parents", std::to_string(sequences.size()) + " of them",
                     std::to_string(parents.size()));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    (void)at(sequences[i]);
    if (std::count(sequences.begin(), sequences.end(), sequences[i]) != 1)
      throw InputError("sequences", "each once", std::to_string(sequences[i].value()) + " twice");
    if (parents[i] >= sequences.size())
      throw InputError("parent", "below " + std::to_string(sequences.size()), std::to_string(parents[i]));
  }
  // All children adopt before any parent lets go: a block whose count touched zero would be lost.
  std::vector<Sequence> chosen(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) adopt(chosen[i], at(sequences[parents[i]]));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Sequence& sequence = at(sequences[i]);
    release_all(sequence);
    sequence = std::move(chosen[i]);
    sequence.alive = true;
  }
}

std::int64_t ForkedTables::slot(SequenceId id, std::int64_t position) const {
  const Sequence& sequence = at(id);
  if (position < 0 || position >= sequence.writable_end)
    throw InputError("position", "below " + std::to_string(sequence.writable_end), std::to_string(position));
  const BlockId block = sequence.blocks[static_cast<std::size_t>(position / block_tokens_)];
  return static_cast<std::int64_t>(block.value()) * block_tokens_ + position % block_tokens_;
}

ForkedTables::Sharing ForkedTables::sharing() const {
  Sharing sharing;
  std::vector<bool> named(static_cast<std::size_t>(pool_.blocks()), false);
  for (const Sequence& sequence : sequences_)
    for (const BlockId block : sequence.blocks) {
      ++sharing.entries;
      if (!named[static_cast<std::size_t>(block.value())]) ++sharing.blocks;
      named[static_cast<std::size_t>(block.value())] = true;
    }
  return sharing;
}

void ForkedTables::check_invariants() const {
  std::vector<std::int32_t> entries(static_cast<std::size_t>(pool_.blocks()), 0);
  std::vector<std::int32_t> writers(entries.size(), 0);
  for (const Sequence& sequence : sequences_) {
    if (!sequence.alive) ASSAY_CHECK(sequence.blocks.empty(), "a freed sequence owns blocks");
    ASSAY_CHECK_LE(sequence.tokens, sequence.writable_end);
    ASSAY_CHECK_LE(ceil_div(sequence.writable_end, block_tokens_),
                   static_cast<std::int64_t>(sequence.blocks.size()));
    for (std::size_t i = 0; i < sequence.blocks.size(); ++i) {
      const auto block = static_cast<std::size_t>(sequence.blocks[i].value());
      ++entries[block];
      const auto begin = static_cast<std::int64_t>(i) * block_tokens_;
      if (sequence.writable_end > sequence.tokens && begin < sequence.writable_end &&
          begin + block_tokens_ > sequence.tokens)
        ++writers[block];
    }
  }
  std::int32_t in_use = 0;
  for (std::size_t block = 0; block < entries.size(); ++block) {
    ASSAY_CHECK_EQ(pool_.owners(BlockId(static_cast<std::int32_t>(block))), entries[block]);
    if (writers[block] > 0) ASSAY_CHECK_EQ(entries[block], 1);
    if (entries[block] > 0) ++in_use;
  }
  ASSAY_CHECK_EQ(pool_.free_blocks(), pool_.blocks() - in_use);
}

}  // namespace assay
