// A decode step, judged by its data: the pool as the engine's writes left it, the kernel on the engine's own
// tables and lengths, and the answer that the sequences logically have.
//
//   pool      every live slot gets the bytes of the token that was last written there (pool_shadow.h), through
//             the cache-write contract; dead slots and blocks of nobody in this batch hold NaN
//   kernel    paged MQA logits over all decoding sequences at once, output poisoned
//   golden    each sequence from its own tokens, one after another, never through table or pool; the bound of
//             the kernel's claims; the twin's bits where the kernel claims them
//
// A wrong element is named: request, token, block, slot, and what that slot holds. If it holds the right token,
// the kernel is at fault; if not, the engine is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/api/assay_kernel.h"
#include "model/core/paged_layout.h"
#include "model/golden/tensor.h"
#include "properties/cases/operands.h"
#include "properties/engine/claims.h"
#include "properties/world/live_step.h"
#include "properties/world/pool_shadow.h"
#include "properties/world/token_values.h"

namespace assay::properties {

struct WrongElement {
  std::int64_t step = 0, request = 0;
  std::int64_t token = 0;   // position in the sequence
  std::int64_t block = -1;  // where the kernel's table says that it lies; -1: beyond the sequence's end
  std::int64_t slot = -1;
  double expected = 0, got = 0, bound = 0;
  std::string what;  // "out of bound", "stray write", "not the twin's bits", ...
  SlotContent holds;
  bool slot_is_right = false;  // the slot holds the token that belongs there
};
[[nodiscard]] std::string describe(const WrongElement& wrong);

// Sums over verified steps. Independent of the number of threads.
struct Verification {
  static constexpr std::size_t kListed = 8;

  std::int64_t steps = 0, sequences = 0, elements = 0;
  std::int64_t wrong = 0;            // elements, masks and unwritten ones included
  std::int64_t misplaced_slots = 0;  // live slots that do not hold their token
  std::int64_t twin_elements = 0, twin_mismatches = 0;
  std::int64_t unsupported = 0;      // steps whose shape the kernel declined
  std::int64_t failed = 0;           // steps in which the kernel reported a failure
  std::int64_t inputs_modified = 0;  // steps after which an input was another one
  double worst_headroom = 0;
  std::vector<WrongElement> listed;  // the first ones
  std::uint64_t digest = 0;          // of lengths, tables and the must-write logits

  [[nodiscard]] bool passed() const {
    return wrong == 0 && twin_mismatches == 0 && failed == 0 && inputs_modified == 0;
  }
};

struct StepCheckOptions {
  std::int32_t heads = 64, dims = 128;
  ElementType output = ElementType::kFp32;
  bool clean = false;
  std::int64_t gap_bytes = 0;  // between blocks of the pool, a multiple of 4
  std::uint64_t seed = 1;
  int threads = 1;
};

class StepCheck {
 public:
  // `kernel` does paged MQA logits on the CPU. InputError when the pool's bytes would pass kMostPoolBytes.
  StepCheck(const assay_kernel& kernel, const StepCheckOptions& options, std::int32_t blocks,
            std::int32_t block_tokens);

  static constexpr std::int64_t kMostPoolBytes = std::int64_t{4} << 30;

  // Judges the step's decode rows; nothing happens when it has none.
  void check(const LiveStep& live, const PoolShadow& shadow, const NamesOf& names, Verification& total);

 private:
  struct Row {  // one decoding sequence
    std::int64_t request = 0, context = 0;
    const RequestNames* names = nullptr;
    std::span<const std::int32_t> table;
  };

  void fill_pool(const PoolShadow& shadow);
  void poison_pool();
  void make_rows(const LiveStep& live, const NamesOf& names);
  [[nodiscard]] int run_kernel();
  [[nodiscard]] std::uint64_t hash_of_inputs() const;
  void judge(std::size_t row, const PoolShadow& shadow, Verification& part) const;
  void list_wrong(std::size_t row, const struct LogicalRow& logical, const PoolShadow& shadow,
                  Verification& part) const;
  void compare_with_twin(std::size_t row, const struct LogicalRow& logical, const PoolShadow& shadow,
                         Verification& part) const;
  [[nodiscard]] WrongElement named(const Row& row, std::int64_t token, const PoolShadow& shadow) const;
  [[nodiscard]] const std::byte* logit(std::size_t row, std::int64_t column) const;

  const assay_kernel& kernel_;
  StepCheckOptions options_;
  Claims claims_;
  TokenValues values_;
  std::int32_t block_tokens_;
  FusedIndexLayout layout_;

  std::vector<std::uint8_t> pool_;     // [blocks, layout_.block_stride]
  std::vector<std::int32_t> live_;     // [blocks] live slots of the step at hand
  std::vector<std::int32_t> touched_;  // blocks with live slots
  std::vector<Row> rows_;
  std::int64_t step_ = 0, columns_ = 0, max_blocks_ = 0;
  std::vector<std::uint8_t> q_;         // [rows, 1, heads, dims]
  std::vector<float> weights_;          // [rows, heads]
  std::vector<std::int32_t> table_;     // [rows, max_blocks]
  std::vector<std::int32_t> contexts_;  // [rows]
  std::vector<std::byte> logits_;       // [rows, columns]
};

}  // namespace assay::properties
