// The judge of a life: shadow tags say what every slot of the pool holds; rules are checked after every event.
//
//   INV    owners = tables that name the block, free = blocks without owner, no block twice in a table
//   KEY    a hit names a block that was written with other tokens, or the same after another prefix
//   CONT   a computed token's slot does not hold it
//   FENCE  a block is handed out while the step that writes it is in flight
//   ATOM   a refused call changed something          CAPX   refused with room, admitted without, a table too long
//   PROG   making room ended without room            QUIES  nobody is left, and blocks are missing
//   LOCK   anything else that the plain reference does differently
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "properties/allocator/history.h"
#include "properties/allocator/plain_allocator.h"
#include "properties/cases/kernel_case.h"

namespace assay::properties {
namespace {

using Tag = std::uint64_t;  // of a token and everything before it; 0: never written

class Life {
 public:
  Life(const AllocatorHistory& history, Allocator& tested)
      : shape_(history.shape),
        tested_(tested),
        plain_(history.shape),
        tags_(static_cast<std::size_t>(history.shape.blocks) * history.shape.block_tokens, 0) {}

  AllocatorLife run(const std::vector<AllocatorEvent>& events) {
    for (std::size_t i = 0; i < events.size() && !life_.breach.broken(); ++i) {
      event_ = static_cast<std::int64_t>(i);
      if (!apply(events[i])) continue;
      ++life_.events;
      if (!life_.breach.broken()) check_state();
      if (!life_.breach.broken()) compare();
    }
    return life_;
  }

 private:
  struct Held {
    Tokens tokens;
    bool is_computed = false;
    std::int64_t hits = 0;
    std::vector<std::int32_t> table;  // as the tested allocator says
  };

  void broken(const char* oracle, std::string text) {
    if (!life_.breach.broken()) life_.breach = {oracle, fmt::format("event {}: {}", event_, text), event_};
  }
  void note(std::int64_t word) {
    life_.digest = fnv1a(&word, sizeof word, life_.digest == 0 ? 0xcbf29ce484222325ull : life_.digest);
  }

  // False: the event makes no sense here.
  bool apply(const AllocatorEvent& event) {
    const auto held = held_.find(event.sequence);
    switch (event.kind) {
      case EventKind::kAdmit: return held == held_.end() && admit(event);
      case EventKind::kComputed:
        if (held == held_.end() || held->second.is_computed) return false;
        tested_.computed(event.sequence);
        plain_.computed(event.sequence);
        held->second.is_computed = true;
        for (std::int64_t t = held->second.hits; t < static_cast<std::int64_t>(held->second.tokens.size());
             ++t)
          write(held->second, t);
        return true;
      case EventKind::kAppend:
        return held != held_.end() && held->second.is_computed && append(event, held->second);
      case EventKind::kRelease:
        if (held == held_.end()) return false;
        release(event.sequence);
        tested_.release(event.sequence);
        plain_.release(event.sequence);
        return true;
      case EventKind::kMakeRoom: return make_room(event.sequence);
      case EventKind::kBeginStep:
        if (in_step_) return false;
        in_step_ = true;
        tested_.begin_step();
        plain_.begin_step();
        return true;
      case EventKind::kEndStep:
        if (!in_step_) return false;
        in_step_ = false;
        fenced_.clear();
        pending_.clear();
        tested_.end_step();
        plain_.end_step();
        return true;
    }
    return false;
  }

