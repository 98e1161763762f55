#include "properties/allocator/allocator_mutants.h"

#include "model/core/check.h"
#include "properties/allocator/plain_allocator.h"
#include "properties/allocator/pool_allocator.h"

namespace assay::properties {
namespace {

// S1: freed twice; queued while owned.
struct S1a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void give_back(const Held& held) override {
    PlainAllocator::give_back(held);
    const std::int32_t last = held.blocks.back();
    if (witnessed(owners_[static_cast<std::size_t>(last)] == 0)) free_.push_back(last);
  }
};
struct S1b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void touch(std::int32_t block) override {  // stays in the queue
    if (!witnessed(owners_[static_cast<std::size_t>(block)] == 0)) return PlainAllocator::touch(block);
    ++owners_[static_cast<std::size_t>(block)];
  }
};
// S2: one increment or decrement skipped.
struct S2a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void give_back(const Held& held) override {
    for (std::size_t i = held.blocks.size(); i-- > (witnessed(held.blocks.size() > 1) ? 1u : 0u);)
      drop(held.blocks[i]);
  }
};
struct S2b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void touch(std::int32_t block) override {
    if (!witnessed(owners_[static_cast<std::size_t>(block)] > 0)) PlainAllocator::touch(block);
  }
};
// S3: a block that is in use handed out; the map keeps what is gone.
struct S3a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  std::int32_t take() override {
    for (std::size_t block = 0; block < owners_.size(); ++block)
      if (witnessed(owners_[block] > 0 && !content_[block].empty() && free_.size() == 1)) {
        forget(static_cast<std::int32_t>(block));
        return static_cast<std::int32_t>(block);
      }
    return PlainAllocator::take();
  }
};
struct S3b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void forget(std::int32_t block) override {
    if (witnessed(!content_[static_cast<std::size_t>(block)].empty()))
      content_[static_cast<std::size_t>(block)].clear();
  }
};
// S4: names that forget the prefix, add up to the same, or keep sixteen bits.
struct S4a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  Tokens key_of(const Tokens& tokens, std::int64_t end) const override {
    (void)witnessed(end > shape_.block_tokens);
    return {tokens.begin() + end - shape_.block_tokens, tokens.begin() + end};
  }
};
struct S4b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  Tokens key_of(const Tokens& tokens, std::int64_t end) const override {
    // Unsigned, because it wraps: 31 names the same sums for other orders soon enough.
    auto hash = static_cast<std::uint64_t>(end);
    for (std::int64_t i = 0; i < end; ++i)
      hash = hash * 31 + static_cast<std::uint64_t>(tokens[static_cast<std::size_t>(i)]);
    (void)witnessed(true);
    return {static_cast<std::int64_t>(hash)};
  }
};
struct S4c : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  Tokens key_of(const Tokens& tokens, std::int64_t end) const override {
    Tokens key = PlainAllocator::key_of(tokens, end);
    for (std::int64_t& token : key) {
      (void)witnessed(token > 0xffff);
      token &= 0xffff;
    }
    return key;
  }
};
// S5: capacity: hits counted as free; one block too many asked for at a border.
struct S5a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  bool has_room(std::int32_t need, const std::vector<std::int32_t>& found) const override {
    const bool room = need <= static_cast<std::int32_t>(free_.size());
    return witnessed(room != PlainAllocator::has_room(need, found)) || room;
  }
  std::int32_t take() override { return free_.empty() ? 0 : PlainAllocator::take(); }
};
struct S5b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  bool has_room(std::int32_t need, const std::vector<std::int32_t>& found) const override {
    const bool room = PlainAllocator::has_room(need + 1, found);
    (void)witnessed(room != PlainAllocator::has_room(need, found));
    return room;
  }
};
// S6: failed calls that leave something behind, or take too much back.
struct S6a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  std::int64_t admit(std::int32_t sequence, const Tokens& prompt) override {
    const std::vector<std::int32_t> found = lookup(prompt);
    const std::int64_t hits = PlainAllocator::admit(sequence, prompt);
    if (hits == kRefused && witnessed(!found.empty())) touch(found.front());
    return hits;
  }
};
struct S6b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  bool refuse_append(Held& held) override {
    if (witnessed(true)) {
      drop(held.blocks.back());
      held.blocks.pop_back();
    }
    return false;
  }
};
// S7: contents announced before they are there.
struct S7a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void admitted(Held& held) override {
    held.is_computed = true;
    (void)witnessed(static_cast<std::int32_t>(held.tokens.size()) >= shape_.block_tokens);
    publish(held);
  }
};
struct S7b : PlainAllocator {  // a draft token that nobody has accepted fills the last block
  using PlainAllocator::PlainAllocator;
  void publish(const Held& held) override {
    PlainAllocator::publish(held);
    Held draft = held;
    draft.tokens.push_back(1000);
    if (!needs_block(held) &&
        witnessed(draft.tokens.size() % static_cast<std::size_t>(shape_.block_tokens) == 0))
      PlainAllocator::publish(draft);
  }
};
// S8: freed while a step writes it.
struct S8a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  bool defers() const override { return !witnessed(in_flight_) && in_flight_; }
};
struct S8b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void release(std::int32_t sequence) override {
    PlainAllocator::release(sequence);
    if (!witnessed(in_flight_ && !pending_.empty() && !pending_.back().blocks.empty())) return;
    drop(pending_.back().blocks.back());
    pending_.back().blocks.pop_back();
  }
};
// S9: victims that help nobody.
struct S9a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  std::int32_t choose_victim() override {
    const std::int32_t newest = PlainAllocator::choose_victim();
    for (const std::int32_t block : held_.at(newest).blocks)
      if (witnessed(owners_[static_cast<std::size_t>(block)] > 1))
        return -1;  // it shares something: gives up
    return newest;
  }
};
struct S9b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  std::vector<std::int32_t> make_room(std::int32_t blocks) override {
    std::vector<std::int32_t> victims;
    while (!in_flight_ && witnessed(free_blocks() < blocks) && !held_.empty() && victims.size() < 40)
      victims.push_back(choose_victim());
    return victims;
  }
};
// S10: the wrong end; need instead of what is missing; shared blocks freed with the table.
struct S10a : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void give_back(const Held& held) override {
    (void)witnessed(held.blocks.size() > 1);
    for (const std::int32_t block : held.blocks) drop(block);
  }
};
struct S10b : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  bool append(std::int32_t sequence, std::int64_t token) override {
    const bool grows = needs_block(held_.at(sequence));
    if (!PlainAllocator::append(sequence, token)) return false;
    if (witnessed(grows && !free_.empty())) held_.at(sequence).blocks.push_back(take());
    return true;
  }
};
struct S10c : PlainAllocator {
  using PlainAllocator::PlainAllocator;
  void drop(std::int32_t block) override {
    std::int32_t& owners = owners_[static_cast<std::size_t>(block)];
    if (witnessed(owners > 1)) owners = 1;
    PlainAllocator::drop(block);
  }
};

