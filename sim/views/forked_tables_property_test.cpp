// Forked tables under drawn events: what every sequence reads back is what was written to it, whoever
// shares its blocks; nothing leaks; a call that fails changes nothing and fails only when it must. The
// same judge runs over broken copies and must reject every one.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <optional>
#include <sstream>

#include "model/core/philox.h"
#include "sim/views/forked_tables.h"
#include "sim/views/naive_tables.h"

namespace assay {

// One event; each number is taken modulo what is possible when its turn comes.
struct TableEvent {
  std::uint8_t kind = 0, first = 0, second = 0, tokens = 0;
};
std::ostream& operator<<(std::ostream& out, const TableEvent& event) {
  return out << "{" << int{event.kind} << "," << int{event.first} << "," << int{event.second} << ","
             << int{event.tokens} << "}";
}

}  // namespace assay

namespace rc {
template <>
struct Arbitrary<assay::TableEvent> {
  static Gen<assay::TableEvent> arbitrary() {
    return gen::build<assay::TableEvent>(
        gen::set(&assay::TableEvent::kind), gen::set(&assay::TableEvent::first),
        gen::set(&assay::TableEvent::second), gen::set(&assay::TableEvent::tokens));
  }
};
}  // namespace rc

namespace assay {
namespace {

// ForkedTables and NaiveTables behind the same words.
class RealTables {
 public:
  RealTables(std::int32_t blocks, std::int32_t block_tokens) : pool_(blocks), tables_(pool_, block_tokens) {}
  SequenceId create() { return tables_.create(); }
  SequenceId fork(SequenceId parent) { return tables_.fork(parent); }
  bool reserve(SequenceId id, std::int64_t tokens, std::vector<BlockCopy>& copies) {
    return tables_.reserve(id, tokens, copies);
  }
  void advance(SequenceId id, std::int64_t tokens) { tables_.advance(id, tokens); }
  void free(SequenceId id) { tables_.free(id); }
  void select(const std::vector<SequenceId>& ids, const std::vector<std::size_t>& parents) {
    tables_.select(ids, parents);
  }
  [[nodiscard]] std::int64_t tokens(SequenceId id) const { return tables_.tokens(id); }
  [[nodiscard]] std::vector<BlockId> blocks(SequenceId id) const { return tables_.blocks(id); }
  [[nodiscard]] std::vector<BlockId> free_queue() const { return pool_.free_queue(); }
  void check() const { tables_.check_invariants(); }

 private:
  CountedPool pool_;
  ForkedTables tables_;
};

class BrokenTables : public NaiveTables {
 public:
  using NaiveTables::NaiveTables;
  void check() const {}
};

// The judge: keeps every sequence's tokens as a plain list and a memory of slots beside the tables.
template <typename Tables>
class Judge {
 public:
  Judge(Tables& tables, std::int32_t blocks, std::int32_t block_tokens)
      : tables_(tables),
        block_tokens_(block_tokens),
        memory_(static_cast<std::size_t>(blocks * block_tokens), -1),
        blocks_(blocks) {}

  // The first thing wrong, or nothing.
  std::optional<std::string> run(const std::vector<TableEvent>& events) {
    for (std::size_t i = 0; i < events.size(); ++i) {
      apply(events[i]);
      tables_.check();
      if (!wrong_) look_at_everything();
      if (wrong_) return "event " + std::to_string(i) + ": " + *wrong_;
    }
    while (!written_.empty()) {
      tables_.free(SequenceId(written_.begin()->first));
      written_.erase(written_.begin());
    }
    tables_.check();
    look_at_everything();
    if (static_cast<std::int64_t>(tables_.free_queue().size()) != blocks_)
      say("blocks are missing at the end");
    return wrong_;
  }

 private:
  using Snapshot = std::pair<std::map<std::int32_t, std::vector<BlockId>>, std::vector<BlockId>>;

  void say(const std::string& what) {
    if (!wrong_) wrong_ = what;
  }
  Snapshot snapshot() const {
    Snapshot now;
    for (const auto& [id, tokens] : written_) now.first[id] = tables_.blocks(SequenceId(id));
    now.second = tables_.free_queue();
    return now;
  }
  SequenceId pick(std::uint8_t number) const {
    auto at = written_.begin();
    std::advance(at, number % written_.size());
    return SequenceId(at->first);
  }

