// What every slot of the physical pool holds, as names: which token was last written there, by whom, when.
//
//   step s computes token 17 of request 4     slot = table[17 / B] * B + 17 % B     holds(slot) = its name
//
// The shadow follows writes only. It knows nothing of owners, free lists or reference counts, so an allocator
// that errs does not take it along: a block that was handed out twice holds what was written last.
//
// Memory: 24 bytes per slot of blocks that were ever written.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "properties/world/live_step.h"
#include "properties/world/token_names.h"

namespace assay::properties {

struct SlotContent {
  TokenName name = kNoToken;  // kNoToken: never written
  std::int64_t step = -1;     // of the write
  std::int32_t request = -1, position = -1;
};

// Two writes of one step to one slot: the caller's error by the contract of cache writes.
struct DoubleWrite {
  std::int64_t step = 0, block = 0, slot = 0;
  SlotContent first, second;
};

class PoolShadow {
 public:
  PoolShadow(std::int32_t blocks, std::int32_t block_tokens)
      : block_tokens_(block_tokens), blocks_(static_cast<std::size_t>(blocks)) {}

  // The tokens that the step computes go to their slots, in order.
  void write(const LiveStep& live, const NamesOf& names);

  [[nodiscard]] const SlotContent& at(std::int64_t block, std::int64_t slot) const {
    static constexpr SlotContent kNever;
    const auto& contents = blocks_[static_cast<std::size_t>(block)];
    return contents ? contents[static_cast<std::size_t>(slot)] : kNever;
  }
  [[nodiscard]] std::int32_t blocks() const { return static_cast<std::int32_t>(blocks_.size()); }
  [[nodiscard]] std::int32_t block_tokens() const { return block_tokens_; }
  [[nodiscard]] std::int64_t double_writes() const { return double_writes_; }
  [[nodiscard]] const std::optional<DoubleWrite>& first_double_write() const { return first_double_write_; }

 private:
  void write_token(const LiveSequence& s, std::int64_t position, TokenName name, std::int64_t step);

  std::int32_t block_tokens_;
  std::vector<std::unique_ptr<SlotContent[]>> blocks_;  // [blocks][block_tokens], made at the first write
  std::int64_t double_writes_ = 0;
  std::optional<DoubleWrite> first_double_write_;
};

// "token 3 of request 9, written in step 88", or "nothing was ever written there".
[[nodiscard]] std::string describe(const SlotContent& content);

}  // namespace assay::properties