  bool admit(const AllocatorEvent& event) {
    const auto before = snapshot();
    const std::int64_t hits = tested_.admit(event.sequence, event.tokens),
                       right = plain_.admit(event.sequence, event.tokens);
    note(hits);
    if ((hits == Allocator::kRefused) != (right == Allocator::kRefused)) {
      broken("CAPX", hits == Allocator::kRefused ? "a prompt was refused although it fits"
                                                 : "a prompt was admitted although it does not fit");
      return true;
    }
    if (hits == Allocator::kRefused) {
      if (snapshot() != before) broken("ATOM", "a refused prompt changed the pool");
      return true;
    }
    Held held{event.tokens, false, hits, tested_.table(event.sequence)};
    if (hits < 0 || hits >= static_cast<std::int64_t>(event.tokens.size()) ||
        hits % shape_.block_tokens != 0) {
      broken("CAPX", fmt::format("{} of {} tokens hit", hits, event.tokens.size()));
      return true;
    }
    check_length(held);
    if (life_.breach.broken()) return true;
    for (std::int64_t t = 0; t < hits; ++t)
      if (tag_at(held, t) != tag_of(held.tokens, t)) {
        const bool whole = block_is_written(held.table[static_cast<std::size_t>(t / shape_.block_tokens)]);
        broken(whole ? "KEY" : "CONT",
               fmt::format("sequence {} hits block {} for token {}, which holds {}", event.sequence,
                           held.table[static_cast<std::size_t>(t / shape_.block_tokens)], t,
                           whole ? "other tokens" : "what was never computed"));
        return true;
      }
    check_fence(held, hits / shape_.block_tokens);
    held_[event.sequence] = std::move(held);
    return true;
  }

  bool append(const AllocatorEvent& event, Held& held) {
    const auto before = snapshot();
    const bool done = tested_.append(event.sequence, event.tokens[0]),
               right = plain_.append(event.sequence, event.tokens[0]);
    note(done);
    if (done != right) {
      broken("CAPX",
             done ? "a token was appended without room" : "a token was refused although there is room");
    } else if (!done) {
      if (snapshot() != before) broken("ATOM", "a refused token changed the pool");
    } else {
      const std::size_t old = held.table.size();
      held.tokens.push_back(event.tokens[0]);
      held.table = tested_.table(event.sequence);
      check_length(held);
      if (!life_.breach.broken()) {
        check_fence(held, static_cast<std::int64_t>(old));
        write(held, static_cast<std::int64_t>(held.tokens.size()) - 1);
      }
    }
    return true;
  }

  bool make_room(std::int32_t blocks) {
    const std::size_t held = held_.size();
    const std::vector<std::int32_t> victims = tested_.make_room(blocks), right = plain_.make_room(blocks);
    std::set<std::int32_t> different(victims.begin(), victims.end());
    if (different.size() != victims.size() || victims.size() > held) {
      broken("PROG", fmt::format("{} victims among {} sequences", victims.size(), held));
      return true;
    }
    for (const std::int32_t victim : victims) {
      note(victim);
      if (held_.count(victim) == 0)
        broken("PROG", fmt::format("sequence {} was made to leave and is not there", victim));
      else
        release(victim);
    }
    if (!life_.breach.broken() && !in_step_ && tested_.free_blocks() < blocks && !held_.empty())
      broken("PROG", fmt::format("{} blocks wanted, {} free, {} sequences left to preempt", blocks,
                                 tested_.free_blocks(), held_.size()));
    if (!life_.breach.broken() && victims != right) broken("LOCK", "other sequences had to leave");
    return true;
  }

  void release(std::int32_t sequence) {
    const Held& held = held_.at(sequence);
    if (in_step_) {
      pending_.push_back(held.table);
      fenced_.insert(held.table.begin(), held.table.end());
    }
    held_.erase(sequence);
  }

  void check_length(const Held& held) {
    const auto tokens = static_cast<std::int64_t>(held.tokens.size());
    const std::int64_t blocks = (tokens + shape_.block_tokens - 1) / shape_.block_tokens;
    if (static_cast<std::int64_t>(held.table.size()) != blocks)
      broken("CAPX", fmt::format("a table of {} blocks for {} tokens", held.table.size(), tokens));
    for (const std::int32_t block : held.table)
      if (block < 0 || block >= shape_.blocks) broken("INV", fmt::format("block {} does not exist", block));
  }
  // Blocks from `first` on were handed out just now.
  void check_fence(const Held& held, std::int64_t first) {
    for (auto i = static_cast<std::size_t>(first); i < held.table.size(); ++i)
      if (fenced_.count(held.table[i]) != 0)
        broken("FENCE", fmt::format("block {} is handed out while a step still writes it", held.table[i]));
  }