  void apply(const TableEvent& event) {
    const int kind = event.kind % 8;
    if (written_.empty() || (kind == 0 && written_.size() < 6)) {
      written_[tables_.create().value()] = {};
    } else if (kind == 1 && written_.size() < 8) {
      const SequenceId parent = pick(event.first);
      const auto tokens = written_[parent.value()];
      written_[tables_.fork(parent).value()] = tokens;
    } else if (kind == 2) {
      const SequenceId gone = pick(event.first);
      tables_.free(gone);
      written_.erase(gone.value());
    } else if (kind == 3) {
      select(event);
    } else {
      write(pick(event.first), event.tokens % (3 * block_tokens_ + 2), kind == 4 ? event.second : 255);
    }
  }

  void select(const TableEvent& event) {
    std::vector<SequenceId> ids;
    std::vector<std::size_t> parents;
    std::map<std::int32_t, std::vector<std::int64_t>> after;
    for (const auto& [id, tokens] : written_) ids.emplace_back(id);
    std::uint32_t bits = event.first | event.second << 8 | event.tokens << 16;
    for (const SequenceId id : ids) {
      parents.push_back(bits % ids.size());
      bits = bits / 3 + 7;
      after[id.value()] = written_[ids[parents.back()].value()];
    }
    tables_.select(ids, parents);
    written_ = after;
  }

  // Needs exactly: blocks for the new tokens beyond what is held, and one if the tail is shared.
  std::int64_t needed(SequenceId id, std::int64_t tokens) const {
    const std::vector<BlockId> blocks = tables_.blocks(id);
    const auto length = static_cast<std::int64_t>(written_.at(id.value()).size());
    std::int64_t count = 0;
    while ((static_cast<std::int64_t>(blocks.size()) + count) * block_tokens_ < length + tokens) ++count;
    if (tokens == 0 || length % block_tokens_ == 0) return count;
    const BlockId tail = blocks[static_cast<std::size_t>(length / block_tokens_)];
    for (const auto& [other, ignored] : written_) {
      if (other == id.value()) continue;
      for (const BlockId block : tables_.blocks(SequenceId(other)))
        if (block == tail) return count + 1;
    }
    return count;
  }

  // Reserves `tokens`, then writes at most `written` of them.
  void write(SequenceId id, std::int64_t tokens, std::int64_t written) {
    const Snapshot before = snapshot();
    const bool should = needed(id, tokens) <= static_cast<std::int64_t>(before.second.size());
    std::vector<BlockCopy> copies;
    const bool did = tables_.reserve(id, tokens, copies);
    if (did != should) return say(should ? "refused what fits" : "promised what does not fit");
    if (!did) {
      if (!(snapshot() == before) || !copies.empty()) say("a failed call changed something");
      return;
    }
    for (const BlockCopy& copy : copies)
      for (std::int32_t i = 0; i < copy.tokens; ++i) cell(copy.to, i) = cell(copy.from, i);
    const std::vector<BlockId> blocks = tables_.blocks(id);
    std::vector<std::int64_t>& content = written_[id.value()];
    const std::int64_t count = std::min(tokens, written);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto position = static_cast<std::int64_t>(content.size());
      cell(blocks[static_cast<std::size_t>(position / block_tokens_)], position % block_tokens_) =
          next_token_;
      content.push_back(next_token_++);
    }
    tables_.advance(id, count);
  }

  std::int64_t& cell(BlockId block, std::int64_t slot) {
    return memory_[static_cast<std::size_t>(block.value() * block_tokens_ + slot)];
  }