template <typename Mutant>
std::unique_ptr<Allocator> make(const AllocatorShape& shape) {
  return std::make_unique<Mutant>(shape);
}

}  // namespace

const std::vector<AllocatorMutant>& allocator_mutants() {
  static const std::vector<AllocatorMutant> mutants{
      {"S1a", "a table's last block is queued twice", "INV QUIES", make<S1a>},
      {"S1b", "a hit leaves the block in the free queue", "INV", make<S1b>},
      {"S2a", "the first block of a table is not given back", "INV QUIES", make<S2a>},
      {"S2b", "a hit on a block in use counts no owner", "INV", make<S2b>},
      {"S3a", "a cached block in use is handed out", "INV CONT", make<S3a>},
      {"S3b", "the map keeps blocks that were handed out again", "INV CONT KEY", make<S3b>},
      {"S4a", "a block's name forgets what stands before it", "KEY", make<S4a>},
      {"S4b", "names are a polynomial in the tokens", "KEY", make<S4b>},
      {"S4c", "names keep sixteen bits of a token", "KEY", make<S4c>},
      {"S5a", "hits in the free queue count as free", "INV CAPX", make<S5a>},
      {"S5b", "one block more than needed must be free", "CAPX", make<S5b>},
      {"S6a", "a refused prompt keeps a hit", "ATOM", make<S6a>},
      {"S6b", "a refused token loses the last block", "ATOM", make<S6b>},
      {"S7a", "blocks can be hit before they are computed", "CONT KEY", make<S7a>},
      {"S7b", "a draft token fills a block's name", "CONT KEY", make<S7b>},
      {"S8a", "blocks come back while a step writes them", "FENCE INV", make<S8a>},
      {"S8b", "the last block of a table comes back during a step", "FENCE INV", make<S8b>},
      {"S9a", "making room gives up on a sequence that shares a block", "PROG", make<S9a>},
      {"S9b", "making room names victims and frees nothing", "PROG", make<S9b>},
      {"S10a", "a table is given back head first", "LOCK", make<S10a>},
      {"S10b", "a full table grows by two blocks", "CAPX", make<S10b>},
      {"S10c", "a shared block is freed with one of its tables", "INV CONT", make<S10c>},
  };
  return mutants;
}

std::unique_ptr<Allocator> make_allocator(const std::string& name, const AllocatorShape& shape) {
  if (name == "pool") return std::make_unique<PoolAllocator>(shape);
  if (name == "plain") return std::make_unique<PlainAllocator>(shape);
  for (const AllocatorMutant& mutant : allocator_mutants())
    if (name == mutant.name) return mutant.make(shape);
  throw InputError("allocator", "pool, plain, or a mutant S1a to S10c", name);
}

}  // namespace assay::properties