  void check_state() {
    std::vector<std::int32_t> owners(static_cast<std::size_t>(shape_.blocks), 0);
    const auto count = [&](const std::vector<std::int32_t>& table) {
      std::set<std::int32_t> seen;
      for (const std::int32_t block : table) {
        ++owners[static_cast<std::size_t>(block)];
        if (!seen.insert(block).second) broken("INV", fmt::format("block {} twice in one table", block));
      }
    };
    for (const auto& [sequence, held] : held_) count(held.table);
    for (const auto& table : pending_) count(table);
    std::int32_t free = 0;
    for (std::int32_t block = 0; block < shape_.blocks; ++block) {
      const std::int32_t want = owners[static_cast<std::size_t>(block)];
      free += want == 0;
      if (tested_.owners(block) != want)
        broken("INV",
               fmt::format("block {} has {} owners, {} tables name it", block, tested_.owners(block), want));
    }
    if (held_.empty() && pending_.empty() && tested_.free_blocks() != shape_.blocks)
      broken("QUIES", fmt::format("nobody is left, and {} of {} blocks are free", tested_.free_blocks(),
                                  shape_.blocks));
    if (tested_.free_blocks() != free)
      broken("INV",
             fmt::format("{} blocks are said to be free, {} have no owner", tested_.free_blocks(), free));
    for (const auto& [sequence, held] : held_) {
      const auto computed = held.is_computed ? static_cast<std::int64_t>(held.tokens.size()) : held.hits;
      for (std::int64_t t = 0; t < computed; ++t)
        if (tag_at(held, t) != tag_of(held.tokens, t)) {
          broken("CONT", fmt::format("sequence {}: block {} slot {} does not hold token {}", sequence,
                                     held.table[static_cast<std::size_t>(t / shape_.block_tokens)],
                                     t % shape_.block_tokens, t));
          return;
        }
    }
  }
  void compare() {
    note(tested_.free_blocks());
    for (const auto& [sequence, held] : held_) {
      for (const std::int32_t block : held.table) note(block);
      if (held.table != plain_.table(sequence))
        broken("LOCK", fmt::format("sequence {} has other blocks than the reference gives it", sequence));
    }
    if (tested_.free_blocks() != plain_.free_blocks())
      broken("LOCK", "another number of free blocks than the reference has");
  }

  // Everything a caller can see.
  [[nodiscard]] std::vector<std::int32_t> snapshot() const {
    std::vector<std::int32_t> all{tested_.free_blocks()};
    for (std::int32_t block = 0; block < shape_.blocks; ++block) all.push_back(tested_.owners(block));
    for (const auto& [sequence, held] : held_) {
      const std::vector<std::int32_t> table = tested_.table(sequence);
      all.insert(all.end(), table.begin(), table.end());
    }
    return all;
  }

  [[nodiscard]] static Tag tag_of(const Tokens& tokens, std::int64_t t) {
    return fnv1a(tokens.data(), static_cast<std::size_t>(t + 1) * sizeof tokens[0]) | 1;
  }
  [[nodiscard]] std::size_t slot_of(const Held& held, std::int64_t t) const {
    return static_cast<std::size_t>(held.table[static_cast<std::size_t>(t / shape_.block_tokens)]) *
               shape_.block_tokens +
           static_cast<std::size_t>(t % shape_.block_tokens);
  }
  [[nodiscard]] Tag tag_at(const Held& held, std::int64_t t) const { return tags_[slot_of(held, t)]; }
  void write(const Held& held, std::int64_t t) { tags_[slot_of(held, t)] = tag_of(held.tokens, t); }
  [[nodiscard]] bool block_is_written(std::int32_t block) const {
    for (std::int32_t slot = 0; slot < shape_.block_tokens; ++slot)
      if (tags_[static_cast<std::size_t>(block) * shape_.block_tokens + static_cast<std::size_t>(slot)] == 0)
        return false;
    return true;
  }

  AllocatorShape shape_;
  Allocator& tested_;
  PlainAllocator plain_;
  std::vector<Tag> tags_;  // [blocks, block_tokens]
  std::map<std::int32_t, Held> held_;
  std::vector<std::vector<std::int32_t>> pending_;  // tables released in the step that is in flight
  std::set<std::int32_t> fenced_;
  bool in_step_ = false;
  std::int64_t event_ = 0;
  AllocatorLife life_;
};

}  // namespace

AllocatorLife live_history(const AllocatorHistory& history, Allocator& allocator) {
  return Life(history, allocator).run(history.events);
}

}  // namespace assay::properties