  void look_at_everything() {
    std::map<std::int32_t, std::int64_t> named;
    for (const auto& [id, content] : written_) {
      const std::vector<BlockId> blocks = tables_.blocks(SequenceId(id));
      if (tables_.tokens(SequenceId(id)) != static_cast<std::int64_t>(content.size()))
        say("a length is wrong");
      if (static_cast<std::int64_t>(blocks.size()) * block_tokens_ <
          static_cast<std::int64_t>(content.size()))
        return say("a table is too short");
      for (const BlockId block : blocks) ++named[block.value()];
      for (std::size_t i = 0; i < content.size(); ++i) {
        const auto position = static_cast<std::int64_t>(i);
        const std::int64_t got =
            cell(blocks[static_cast<std::size_t>(position / block_tokens_)], position % block_tokens_);
        if (got != content[i]) {
          std::ostringstream text;
          text << "sequence " << id << " token " << i << ": wrote " << content[i] << ", reads " << got;
          return say(text.str());
        }
      }
    }
    for (const BlockId block : tables_.free_queue())
      if (!named.emplace(block.value(), 0).second) return say("a block is free or listed twice, and in use");
    if (static_cast<std::int64_t>(named.size()) != blocks_) say("a block is neither free nor in a table");
  }

  Tables& tables_;
  std::int64_t block_tokens_;
  std::vector<std::int64_t> memory_;                           // [slots] the token written there last
  std::map<std::int32_t, std::vector<std::int64_t>> written_;  // by sequence
  std::int64_t blocks_;
  std::int64_t next_token_ = 0;
  std::optional<std::string> wrong_;
};

RC_GTEST_PROP(ForkedTablesProperty, EverySequenceReadsWhatWasWrittenToIt,
              (const std::vector<TableEvent>& events)) {
  const auto blocks = *rc::gen::inRange(1, 20);
  const auto block_tokens = *rc::gen::element(1, 2, 3, 4, 16);
  RealTables tables(blocks, block_tokens);
  if (const auto wrong = Judge<RealTables>(tables, blocks, block_tokens).run(events)) RC_FAIL(*wrong);
}

// The twin passes the judge too, and takes and returns the very same blocks in the same order.
RC_GTEST_PROP(ForkedTablesProperty, TheSlowTwinTakesTheSameBlocks, (const std::vector<TableEvent>& events)) {
  const auto blocks = *rc::gen::inRange(1, 20);
  const auto block_tokens = *rc::gen::element(1, 2, 3, 4);
  for (std::size_t count = events.size() / 2; count <= events.size(); count += 1 + events.size() / 4) {
    RealTables a(blocks, block_tokens);
    BrokenTables b(blocks, block_tokens, TableFault::kNone);
    const std::vector<TableEvent> some(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(count));
    RC_ASSERT(!Judge<RealTables>(a, blocks, block_tokens).run(some));
    RC_ASSERT(!Judge<BrokenTables>(b, blocks, block_tokens).run(some));
    RC_ASSERT(a.free_queue() == b.free_queue());
  }
}

class TableCanary : public testing::TestWithParam<TableFault> {};

TEST_P(TableCanary, IsCaught) {
  for (std::uint64_t run = 0; run < 300; ++run) {
    const RandomStream stream = RandomStream(1, "table canary").child(run);
    const auto blocks = static_cast<std::int32_t>(1 + stream.below(0, 16));
    const auto block_tokens = static_cast<std::int32_t>(1 + stream.below(1, 5));
    std::vector<TableEvent> events(40);
    for (std::size_t i = 0; i < events.size(); ++i) {
      const std::uint32_t word = stream.u32(100 + i);
      events[i] = {static_cast<std::uint8_t>(word), static_cast<std::uint8_t>(word >> 8),
                   static_cast<std::uint8_t>(word >> 16), static_cast<std::uint8_t>(word >> 24)};
    }
    BrokenTables tables(blocks, block_tokens, GetParam());
    if (Judge<BrokenTables>(tables, blocks, block_tokens).run(events)) return;
  }
  FAIL() << "a broken copy survived 300 runs";
}

INSTANTIATE_TEST_SUITE_P(Faults, TableCanary,
                         testing::Values(TableFault::kWritesSharedTail, TableFault::kCopiesOneTokenLess,
                                         TableFault::kFreesSharedBlocks, TableFault::kLeaksOnCopy,
                                         TableFault::kLeaksReserved, TableFault::kKeepsHalfOfAFailure,
                                         TableFault::kRefusesTheLastBlock, TableFault::kForgetsTheTailCopy,
                                         TableFault::kForkSharesReserved, TableFault::kSelectInPlace));

}  // namespace
}  // namespace assay
