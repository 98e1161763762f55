// The allocator as plain containers with one overridable step per rule: the reference that others are locked
// to, and the body that the planted faults (S1 to S10) are made from. Slow, and meant to stay so.
//
//   free list   front: next to be handed out; released blocks join the back, a table tail first
//   contents    chain of tokens up to a full block's end -> blocks that hold it, the first published first
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "properties/allocator/allocator.h"
#include "properties/mutants/witness.h"

namespace assay::properties {

class PlainAllocator : public Allocator {
 public:
  explicit PlainAllocator(const AllocatorShape& shape)
      : shape_(shape), owners_(static_cast<std::size_t>(shape.blocks), 0), content_(owners_.size()) {
    for (std::int32_t b = 0; b < shape.blocks; ++b) free_.push_back(b);
  }

  std::int64_t admit(std::int32_t sequence, const Tokens& prompt) override {
    std::vector<std::int32_t> found = lookup(prompt);
    const std::int32_t need =
        blocks_for(static_cast<std::int64_t>(prompt.size())) - static_cast<std::int32_t>(found.size());
    if (!has_room(need, found)) return kRefused;
    Held held{sequence, {}, prompt, next_age_++, false};
    for (const std::int32_t block : found) touch(block);
    held.blocks = found;
    for (std::int32_t i = 0; i < need; ++i) held.blocks.push_back(take());
    admitted(held);
    held_[sequence] = std::move(held);
    return static_cast<std::int64_t>(found.size()) * shape_.block_tokens;
  }
  void computed(std::int32_t sequence) override {
    Held& held = held_.at(sequence);
    held.is_computed = true;
    publish(held);
  }
  bool append(std::int32_t sequence, std::int64_t token) override {
    Held& held = held_.at(sequence);
    if (needs_block(held)) {
      if (free_.empty()) return refuse_append(held);
      held.blocks.push_back(take());
    }
    held.tokens.push_back(token);
    publish(held);
    return true;
  }
  void release(std::int32_t sequence) override {
    Held held = std::move(held_.at(sequence));
    held_.erase(sequence);
    if (defers())
      pending_.push_back(std::move(held));
    else
      give_back(held);
  }
  std::vector<std::int32_t> make_room(std::int32_t blocks) override {
    std::vector<std::int32_t> victims;
    // What is released during a step comes back at its end: nothing can be won now.
    while (!in_flight_ && static_cast<std::int32_t>(free_.size()) < blocks && !held_.empty()) {
      const std::int32_t victim = choose_victim();
      if (victim < 0) break;
      victims.push_back(victim);
      release(victim);
      if (victims.size() > 64) break;  // a rule that frees nothing would go on for ever
    }
    return victims;
  }
  void begin_step() override { in_flight_ = true; }
  void end_step() override {
    in_flight_ = false;
    for (const Held& held : pending_) give_back(held);
    pending_.clear();
  }
  [[nodiscard]] std::vector<std::int32_t> table(std::int32_t sequence) const override {
    return held_.at(sequence).blocks;
  }
  [[nodiscard]] std::int32_t free_blocks() const override { return static_cast<std::int32_t>(free_.size()); }
  [[nodiscard]] std::int32_t owners(std::int32_t block) const override {
    return owners_[static_cast<std::size_t>(block)];
  }

 protected:
  struct Held {
    std::int32_t sequence = 0;
    std::vector<std::int32_t> blocks;
    Tokens tokens;
    std::int64_t age = 0;
    bool is_computed = false;
  };
  // The name of a full block's content: every token up to its end.
  virtual Tokens key_of(const Tokens& tokens, std::int64_t end) const {
    return {tokens.begin(), tokens.begin() + end};
  }
  [[nodiscard]] std::int32_t blocks_for(std::int64_t tokens) const {
    return static_cast<std::int32_t>((tokens + shape_.block_tokens - 1) / shape_.block_tokens);
  }
  // Leading full blocks that are cached; the last token is never hit.
  virtual std::vector<std::int32_t> lookup(const Tokens& prompt) const {
    std::vector<std::int32_t> found;
    const std::int64_t most = hit_cap(static_cast<std::int64_t>(prompt.size()));
    for (std::int64_t end = shape_.block_tokens; end <= most; end += shape_.block_tokens) {
      const auto at = cached_.find(key_of(prompt, end));
      if (at == cached_.end()) break;
      found.push_back(at->second.front());
    }
    return found;
  }
  virtual std::int64_t hit_cap(std::int64_t tokens) const { return tokens - 1; }
  // Hits that wait in the free list are no longer there for the rest.
  virtual bool has_room(std::int32_t need, const std::vector<std::int32_t>& found) const {
    std::int32_t idle = 0;
    for (const std::int32_t block : found) idle += owners_[static_cast<std::size_t>(block)] == 0;
    return need + idle <= static_cast<std::int32_t>(free_.size());
  }
  virtual void touch(std::int32_t block) {
    std::int32_t& owners = owners_[static_cast<std::size_t>(block)];
    if (owners == 0) free_.erase(std::find(free_.begin(), free_.end(), block));
    ++owners;
  }
  virtual std::int32_t take() {
    const std::int32_t block = free_.front();
    free_.pop_front();
    forget(block);
    owners_[static_cast<std::size_t>(block)] = 1;
    return block;
  }
  virtual void forget(std::int32_t block) {
    Tokens& content = content_[static_cast<std::size_t>(block)];
    if (content.empty()) return;
    const auto at = cached_.find(content);
    if (at != cached_.end()) {
      at->second.erase(std::remove(at->second.begin(), at->second.end(), block), at->second.end());
      if (at->second.empty()) cached_.erase(at);
    }
    content.clear();
  }
  virtual void admitted(Held&) {}
  // Full blocks whose tokens are in the pool.
  virtual void publish(const Held& held) {
    if (!held.is_computed) return;
    for (std::size_t i = 0; (static_cast<std::int64_t>(i) + 1) * shape_.block_tokens <=
                            static_cast<std::int64_t>(held.tokens.size());
         ++i) {
      Tokens& content = content_[static_cast<std::size_t>(held.blocks[i])];
      if (!content.empty()) continue;
      content = key_of(held.tokens, (static_cast<std::int64_t>(i) + 1) * shape_.block_tokens);
      cached_[content].push_back(held.blocks[i]);
    }
  }
  virtual bool needs_block(const Held& held) const {
    return static_cast<std::int64_t>(held.tokens.size()) ==
           static_cast<std::int64_t>(held.blocks.size()) * shape_.block_tokens;
  }
  virtual bool refuse_append(Held&) { return false; }
  virtual bool defers() const { return in_flight_; }
  virtual void give_back(const Held& held) {
    for (std::size_t i = held.blocks.size(); i-- > 0;) drop(held.blocks[i]);
  }
  virtual void drop(std::int32_t block) {
    if (--owners_[static_cast<std::size_t>(block)] == 0) free_.push_back(block);
  }
  virtual std::int32_t choose_victim() {
    std::int32_t newest = -1;
    std::int64_t age = -1;
    for (const auto& [sequence, held] : held_)
      if (held.age > age) {
        age = held.age;
        newest = sequence;
      }
    return newest;
  }

  AllocatorShape shape_;
  std::deque<std::int32_t> free_;
  std::vector<std::int32_t> owners_;
  std::vector<Tokens> content_;  // [blocks]; empty: none
  std::map<Tokens, std::vector<std::int32_t>> cached_;
  std::map<std::int32_t, Held> held_;
  std::vector<Held> pending_;
  std::int64_t next_age_ = 0;
  bool in_flight_ = false;
};

}  // namespace assay::properties
