// Planted faults of an engine: what a step would look like if the allocator or the runner erred. Each must show
// as wrong data; a verification that a fault survives proves nothing.
//
//   block-handed-out-twice   a block that a running sequence owns is handed to another one too: whoever should
//                            get block b gets block a, from some step on
//   table-update-lost        when a decoding sequence begins a new block, the kernel still sees an old entry there
//   write-lost               the write of a token does not reach the pool
//   blocks-swapped           the kernel's table has a sequence's first two blocks in the wrong order
//   foreign-table            the kernel is handed the table of another sequence, as long as its own
//
// A fault strikes once its situation comes up; how often it did is counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "properties/world/live_step.h"

namespace assay::properties {

enum class EngineFault {
  kNone,
  kBlockHandedOutTwice,
  kTableUpdateLost,
  kWriteLost,
  kBlocksSwapped,
  kForeignTable,
};
inline constexpr EngineFault kEngineFaults[] = {EngineFault::kBlockHandedOutTwice,
                                                EngineFault::kTableUpdateLost, EngineFault::kWriteLost,
                                                EngineFault::kBlocksSwapped, EngineFault::kForeignTable};
[[nodiscard]] const char* name_of(EngineFault fault);
// "none", or a name of the list above. Throws InputError.
[[nodiscard]] EngineFault engine_fault_named(const std::string& name, const std::string& place);

class FaultyEngine {
 public:
  FaultyEngine(EngineFault fault, std::int32_t block_tokens) : fault_(fault), block_tokens_(block_tokens) {}

  // Changes the step in place; its tables may then point into this object until the next call.
  void strike(LiveStep& live);
  [[nodiscard]] std::int64_t strikes() const { return strikes_; }

 private:
  std::vector<std::int32_t>& copy_of(std::span<const std::int32_t> table);
  void hand_out_twice(LiveStep& live);

  EngineFault fault_;
  std::int32_t block_tokens_;
  std::int64_t strikes_ = 0;
  std::int32_t instead_ = -1, given_ = -1;         // block `given_` is handed out where `instead_` should be
  std::vector<std::vector<std::int32_t>> tables_;  // of the step at hand
};

}  // namespace assay::properties
