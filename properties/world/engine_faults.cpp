#include "properties/world/engine_faults.h"

#include <algorithm>
#include <iterator>

#include "model/core/check.h"
#include "model/core/paged_layout.h"

namespace assay::properties {
namespace {

constexpr const char* kNames[] = {"none",       "block-handed-out-twice", "table-update-lost",
                                  "write-lost", "blocks-swapped",         "foreign-table"};
constexpr std::int64_t kLostWrites = 3;  // every so manieth decode token is lost

}  // namespace

const char* name_of(EngineFault fault) { return kNames[static_cast<int>(fault)]; }

EngineFault engine_fault_named(const std::string& name, const std::string& place) {
  std::string names;
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<EngineFault>(i);
    names += (i == 0 ? "" : ", ") + std::string(kNames[i]);
  }
  throw InputError(place, names, "'" + name + "'");
}

std::vector<std::int32_t>& FaultyEngine::copy_of(std::span<const std::int32_t> table) {
  tables_.emplace_back(table.begin(), table.end());
  return tables_.back();
}

void FaultyEngine::hand_out_twice(LiveStep& live) {
  if (given_ < 0) {
    // The oldest sequence's last block goes to the newest one as well, when that has just got a block.
    const LiveSequence& oldest = live.sequences.front();
    const LiveSequence& newest = live.sequences.back();
    if (live.sequences.size() < 2 || oldest.computed_before == 0) return;
    const auto before = static_cast<std::size_t>(ceil_div(newest.computed_before, block_tokens_));
    if (newest.write_table.size() <= before || oldest.write_table.empty()) return;
    if (oldest.write_table.back() == newest.write_table.back()) return;
    given_ = oldest.write_table.back();
    instead_ = newest.write_table.back();
  }
  for (LiveSequence& s : live.sequences) {
    if (std::find(s.write_table.begin(), s.write_table.end(), instead_) == s.write_table.end()) continue;
    auto& table = copy_of(s.write_table);
    std::replace(table.begin(), table.end(), instead_, given_);
    s.write_table = s.read_table = table;
    ++strikes_;
  }
}

void FaultyEngine::strike(LiveStep& live) {
  tables_.clear();
  tables_.reserve(live.sequences.size());
  if (fault_ == EngineFault::kNone || live.sequences.empty()) return;
  if (fault_ == EngineFault::kBlockHandedOutTwice) return hand_out_twice(live);
  for (std::size_t i = 0; i < live.sequences.size(); ++i) {
    LiveSequence& s = live.sequences[i];
    if (!s.decode) continue;
    const auto blocks = static_cast<std::size_t>(ceil_div(s.context(), block_tokens_));
    if (fault_ == EngineFault::kTableUpdateLost && blocks >= 2 && s.computed_before % block_tokens_ == 0) {
      auto& table = copy_of(s.read_table);
      table[blocks - 1] = table[0];
      s.read_table = table;
      ++strikes_;
    } else if (fault_ == EngineFault::kWriteLost && s.computed_before % kLostWrites == 0) {
      s.written = 0;
      ++strikes_;
    } else if (fault_ == EngineFault::kBlocksSwapped && blocks >= 2) {
      auto& table = copy_of(s.read_table);
      std::swap(table[0], table[1]);
      s.read_table = table;
      ++strikes_;
    } else if (fault_ == EngineFault::kForeignTable && i > 0 &&
               live.sequences[i - 1].write_table.size() >= blocks &&
               live.sequences[i - 1].write_table[blocks - 1] != s.read_table[blocks - 1]) {
      s.read_table = live.sequences[i - 1].write_table;
      ++strikes_;
    }
  }
}

}  // namespace assay::properties
